package app_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// creations are the parts in the order in which their creates came to the cloud.
func creations(w *harness.Harness) []string {
	var parts []string
	for _, c := range w.Sim.Calls(sim.OpCreate, "") {
		parts = append(parts, c.Label+" "+c.Part)
	}
	return parts
}

// removals are the parts in the order in which the cloud first took their delete.
func removals(w *harness.Harness) []string {
	var parts []string
	for _, c := range w.Sim.Calls(sim.OpDelete, "") {
		if name := c.Label + " " + c.Part; !slices.Contains(parts, name) {
			parts = append(parts, name)
		}
	}
	return parts
}

func TestAllOrNothingGoesBackLastProvisionedFirst(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "last", Part: "instance", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := w.AllOrNothing(harness.Labelled(harness.VPS(), "first"), harness.Labelled(harness.Storage(), "second"),
		harness.Labelled(harness.Database(), "last"))
	w.Drain(o)
	w.WantPicture(o, "failed none settled; first rolled_back refund 20.10 accepted; second rolled_back refund 20.00 "+
		"accepted; last rolled_back refund 65.00 accepted")
	made := creations(w)
	slices.Reverse(made)
	if diff := cmp.Diff(made, removals(w)); diff != "" {
		t.Errorf("removed, against the reverse of creation (-want +got):\n%s", diff)
	}
	w.CheckWorld()
}

// overtaken has something happen between the decision to create a part and the call's coming to the
// provider, once.
type overtaken struct {
	provider.Provider
	part      string
	meanwhile func()
}

func (p *overtaken) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	if s.Name == p.part && p.meanwhile != nil {
		do := p.meanwhile
		p.meanwhile = nil
		do()
	}
	return p.Provider.Create(ctx, s, j)
}

// Two workers have creates of one order on their way at once, and the one that was decided later comes
// to the provider first: the items go back in the reverse of what was decided, and the outside checker
// knows that the provider's log could not tell.
func TestACreateThatIsOvertakenOnItsWayKeepsItsPlaceOnTheWayBack(t *testing.T) {
	t.Parallel()
	slow := &overtaken{part: "port"}
	w := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider {
		slow.Provider = p
		return slow
	}))
	w.Sim.Script(sim.Fault{Label: "last", Part: "instance", Operation: sim.OpCreate, Kind: sim.Invalid})
	var o order.ID
	slow.meanwhile = func() {
		w.Clock.Advance(time.Millisecond)
		agg := w.Get(o)
		for _, task := range open(agg, fulfil.Provision) {
			if agg.Order.Find(task.Item).Label == "second" {
				if _, err := w.UseCases.Worker.ProvisionItem(t.Context(), task.Tenant, task.ID); err != nil {
					t.Errorf("ProvisionItem: %v", err)
				}
			}
		}
		w.Clock.Advance(time.Millisecond)
	}
	o = w.AllOrNothing(harness.Labelled(harness.VPS(), "first"), harness.Labelled(harness.Storage(), "second"),
		harness.Labelled(harness.Database(), "last"))
	w.Drain(o)
	if diff := cmp.Diff([]string{"second bucket", "first port"}, creations(w)[:2]); diff != "" {
		t.Fatalf("the first creates that came to the cloud (-want +got):\n%s", diff)
	}
	gone := removals(w)
	if diff := cmp.Diff([]string{"second bucket", "first port"}, gone[len(gone)-2:]); diff != "" {
		t.Errorf("the last to go, against the reverse of what was decided (-want +got):\n%s", diff)
	}
	w.CheckWorld()
}

func TestAllOrNothingRollsTheWholeOrderBackAndKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "refused"})
	o := w.AllOrNothing(harness.VPS(), harness.Database())
	w.Drain(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted; database rolled_back refund 65.00 "+
		"accepted")
	w.WantLive("", 0)
	if n := len(deliveries(w)); n != 0 {
		t.Errorf("%d deliveries of an order that rolled back, want none (D1)", n)
	}
}
