// The waits between the calls of a step, as the log of the simulated cloud tells them.

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

// gaps are the times between the cloud's calls of an operation, by its own log.
func gaps(w *harness.Harness, operation, part string) []time.Duration {
	var all []time.Duration
	var last time.Time
	for _, c := range w.Sim.Calls(operation, "") {
		if c.Part != part {
			continue
		}
		if !last.IsZero() {
			all = append(all, c.At.Sub(last))
		}
		last = c.At
	}
	return all
}

// wantGaps compares waits with the least they may be; up to a tenth more is allowed (D5).
func wantGaps(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("waits %v, want %v", got, want)
	}
	for i, d := range want {
		if got[i] < d || got[i] > d*11/10 {
			t.Errorf("wait %d was %s, want %s to a tenth more", i+1, got[i], d)
		}
	}
}

var fiveWaits = []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}

func TestAFailingCallIsTriedSixTimesWithThePromisedWaitsByTheCloudsOwnLog(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		sim.Refused, sim.Locked, sim.ErrorBefore, sim.Unavailable, sim.RateLimitedBare, sim.Timeout,
	} {
		w := harness.New(t)
		w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: kind})
		o := w.PaidOrder(harness.VPS())
		w.Drain(o)
		w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
		wantGaps(t, gaps(w, sim.OpCreate, "server"), fiveWaits...)
		w.WantLive("", 0)
		w.CheckWorld()
	}
}

func TestAFailingCleanUpIsTriedSixTimesWithTheSameWaits(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	w.Sim.Script(sim.Fault{Part: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	wantGaps(t, gaps(w, sim.OpDelete, "port"), fiveWaits...)
	w.CheckWorld()
}

func TestTheWaitsAreTheSameWhenEveryCallIsMadeByAnotherProcess(t *testing.T) {
	t.Parallel()
	for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
		w := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) { c.Naming = naming }))
		w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Refused})
		w.Sim.Script(sim.Fault{Part: "port", Operation: sim.OpDelete, Kind: sim.Refused})
		o := w.PaidOrder(harness.VPS())
		for _, way := range []struct{ operation, part string }{{sim.OpCreate, "server"}, {sim.OpDelete, "port"}} {
			for calls := range 6 { // between each two: one process ends after its call, the next starts halfway through the wait
				w.DrainUntil(o, func(string) bool { return len(gaps(w, way.operation, way.part)) >= calls })
				w.Restart()
				w.Clock.Advance(time.Second)
				w.Restart()
			}
		}
		w.Drain(o)
		w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
		wantGaps(t, gaps(w, sim.OpCreate, "server"), fiveWaits...)
		wantGaps(t, gaps(w, sim.OpDelete, "port"), fiveWaits...)
		w.CheckWorld()
	}
}

func TestACallThatWorksAtTheSixthTryIsASuccess(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Part: "port", Operation: sim.OpCreate, Kind: sim.Refused, Times: 5})
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Refused, Times: 5})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.WantLive("", 2)
	w.CheckWorld()
}

// count counts an order's events of a type.
func count(w *harness.Harness, o order.ID, e order.EventType) int {
	n := 0
	for _, ev := range w.Events {
		if ev.Order == o && ev.Type == e {
			n++
		}
	}
	return n
}

func TestRetryAfterIsKeptAndUsesUpNoRetry(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.RateLimited, AfterS: 7, Times: 12})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	got := gaps(w, sim.OpCreate, "server")
	if len(got) != 12 {
		t.Fatalf("%d waits, want 12", len(got))
	}
	for _, d := range got {
		if d < 7*time.Second || d > 8*time.Second {
			t.Errorf("waited %s, was told 7 s", d)
		}
	}
	if n := count(w, o, order.EvItemRetrying); n != 0 {
		t.Errorf("%d retries were counted, want none (D5)", n)
	}
	w.CheckWorld()
}

func TestALoginOfOursThatIsRefusedRollsNobodyBack(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Operation: sim.OpCreate, Kind: sim.Unauthorized, Times: 320}) // beyond the product's deadline
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	if n := count(w, o, order.EvItemRetrying); n != 0 {
		t.Errorf("%d retries were counted, want none (D6)", n)
	}
	w.CheckWorld()
}

func TestAnItemWaitsForRoomAndIsBuiltWhenThereIsSome(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{sim.NoCapacity, sim.NoValidHost} {
		w := harness.New(t)
		w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: kind, Times: 3})
		o := w.PaidOrder(harness.VPS())
		w.Drain(o)
		w.WantPicture(o, "fulfilled full settled; vps delivered")
		if n := count(w, o, order.EvItemWaiting); n != 3 {
			t.Errorf("%s: %d events order.item-waiting, want 3", kind, n)
		}
		if n := count(w, o, order.EvItemRetrying); n != 0 {
			t.Errorf("%s: %d retries were counted, want none (D5)", kind, n)
		}
		if kind == sim.NoCapacity {
			wantGaps(t, gaps(w, sim.OpCreate, "server"), time.Minute, 5*time.Minute, 15*time.Minute)
		}
		w.WantLive("", 2)
		w.CheckWorld()
	}
}

func TestAnItemWithoutRoomForHalfAnHourIsRolledBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{sim.NoCapacity, sim.NoValidHost} {
		w := harness.New(t)
		w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: kind})
		o := w.PaidOrder(harness.VPS())
		paidAt := w.Clock.Now()
		w.DrainUntil(o, func(p string) bool { return strings.Contains(p, "compensating") })
		if waited := w.Clock.Now().Sub(paidAt); waited < 30*time.Minute || waited > 33*time.Minute {
			t.Errorf("%s: gave up after %s, want about 30 min (D6)", kind, waited)
		}
		w.Drain(o)
		w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
		w.WantLive("", 0)
		w.CheckWorld()
	}
}

func TestABuildThatNeverEndsIsRolledBackAtTheProductsDeadline(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Stuck})
	o := w.PaidOrder(harness.VPS())
	paidAt := w.Clock.Now()
	w.DrainUntil(o, func(p string) bool { return strings.Contains(p, "compensating") })
	if waited := w.Clock.Now().Sub(paidAt); waited < 10*time.Minute || waited > 10*time.Minute+10*time.Second {
		t.Errorf("gave up after %s, want 10 min (D6)", waited)
	}
	w.Drain(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	w.WantLive("", 0)
	w.CheckWorld()
}

func TestABuildThatFailsIsRemovedBeforeItIsTriedAgainUnderANewGeneration(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.FailedBuild, Times: 2})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.WantLive("", 2)
	if g := w.Item(o, "vps").Generation; g != 3 {
		t.Errorf("generation %d after two corpses, want 3 (D8)", g)
	}
	w.CheckWorld()
}
