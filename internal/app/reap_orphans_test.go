package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func kinds(found []app.Finding) []string {
	got := []string{}
	for _, f := range found {
		s := f.Kind.String() + " " + f.Resource
		if f.Deleted {
			s += " deleted"
		}
		got = append(got, strings.TrimSpace(s))
	}
	return got
}

func reap(t *testing.T, w *harness.Harness, remove app.Removal) []string {
	t.Helper()
	found, err := w.UseCases.Worker.Reap(t.Context(), w.DB.Worker(t), remove)
	if err != nil {
		t.Fatalf("Reap: %v", err)
	}
	return kinds(found)
}

func TestTheReaperFindsNothingWhereTheBooksAreRight(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Drain(w.PaidOrder(harness.VPS(), harness.Database()))
	w.Clock.Advance(24 * time.Hour)
	if got := reap(t, w, app.Leftovers); len(got) != 0 {
		t.Errorf("findings of a settled world: %v", got)
	}
	w.WantLive("", 4)
}

func TestAnUnknownResourceUnderOurLabelIsReportedAndRemovedOnlyWhenAPersonAsks(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	item := "01890000-0000-7000-8000-0000000000aa"
	w.Sim.Plant(sim.Foreign{
		Kind: "server", Region: "lj-1", Name: "ours", Labels: map[string]string{
			"pf-inst": "test", "pf-item": item,
			"pf-step": "server", "pf-gen": "1",
		},
	})
	w.Sim.Plant(sim.Foreign{
		Kind: "server", Region: "lj-1", Name: "theirs", Labels: map[string]string{
			"pf-inst": "another", "pf-item": item,
			"pf-step": "server", "pf-gen": "1",
		},
	})
	w.Sim.Plant(sim.Foreign{Kind: "server", Region: "lj-1", Name: "bare"})
	if got := reap(t, w, app.Leftovers); len(got) != 0 {
		t.Errorf("a young resource was found: %v", got)
	}
	w.Clock.Advance(24 * time.Hour)
	for range 2 {
		if diff := cmp.Diff([]string{"unknown server"}, reap(t, w, app.Leftovers)); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		w.Clock.Advance(time.Hour)
	}
	w.WantLive("", 3)
	if diff := cmp.Diff([]string{"unknown server deleted"}, reap(t, w, app.Everything)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	w.Clock.Advance(time.Hour)
	w.WantLive("", 2) // another installation's, and what carries no label of ours, are never touched
}

func TestALateResourceOfACancelledItemIsRemovedAtItsSecondSighting(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.Storage())
	w.Drain(o)
	item := w.Item(o, "object_storage").ID.String()
	w.Sim.Plant(sim.Foreign{
		Kind: "bucket", Region: "lj-1", Name: "late", Labels: map[string]string{
			"pf-inst": "test", "pf-item": item,
			"pf-step": "bucket", "pf-gen": "7",
		},
	})
	w.Clock.Advance(24 * time.Hour)
	if diff := cmp.Diff([]string{"leftover bucket"}, reap(t, w, app.Leftovers)); diff != "" {
		t.Errorf("first sighting (-want +got):\n%s", diff)
	}
	w.Clock.Advance(9 * time.Minute)
	if diff := cmp.Diff([]string{"leftover bucket"}, reap(t, w, app.Leftovers)); diff != "" {
		t.Errorf("second sighting too early (-want +got):\n%s", diff)
	}
	w.Clock.Advance(2 * time.Minute)
	if diff := cmp.Diff([]string{"leftover bucket deleted"}, reap(t, w, app.Leftovers)); diff != "" {
		t.Errorf("second sighting (-want +got):\n%s", diff)
	}
	w.Clock.Advance(time.Hour)
	w.WantLive("", 1)
	w.WantPicture(o, "fulfilled full settled; object_storage delivered")
}

func TestAVanishedResourceIsAnAlarmAndNothingIsHealedByItself(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "object_storage", Operation: sim.OpCreate, Kind: "vanish", AfterS: 3600})
	o := w.PaidOrder(harness.Storage())
	w.Drain(o)
	w.Clock.Advance(24 * time.Hour)
	found, err := w.UseCases.Worker.Reap(t.Context(), w.DB.Worker(t), app.Leftovers)
	if err != nil || len(found) != 1 || found[0].Kind != app.Vanished || found[0].Item != w.Item(o, "object_storage").ID {
		t.Errorf("Reap = %+v, %v; want one vanished resource of the item", found, err)
	}
	if agg, err := w.UseCases.API.Order(t.Context(), w.As(tenant.Operator), o); err != nil ||
		agg.Order.State.String() != "fulfilled" {
		t.Errorf("the order moved: %v", err)
	}
}
