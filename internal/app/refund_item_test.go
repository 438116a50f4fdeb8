package app_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/payment/manual"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// bank refunds once for each key. It can fail a number of refunds first.
type bank struct {
	manual.Provider
	mu                sync.Mutex
	fail              error // guarded by mu, as are the fields below
	failuresLeft      int   // below 0 every refund fails
	paidBeforeFailure bool  // the money is refunded although the call fails
	calls             []payment.Refund
	refunded          map[string]int
}

// failingBank returns a bank that fails every refund with a retryable error.
func failingBank() *bank {
	return &bank{
		fail:         &payment.Error{Class: fault.Retryable, Code: "maintenance"},
		failuresLeft: -1, refunded: map[string]int{},
	}
}

func (b *bank) Refund(ctx context.Context, r payment.Refund) (payment.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, r)
	fails := b.failuresLeft != 0
	if fails && b.failuresLeft > 0 {
		b.failuresLeft--
	}
	if (!fails || b.paidBeforeFailure) && b.refunded[r.Key] == 0 {
		b.refunded[r.Key] = int(r.Amount)
	}
	if fails {
		return payment.Receipt{}, b.fail
	}
	return b.Provider.Refund(ctx, r)
}

func (b *bank) total() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := 0
	for _, cents := range b.refunded {
		sum += cents
	}
	return sum
}

func TestAFailingRefundIsRetriedUnderItsKeyAndThenDeadLettered(t *testing.T) {
	t.Parallel()
	down := &payment.Error{Class: fault.Retryable, Code: "maintenance"}
	lost := &payment.Error{Class: fault.Ambiguous, Code: "no-answer"}
	refused := &payment.Error{Class: fault.Invalid, Code: "account-closed"}
	for name, c := range map[string]struct {
		bank  *bank
		calls int
		stuck bool
	}{
		"three times":  {&bank{fail: down, failuresLeft: 3}, 4, false},
		"answers lost": {&bank{fail: lost, failuresLeft: 5, paidBeforeFailure: true}, 6, false},
		"rate limited": {&bank{
			fail: &payment.Error{Class: fault.RateLimited, After: time.Minute, Code: "slow-down"}, failuresLeft: 20,
		}, 21, false},
		"always":                   {&bank{fail: down, failuresLeft: -1}, 6, true},
		"always, money gone":       {&bank{fail: lost, failuresLeft: -1, paidBeforeFailure: true}, 6, true},
		"refused for good at once": {&bank{fail: refused, failuresLeft: -1}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.bank.refunded = map[string]int{}
			h := harness.New(t, harness.WithPayment(c.bank))
			h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
			o := h.PaidOrder(harness.VPS())
			h.Drain(o)
			if n := len(c.bank.calls); n != c.calls {
				t.Errorf("the bank was called %d times, want %d", n, c.calls)
			}
			for _, r := range c.bank.calls {
				if r.Key != c.bank.calls[0].Key || r.Amount != 20_10 {
					t.Errorf("called with %d under %s, want 2010 under %s each time", r.Amount, r.Key, c.bank.calls[0].Key)
				}
			}
			h.WantLiveResources("", 0) // the resources are removed independently of the refund
			if c.stuck {
				h.WantSummary(o, "provisioning none stuck; vps compensating refund 20.10 stuck")
				h.CheckInvariants()
				c.bank.mu.Lock()
				c.bank.failuresLeft = 0
				c.bank.mu.Unlock()
				redriveByCode(t, h, o, "refund-failed")
				h.Drain(o)
			}
			h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
			if c.bank.total() != 20_10 {
				t.Errorf("%d cents were refunded, want 2010, once", c.bank.total())
			}
			if open := h.Order(o).DeadLetters; len(open) != 0 {
				t.Errorf("dead letters are still open: %+v", open)
			}
			h.CheckInvariants()
		})
	}
}

// redriveByCode redrives the one open dead letter of an order with a code.
func redriveByCode(t *testing.T, h *harness.Harness, o order.ID, code string) {
	t.Helper()
	deadLetters, err := h.UseCases.API.DeadLetters(t.Context(), h.As(tenant.Operator), openDeadLetters(o))
	if err != nil {
		t.Fatalf("DeadLetters: %v", err)
	}
	n := 0
	for _, dl := range deadLetters.Data {
		if dl.Code != code {
			continue
		}
		if _, err := h.UseCases.API.RedriveDeadLetter(t.Context(), h.As(tenant.Operator), dl.ID,
			"it works again"); err != nil {
			t.Fatalf("RedriveDeadLetter: %v", err)
		}
		n++
	}
	if n != 1 {
		t.Fatalf("%d dead letters %s, want 1 of %+v", n, code, deadLetters.Data)
	}
}

func TestAStuckRefundAndAStuckCompensationDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := failingBank()
	h := harness.New(t, harness.WithPayment(b))
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	h.Sim.Script(sim.Fault{Step: "port", Operation: sim.OpDelete, Kind: sim.Protected})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 stuck")
	h.CheckInvariants()
	h.Sim.ClearFaults()
	redriveByCode(t, h, o, "compensation-exhausted")
	h.Drain(o)
	h.WantSummary(o, "provisioning none stuck; vps compensating refund 20.10 stuck")
	h.WantLiveResources("", 0)
	b.mu.Lock()
	b.failuresLeft = 0
	b.mu.Unlock()
	redriveByCode(t, h, o, "refund-failed")
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	h.CheckInvariants()
}
