package harness_test

import (
	"os"
	"testing"

	"github.com/platforma-cloud/orders/internal/failpoint"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// soak tells that there is time for everything.
func soak() bool { return os.Getenv("PLATFORMA_SOAK") != "" }

// Every order of the matrix comes to its end in a cloud that makes duplicates gladly, whichever process
// died at whichever point. The 240 pairs of point, side and scenario are all here: those that cannot
// meet are listed with the reason, and an order must come to every other one. With -short each point
// and side is met in one scenario alone, in turn. After every world all promises of invariant.Names are
// asked, at rest and again after the longest late effect; only how late a retry came is not, for an
// attempt that died on its way to the cloud is in no log.
//
// What these tests, and those beside them, are there to catch; each was tried by hand:
//
//	the intent commits after the call        this test, at CP-D7
//	no intent is written                     this test, at CP-D7; TestSeededFaults
//	a move's epoch is not compared           app: TestTwoWorkersOnOneTaskMakeOneResource
//	undo begins before the failed step       app: TestEverySagaUnwindsFromEveryStepAndSurvivesEveryRepetition;
//	                                         fulfil: TestAFailingStepIsCalledSixTimesInSixtySecondsAndIsCompensatedItself
//	create without looking by key first      sim: TestSimMeetsTheContractInEveryNamingMode
//	absence is believed of a list alone      app: TestAnUndoRemovesByItsIdWhatNoListShows
//	creates of one moment have no order      this test, all or nothing (I18)
func TestAnOrderEndsRightWhereverTheProcessDies(t *testing.T) {
	t.Parallel()
	points := failpoint.Points()
	for _, s := range harness.Scenarios() {
		for group := 0; group < len(points); group += 6 {
			t.Run(s.Name+" from "+string(points[group]), func(t *testing.T) {
				t.Parallel()
				playMoments(t, s, points[group:min(group+6, len(points))])
			})
		}
	}
}

// playMoments plays a scenario once for each side of each point, in one world.
func playMoments(t *testing.T, s harness.Scenario, points []failpoint.Point) {
	t.Helper()
	trap := failpoint.NewFailpoint(func(failpoint.Moment) { panic(harness.Crash{}) })
	w := harness.New(t, harness.WithGateway(), harness.WithFailpoints(trap), harness.Coarse(),
		harness.WithSim(func(c *sim.ServerConfig) {
			c.Naming, c.Speed = provider.NamingNone, 60
		}))
	for _, f := range s.Faults {
		w.Sim.Script(f)
	}
	for _, p := range points {
		for _, side := range failpoint.Sides() {
			m := failpoint.Moment{Point: p, Side: side}
			if reason := s.CannotMeet(p); reason != "" {
				t.Logf("%s: cannot be met: %s", m, reason)
				continue
			}
			if testing.Short() && s.Name != harness.TurnOf(m) {
				continue
			}
			trap.Set(m)
			o := w.Ordered(s.Policy, "demo", s.Items...)
			if s.Cancel != nil {
				w.WorkUntil(o, s.Cancel)
				w.Cancelled(o)
			}
			w.Drain(o)
			if trap.Fired() != 1 {
				t.Errorf("%s: met %d times, want once", m, trap.Fired())
			}
			if got := w.Picture(o); got != s.Want {
				t.Errorf("%s: order %s\n got %s\nwant %s", m, o, got, s.Want)
			}
			t.Logf("%s: order %s", m, o)
		}
	}
	trap.Set()
	w.CheckWorld()
	if found := w.Reaped(); len(found) > 0 {
		t.Errorf("inventory and books differ: %+v", found)
	}
	w.CheckWorld()
}

func TestAMomentIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"CP-D7 before", "CP-C8 after", "CP-D14 after:3"} {
		if m, err := failpoint.Parse(text); err != nil || m.String() != text {
			t.Errorf("Parse(%q) = %q, %v", text, m, err)
		}
	}
	for _, text := range []string{"", "CP-D7", "CP-D17 before", "CP-D7 during", "CP-D7 before:0", "CP-D7 before:x"} {
		if m, err := failpoint.Parse(text); err == nil {
			t.Errorf("Parse(%q) = %q, want a refusal", text, m)
		}
	}
}
