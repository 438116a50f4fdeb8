// Tests of the waits between the calls of a step, measured by the log of the simulated cloud.

package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// callGaps returns the times between the calls of an operation of a step, by the cloud's own log.
func callGaps(h *harness.Harness, operation, step string) []time.Duration {
	var all []time.Duration
	var last time.Time
	for _, c := range h.Sim.Calls(operation, "") {
		if c.Step != step {
			continue
		}
		if !last.IsZero() {
			all = append(all, c.At.Sub(last))
		}
		last = c.At
	}
	return all
}

// wantGaps compares waits with their minimum. A wait may be up to a tenth longer (D5).
func wantGaps(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("waits %v, want %v", got, want)
	}
	for i, d := range want {
		if got[i] < d || got[i] > d*11/10 {
			t.Errorf("wait %d was %s, want %s or up to a tenth more", i+1, got[i], d)
		}
	}
}

var retryWaits = []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}

func TestAFailingCallIsTriedSixTimesWithThePromisedWaitsByTheCloudsOwnLog(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		sim.Refused, sim.Locked, sim.ErrorBefore, sim.Unavailable, sim.RateLimitedBare, sim.Timeout,
	} {
		h := harness.New(t)
		h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: kind})
		o := h.PaidOrder(harness.VPS())
		h.Drain(o)
		h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
		wantGaps(t, callGaps(h, sim.OpCreate, "server"), retryWaits...)
		h.WantLiveResources("", 0)
		h.CheckInvariants()
	}
}

func TestAFailingCompensationIsTriedSixTimesWithTheSameWaits(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	h.Sim.Script(sim.Fault{Step: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	wantGaps(t, callGaps(h, sim.OpDelete, "port"), retryWaits...)
	h.CheckInvariants()
}

func TestTheWaitsAreTheSameWhenEveryCallIsMadeByAnotherProcess(t *testing.T) {
	t.Parallel()
	for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
		h := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) { c.Naming = naming }))
		h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Refused})
		h.Sim.Script(sim.Fault{Step: "port", Operation: sim.OpDelete, Kind: sim.Refused})
		o := h.PaidOrder(harness.VPS())
		for _, call := range []struct{ operation, step string }{{sim.OpCreate, "server"}, {sim.OpDelete, "port"}} {
			for calls := range 6 { // the process ends after each call, and another starts during the wait
				h.DrainUntil(o, func(string) bool { return len(callGaps(h, call.operation, call.step)) >= calls })
				h.Restart()
				h.Clock.Advance(time.Second)
				h.Restart()
			}
		}
		h.Drain(o)
		h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
		wantGaps(t, callGaps(h, sim.OpCreate, "server"), retryWaits...)
		wantGaps(t, callGaps(h, sim.OpDelete, "port"), retryWaits...)
		h.CheckInvariants()
	}
}

func TestACallThatWorksAtTheSixthTryIsASuccess(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Step: "port", Operation: sim.OpCreate, Kind: sim.Refused, Times: 5})
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Refused, Times: 5})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.WantLiveResources("", 2)
	h.CheckInvariants()
}

// countEvents returns the number of an order's events of a type.
func countEvents(h *harness.Harness, o order.ID, e order.EventType) int {
	n := 0
	for _, ev := range h.Events {
		if ev.Order == o && ev.Type == e {
			n++
		}
	}
	return n
}

func TestRetryAfterOfACloudIsHonouredAndUsesUpNoRetry(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.RateLimited, AfterS: 7, Times: 12})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	got := callGaps(h, sim.OpCreate, "server")
	if len(got) != 12 {
		t.Fatalf("%d waits, want 12", len(got))
	}
	for _, d := range got {
		if d < 7*time.Second || d > 8*time.Second {
			t.Errorf("waited %s, want the 7 s of Retry-After", d)
		}
	}
	if n := countEvents(h, o, order.EvItemRetrying); n != 0 {
		t.Errorf("%d retries were counted, want none (D5)", n)
	}
	h.CheckInvariants()
}

func TestARefusedLoginOfOurAccountRollsNobodyBack(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	// The login is refused until long after the deadline of the product.
	h.Sim.Script(sim.Fault{Operation: sim.OpCreate, Kind: sim.Unauthorized, Times: 320})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	if n := countEvents(h, o, order.EvItemRetrying); n != 0 {
		t.Errorf("%d retries were counted, want none (D6)", n)
	}
	h.CheckInvariants()
}

func TestAnItemWaitsForCapacityAndIsBuiltWhenThereIsSome(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{sim.NoCapacity, sim.NoValidHost} {
		h := harness.New(t)
		h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: kind, Times: 3})
		o := h.PaidOrder(harness.VPS())
		h.Drain(o)
		h.WantSummary(o, "fulfilled full settled; vps delivered")
		if n := countEvents(h, o, order.EvItemWaiting); n != 3 {
			t.Errorf("%s: %d events order.item-waiting, want 3", kind, n)
		}
		if n := countEvents(h, o, order.EvItemRetrying); n != 0 {
			t.Errorf("%s: %d retries were counted, want none (D5)", kind, n)
		}
		if kind == sim.NoCapacity {
			wantGaps(t, callGaps(h, sim.OpCreate, "server"), time.Minute, 5*time.Minute, 15*time.Minute)
		}
		h.WantLiveResources("", 2)
		h.CheckInvariants()
	}
}

func TestAnItemWithoutCapacityForHalfAnHourIsRolledBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{sim.NoCapacity, sim.NoValidHost} {
		h := harness.New(t)
		h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: kind})
		o := h.PaidOrder(harness.VPS())
		paidAt := h.Clock.Now()
		h.DrainUntil(o, func(summary string) bool { return strings.Contains(summary, "compensating") })
		if waited := h.Clock.Now().Sub(paidAt); waited < 30*time.Minute || waited > 33*time.Minute {
			t.Errorf("%s: gave up after %s, want about 30 min (D6)", kind, waited)
		}
		h.Drain(o)
		h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
		h.WantLiveResources("", 0)
		h.CheckInvariants()
	}
}

func TestABuildThatNeverEndsIsRolledBackAtTheProductsDeadline(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Stuck})
	o := h.PaidOrder(harness.VPS())
	paidAt := h.Clock.Now()
	h.DrainUntil(o, func(summary string) bool { return strings.Contains(summary, "compensating") })
	if waited := h.Clock.Now().Sub(paidAt); waited < 10*time.Minute || waited > 10*time.Minute+10*time.Second {
		t.Errorf("gave up after %s, want 10 min (D6)", waited)
	}
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	h.WantLiveResources("", 0)
	h.CheckInvariants()
}

func TestABuildThatFailsIsRemovedBeforeItIsTriedAgainUnderANewGeneration(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.FailedBuild, Times: 2})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.WantLiveResources("", 2)
	if g := h.Item(o, "vps").Generation; g != 3 {
		t.Errorf("generation %d after two failed resources, want 3 (D8)", g)
	}
	h.CheckInvariants()
}
