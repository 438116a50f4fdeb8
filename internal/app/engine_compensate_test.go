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

// creations returns label and step of each create, in the order in which the cloud received them.
func creations(h *harness.Harness) []string {
	var steps []string
	for _, c := range h.Sim.Calls(sim.OpCreate, "") {
		steps = append(steps, c.Label+" "+c.Step)
	}
	return steps
}

// removals returns label and step of each delete, in the order in which the cloud received the first of each.
func removals(h *harness.Harness) []string {
	var steps []string
	for _, c := range h.Sim.Calls(sim.OpDelete, "") {
		if name := c.Label + " " + c.Step; !slices.Contains(steps, name) {
			steps = append(steps, name)
		}
	}
	return steps
}

func TestAllOrNothingCompensatesTheLastProvisionedFirst(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "last", Step: "instance", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := h.PaidAllOrNothing(harness.Labelled(harness.VPS(), "first"), harness.Labelled(harness.Storage(), "second"),
		harness.Labelled(harness.Database(), "last"))
	h.Drain(o)
	h.WantSummary(o, "failed none settled; first rolled_back refund 20.10 accepted; second rolled_back refund 20.00 "+
		"accepted; last rolled_back refund 65.00 accepted")
	made := creations(h)
	slices.Reverse(made)
	if diff := cmp.Diff(made, removals(h)); diff != "" {
		t.Errorf("removed, against the reverse of creation (-want +got):\n%s", diff)
	}
	h.CheckInvariants()
}

// overtakenCreate calls meanwhile once, between the intent to create the resource of a step and the arrival of the call
// at the cloud.
type overtakenCreate struct {
	provider.Provider
	step      string
	meanwhile func()
}

func (p *overtakenCreate) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	if s.Name == p.step && p.meanwhile != nil {
		do := p.meanwhile
		p.meanwhile = nil
		do()
	}
	return p.Provider.Create(ctx, s, j)
}

// Two workers create resources of one order at the same time, and the create that was decided later arrives first. The
// items are compensated in the reverse order of the decisions. The outside checker accepts that although the cloud's
// log shows another order.
func TestCompensationFollowsTheOrderOfDecisionsNotOfArrivals(t *testing.T) {
	t.Parallel()
	slow := &overtakenCreate{step: "port"}
	h := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider {
		slow.Provider = p
		return slow
	}))
	h.Sim.Script(sim.Fault{Label: "last", Step: "instance", Operation: sim.OpCreate, Kind: sim.Invalid})
	var o order.ID
	slow.meanwhile = func() {
		h.Clock.Advance(time.Millisecond)
		agg := h.Order(o)
		for _, task := range liveTasks(agg, fulfil.Provision) {
			if agg.Order.Find(task.Item).Label == "second" {
				if _, err := h.UseCases.Worker.ProvisionItem(t.Context(), task.Tenant, task.ID); err != nil {
					t.Errorf("ProvisionItem: %v", err)
				}
			}
		}
		h.Clock.Advance(time.Millisecond)
	}
	o = h.PaidAllOrNothing(harness.Labelled(harness.VPS(), "first"), harness.Labelled(harness.Storage(), "second"),
		harness.Labelled(harness.Database(), "last"))
	h.Drain(o)
	if diff := cmp.Diff([]string{"second bucket", "first port"}, creations(h)[:2]); diff != "" {
		t.Fatalf("the first creates that came to the cloud (-want +got):\n%s", diff)
	}
	gone := removals(h)
	if diff := cmp.Diff([]string{"second bucket", "first port"}, gone[len(gone)-2:]); diff != "" {
		t.Errorf("the last removals, against the reverse of the decisions (-want +got):\n%s", diff)
	}
	h.CheckInvariants()
}

func TestAllOrNothingRollsTheWholeOrderBackAndDeliversNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "refused"})
	o := h.PaidAllOrNothing(harness.VPS(), harness.Database())
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted; database rolled_back refund 65.00 "+
		"accepted")
	h.WantLiveResources("", 0)
	if n := len(deliveryMails(h)); n != 0 {
		t.Errorf("%d deliveries of an order that rolled back, want none (D1)", n)
	}
}
