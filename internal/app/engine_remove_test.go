package app_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestCompensationRemovesByIDWhatNoListShows(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) { c.Speed = 60 }))
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.ListLag, AfterS: 60 * 86400})
	o := h.PaidOrder(harness.VPS())
	h.WorkUntil(o, func(string) bool { return len(h.Sim.Calls(sim.OpCreate, "")) == 2 })
	if _, err := h.UseCases.API.CancelOrder(t.Context(), h.As(tenant.Customer), app.Reasoned{
		Order: o, Reason: "changed our mind",
	}); err != nil {
		t.Fatal(err)
	}
	h.Drain(o)
	h.WantSummary(o, "cancelled none settled; vps rolled_back refund 20.10 accepted")
	h.WantLiveResources("vps", 0)
	h.CheckInvariants()
}
