package facts_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/facts"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(pgtest.M{M: m}, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
	}))
}

func sources(w *harness.Harness) facts.Sources {
	return facts.Sources{AdminURL: w.DB.OwnerURL(), SimURL: w.Sim.URL, InboxURL: w.Inbox.HTTPURL()}
}

func collect(t *testing.T, s facts.Sources) invariant.Facts {
	t.Helper()
	f, err := facts.Collect(t.Context(), s)
	if err != nil {
		t.Fatalf("Collect() = %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	return f
}

// finishedOrders runs orders to each kind of end.
func finishedOrders(t *testing.T) *harness.Harness {
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "refused", Operation: sim.OpCreate, Kind: sim.Refused})
	w.Sim.Script(sim.Fault{Label: "slow", Step: "server", Operation: sim.OpCreate, Kind: sim.Refused, Times: 2})
	full := w.PaidOrder(harness.Labelled(harness.VPS(), "slow"), harness.Storage())
	partial := w.PaidOrder(harness.VPS(), harness.Labelled(harness.Database(), "refused"))
	none := w.PaidAllOrNothing(harness.VPS(), harness.Labelled(harness.Database(), "refused"))
	cancelled := w.PaidOrder(harness.VPS())
	customer := w.As(tenant.Customer)
	if _, err := w.UseCases.API.CancelOrder(t.Context(), customer, app.Reasoned{Order: cancelled}); err != nil {
		t.Fatal(err)
	}
	w.DraftOrder("per_item", harness.VPS())
	w.Drain(full, partial, none, cancelled)
	w.WantSummary(cancelled, "cancelled none settled; vps cancelled refund 20.10 accepted")
	if _, err := w.UseCases.API.RestoreOrder(t.Context(), w.As(tenant.Customer), app.Reasoned{
		Order: cancelled,
	}); err != nil {
		t.Fatal(err)
	}
	w.Drain(cancelled)
	return w
}

func TestOrdersThatThePlatformFinishedHaveNoViolation(t *testing.T) {
	t.Parallel()
	w := finishedOrders(t)
	s := sources(w)
	s.Slack = time.Second // all share a clock that moves only when the test advances it
	f := collect(t, s)
	if !invariant.Resting(f) {
		t.Error("Resting() = false after everything has settled")
	}
	results := invariant.Examine(f)
	for _, r := range results {
		for _, v := range r.Violations {
			t.Error(v)
		}
		if r.Checked && r.Seen == 0 && r.Invariant != "I20" {
			t.Errorf("%s was checked for nothing", r.Invariant)
		}
	}
	if t.Failed() {
		var b strings.Builder
		if err := invariant.Report(&b, results); err != nil {
			t.Fatal(err)
		}
		t.Log(b.String())
	}
}

func TestAPlantedOrphanIsFound(t *testing.T) {
	t.Parallel()
	w := finishedOrders(t)
	gone := ""
	for _, c := range w.Sim.Calls(sim.OpDelete, "") {
		if c.Effect {
			gone = c.Item
		}
	}
	for name, planted := range map[string]sim.Foreign{
		"with our label and no item": {
			Name: "pf-planted", Kind: "server", Region: "lj-1",
			Labels: map[string]string{"pf-inst": "test", "pf-item": "nobody", "pf-step": "server", "pf-gen": "1"},
		},
		"left of one of our items": {
			Name: "pf-left", Kind: "volume", Region: "lj-1",
			Labels: map[string]string{"pf-inst": "test", "pf-item": gone, "pf-step": "volume", "pf-gen": "1"},
		},
		"without any label": {Name: "by-hand", Kind: "server", Region: "lj-1"},
	} {
		id := w.Sim.Plant(planted).ID
		var found []string
		for _, v := range invariant.Check(collect(t, sources(w))) {
			if v.Invariant == "I10" && strings.Contains(v.Detail, " "+id+" ") {
				found = append(found, v.Invariant)
			}
		}
		if len(found) != 1 {
			t.Errorf("an orphan %s was found by %v, want I10", name, found)
		}
	}
}

func TestResourcesOfAnotherInstallationAreLeftOut(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Plant(sim.Foreign{
		Name: "theirs", Kind: "server", Region: "lj-1", Labels: map[string]string{"pf-inst": "other", "pf-item": "theirs"},
	})
	s := sources(w)
	if n := len(invariant.Check(collect(t, s))); n != 1 {
		t.Errorf("Check() without the installation's name: %d violations, want 1", n)
	}
	s.Installation = "test"
	if found := invariant.Check(collect(t, s)); len(found) > 0 {
		t.Errorf("another installation's resource counts as ours: %v", found)
	}
}

func TestAnOrderIsAtRestOnceItHasBeenQuietForLongEnough(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.PaidOrder(harness.VPS()) // its events are in the outbox
	s := sources(w)
	isI3 := func(v invariant.Violation) bool { return v.Invariant == "I3" }
	if found := invariant.Check(collect(t, s)); !slices.ContainsFunc(found, isI3) {
		t.Errorf("at rest, Check() does not report what is in the outbox: %v", found)
	}
	s.Quiet = 1000000 * time.Hour
	if found := invariant.Check(collect(t, s)); len(found) > 0 {
		t.Errorf("in progress: %v", found)
	}
}

func TestAwaitCollectsUntilNothingIsInProgress(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	pauses := 0
	f, err := facts.Await(t.Context(), sources(w), func(context.Context) error {
		if pauses++; pauses == 2 {
			w.Drain(o)
		}
		return nil
	})
	http.DefaultClient.CloseIdleConnections()
	if err != nil || pauses != 2 || !f.AtRest {
		t.Errorf("Await() = %v after %d pauses, at rest %t; want nil, 2, true", err, pauses, f.AtRest)
	}
	w.PaidOrder(harness.VPS())
	f, err = facts.Await(t.Context(), sources(w), func(context.Context) error { return context.DeadlineExceeded })
	http.DefaultClient.CloseIdleConnections()
	if !errors.Is(err, facts.ErrNotAtRest) || f.AtRest {
		t.Errorf("Await() with a failing pause = %v, at rest %t; want ErrRestless, false", err, f.AtRest)
	}
	if found := invariant.Check(f); len(found) > 0 {
		t.Errorf("Check() reports what is in progress: %v", found)
	}
}

func TestASourceThatDoesNotAnswerIsAnError(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	for name, s := range map[string]facts.Sources{
		"no database":     {},
		"no such address": {AdminURL: "postgres://nobody:hunter22@127.0.0.1:1/none"},
		"a bounded login": {AdminURL: w.DB.URL("platforma_api")},
		"no cloud":        {AdminURL: w.DB.OwnerURL(), SimURL: "http://127.0.0.1:1"},
		"no inbox":        {AdminURL: w.DB.OwnerURL(), InboxURL: "http://127.0.0.1:1"},
	} {
		_, err := facts.Collect(t.Context(), s)
		if err == nil {
			t.Errorf("%s: Collect() = nil", name)
		} else if strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := facts.Collect(ended, sources(w)); err == nil {
		t.Error("Collect() with an ended context = nil")
	}
}
