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

func findingKinds(found []app.Finding) []string {
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

func runReaper(t *testing.T, h *harness.Harness, remove app.Removal) []string {
	t.Helper()
	found, err := h.UseCases.Worker.Reap(t.Context(), h.DB.Worker(t), remove)
	if err != nil {
		t.Fatalf("Reap: %v", err)
	}
	return findingKinds(found)
}

func TestTheReaperFindsNothingWhereTheInventoryIsRight(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Drain(h.PaidOrder(harness.VPS(), harness.Database()))
	h.Clock.Advance(24 * time.Hour)
	if got := runReaper(t, h, app.Leftovers); len(got) != 0 {
		t.Errorf("findings without a difference: %v", got)
	}
	h.WantLiveResources("", 4)
}

func TestAnUnknownResourceUnderOurLabelIsReportedAndRemovedOnlyWhenAPersonAsks(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	item := "01890000-0000-7000-8000-0000000000aa"
	h.Sim.Plant(sim.Foreign{
		Kind: "server", Region: "lj-1", Name: "ours", Labels: map[string]string{
			"pf-inst": "test", "pf-item": item,
			"pf-step": "server", "pf-gen": "1",
		},
	})
	h.Sim.Plant(sim.Foreign{
		Kind: "server", Region: "lj-1", Name: "theirs", Labels: map[string]string{
			"pf-inst": "another", "pf-item": item,
			"pf-step": "server", "pf-gen": "1",
		},
	})
	h.Sim.Plant(sim.Foreign{Kind: "server", Region: "lj-1", Name: "bare"})
	if got := runReaper(t, h, app.Leftovers); len(got) != 0 {
		t.Errorf("findings of new resources: %v", got)
	}
	h.Clock.Advance(24 * time.Hour)
	for range 2 {
		if diff := cmp.Diff([]string{"unknown server"}, runReaper(t, h, app.Leftovers)); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		h.Clock.Advance(time.Hour)
	}
	h.WantLiveResources("", 3)
	if diff := cmp.Diff([]string{"unknown server deleted"}, runReaper(t, h, app.Everything)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	h.Clock.Advance(time.Hour)
	h.WantLiveResources("", 2) // another installation's resource and one without our labels are never removed
}

func TestALateResourceOfACancelledItemIsRemovedAtItsSecondSighting(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.Storage())
	h.Drain(o)
	item := h.Item(o, "object_storage").ID.String()
	h.Sim.Plant(sim.Foreign{
		Kind: "bucket", Region: "lj-1", Name: "late", Labels: map[string]string{
			"pf-inst": "test", "pf-item": item,
			"pf-step": "bucket", "pf-gen": "7",
		},
	})
	h.Clock.Advance(24 * time.Hour)
	if diff := cmp.Diff([]string{"leftover bucket"}, runReaper(t, h, app.Leftovers)); diff != "" {
		t.Errorf("first sighting (-want +got):\n%s", diff)
	}
	h.Clock.Advance(9 * time.Minute)
	if diff := cmp.Diff([]string{"leftover bucket"}, runReaper(t, h, app.Leftovers)); diff != "" {
		t.Errorf("second sighting too early (-want +got):\n%s", diff)
	}
	h.Clock.Advance(2 * time.Minute)
	if diff := cmp.Diff([]string{"leftover bucket deleted"}, runReaper(t, h, app.Leftovers)); diff != "" {
		t.Errorf("second sighting (-want +got):\n%s", diff)
	}
	h.Clock.Advance(time.Hour)
	h.WantLiveResources("", 1)
	h.WantSummary(o, "fulfilled full settled; object_storage delivered")
}

func TestAVanishedResourceIsAnAlarmAndNothingIsHealedByItself(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "object_storage", Operation: sim.OpCreate, Kind: "vanish", AfterS: 3600})
	o := h.PaidOrder(harness.Storage())
	h.Drain(o)
	h.Clock.Advance(24 * time.Hour)
	found, err := h.UseCases.Worker.Reap(t.Context(), h.DB.Worker(t), app.Leftovers)
	if err != nil || len(found) != 1 || found[0].Kind != app.Vanished || found[0].Item != h.Item(o, "object_storage").ID {
		t.Errorf("Reap = %+v, %v; want one vanished resource of the item", found, err)
	}
	if agg, err := h.UseCases.API.Order(t.Context(), h.As(tenant.Operator), o); err != nil ||
		agg.Order.State.String() != "fulfilled" {
		t.Errorf("the order moved: %v", err)
	}
}
