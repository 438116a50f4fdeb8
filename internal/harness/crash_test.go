package harness_test

import (
	"os"
	"testing"

	"github.com/platforma-cloud/orders/internal/failpoint"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// soak reports whether there is time for the long forms of the tests.
func soak() bool { return os.Getenv("PLATFORMA_SOAK") != "" }

// The process dies at every point, and every order still ends as its scenario says. The cloud does not refuse
// duplicate names. The test plays all 240 combinations of point, side and scenario. A combination that cannot occur is
// logged with its reason, and an order must meet every other one. With -short each point and side is met in one
// scenario only, in turn. Each harness is checked for all invariants of invariant.Names, at rest and again after the
// longest late effect. How late a retry came is not checked, because a call that died on its way to the cloud is in no
// log.
//
// These mistakes are caught by this test and others; each was tried by hand:
//
//	the intent commits after the call        this test, at CP-D7
//	no intent is written                     this test, at CP-D7; TestEveryOrderSettlesAfterSeededFaults
//	a move's epoch is not compared           app: TestTwoWorkersOnOneTaskMakeOneResource
//	compensation skips the failed step       app: TestEverySagaCompensatesFromEveryStepAndSurvivesEveryRepetition;
//	                                         fulfil: TestAFailingStepIsCalledSixTimesInSixtySecondsAndIsCompensatedItself
//	create without a lookup by key first     sim: TestSimMeetsTheContractInEveryNamingMode
//	a list alone counts as proof of absence  app: TestCompensationRemovesByIDWhatNoListShows
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

// playMoments plays a scenario once for each side of each point, with one harness.
func playMoments(t *testing.T, s harness.Scenario, points []failpoint.Point) {
	t.Helper()
	fp := failpoint.NewFailpoint(func(failpoint.Moment) { panic(harness.Crash{}) })
	h := harness.New(t, harness.WithGateway(), harness.WithFailpoints(fp), harness.WithSlowPolling(),
		harness.WithSim(func(c *sim.ServerConfig) {
			c.Naming, c.Speed = provider.NamingNone, 60
		}))
	for _, f := range s.Faults {
		h.Sim.Script(f)
	}
	for _, p := range points {
		for _, side := range failpoint.Sides() {
			m := failpoint.Moment{Point: p, Side: side}
			if reason := s.UnreachableReason(p); reason != "" {
				t.Logf("%s: cannot be met: %s", m, reason)
				continue
			}
			if testing.Short() && s.Name != harness.ShortScenario(m) {
				continue
			}
			fp.Set(m)
			o := h.MustSubmit(s.Policy, "demo", s.Items...)
			if s.Cancel != nil {
				h.WorkUntil(o, s.Cancel)
				h.MustCancel(o)
			}
			h.Drain(o)
			if fp.Fired() != 1 {
				t.Errorf("%s: met %d times, want once", m, fp.Fired())
			}
			if got := h.Summary(o); got != s.WantSummary {
				t.Errorf("%s: order %s\n got %s\nwant %s", m, o, got, s.WantSummary)
			}
			t.Logf("%s: order %s", m, o)
		}
	}
	fp.Set()
	h.CheckInvariants()
	if found := h.RunReaper(); len(found) > 0 {
		t.Errorf("the inventory and the cloud differ: %+v", found)
	}
	h.CheckInvariants()
}

func TestAMomentParsesFromItsString(t *testing.T) {
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
