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

// bank gives money back, once a key, unless it is told to fail first.
type bank struct {
	manual.Provider
	mu    sync.Mutex
	fail  error // guarded by mu, as the rest
	left  int   // failures to come; below 0: always
	after bool  // whether the money has gone before the failure
	calls []payment.Refund
	back  map[string]int
}

func (b *bank) Refund(ctx context.Context, r payment.Refund) (payment.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, r)
	fails := b.left != 0
	if fails && b.left > 0 {
		b.left--
	}
	if (!fails || b.after) && b.back[r.Key] == 0 {
		b.back[r.Key] = int(r.Amount)
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
	for _, c := range b.back {
		sum += c
	}
	return sum
}

func TestARefundThatFailsIsRetriedUnderItsKeyAndThenStandsOnTheDesk(t *testing.T) {
	t.Parallel()
	down := &payment.Error{Class: fault.Retryable, Code: "maintenance"}
	lost := &payment.Error{Class: fault.Ambiguous, Code: "no-answer"}
	refused := &payment.Error{Class: fault.Invalid, Code: "account-closed"}
	for name, c := range map[string]struct {
		bank  *bank
		calls int
		stuck bool
	}{
		"three times":  {&bank{fail: down, left: 3}, 4, false},
		"answers lost": {&bank{fail: lost, left: 5, after: true}, 6, false},
		"told to wait": {&bank{
			fail: &payment.Error{Class: fault.RateLimited, After: time.Minute, Code: "slow-down"}, left: 20,
		}, 21, false},
		"always":                   {&bank{fail: down, left: -1}, 6, true},
		"always, money gone":       {&bank{fail: lost, left: -1, after: true}, 6, true},
		"refused for good at once": {&bank{fail: refused, left: -1}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.bank.back = map[string]int{}
			w := harness.New(t, harness.WithPayment(c.bank))
			w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
			o := w.PaidOrder(harness.VPS())
			w.Drain(o)
			if n := len(c.bank.calls); n != c.calls {
				t.Errorf("the bank was asked %d times, want %d", n, c.calls)
			}
			for _, r := range c.bank.calls {
				if r.Key != c.bank.calls[0].Key || r.Amount != 20_10 {
					t.Errorf("asked for %d under %s, want 2010 under %s each time", r.Amount, r.Key, c.bank.calls[0].Key)
				}
			}
			w.WantLive("", 0) // the clean-up goes on beside the refund
			if c.stuck {
				w.WantPicture(o, "provisioning none stuck; vps compensating refund 20.10 stuck")
				w.CheckWorld()
				c.bank.mu.Lock()
				c.bank.left = 0
				c.bank.mu.Unlock()
				redriveAll(t, w, o, "refund-failed")
				w.Drain(o)
			}
			w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
			if c.bank.total() != 20_10 {
				t.Errorf("%d cents went back, want 2010, once", c.bank.total())
			}
			if left := w.Get(o).DeadLetters; len(left) != 0 {
				t.Errorf("dead letters still open: %+v", left)
			}
			w.CheckWorld()
		})
	}
}

// redriveAll tries again what stands on the desk under a code, and wants there to be one.
func redriveAll(t *testing.T, w *harness.Harness, o order.ID, code string) {
	t.Helper()
	letters, err := w.UseCases.API.DeadLetters(t.Context(), w.As(tenant.Operator), openDeadLetters(o))
	if err != nil {
		t.Fatalf("DeadLetters: %v", err)
	}
	n := 0
	for _, l := range letters.Data {
		if l.Code != code {
			continue
		}
		if _, err := w.UseCases.API.RedriveDeadLetter(t.Context(), w.As(tenant.Operator), l.ID,
			"it works again"); err != nil {
			t.Fatalf("RedriveDeadLetter: %v", err)
		}
		n++
	}
	if n != 1 {
		t.Fatalf("%d dead letters %s, want 1 of %+v", n, code, letters.Data)
	}
}

func TestAStuckRefundAndAStuckCleanUpDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := &bank{fail: &payment.Error{Class: fault.Retryable, Code: "maintenance"}, left: -1, back: map[string]int{}}
	w := harness.New(t, harness.WithPayment(b))
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	w.Sim.Script(sim.Fault{Part: "port", Operation: sim.OpDelete, Kind: sim.Protected})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 stuck")
	w.CheckWorld()
	w.Sim.ClearFaults()
	redriveAll(t, w, o, "compensation-exhausted")
	w.Drain(o)
	w.WantPicture(o, "provisioning none stuck; vps compensating refund 20.10 stuck")
	w.WantLive("", 0)
	b.mu.Lock()
	b.left = 0
	b.mu.Unlock()
	redriveAll(t, w, o, "refund-failed")
	w.Drain(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	w.CheckWorld()
}
