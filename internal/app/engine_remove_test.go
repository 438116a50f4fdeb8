package app_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestAnUndoRemovesByItsIdWhatNoListShows(t *testing.T) {
	t.Parallel()
	w := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) { c.Speed = 60 }))
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.ListLag, AfterS: 60 * 86400})
	o := w.PaidOrder(harness.VPS())
	w.WorkUntil(o, func(string) bool { return len(w.Sim.Calls(sim.OpCreate, "")) == 2 })
	if _, err := w.UseCases.API.CancelOrder(t.Context(), w.As(tenant.Customer), app.Reasoned{
		Order: o, Reason: "changed our mind",
	}); err != nil {
		t.Fatal(err)
	}
	w.Drain(o)
	w.WantPicture(o, "cancelled none settled; vps rolled_back refund 20.10 accepted")
	w.WantLive("vps", 0)
	w.CheckWorld()
}
