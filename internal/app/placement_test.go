package app_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// bothBack is how items of VPS and database look that were taken back.
const bothBack = "vps rolled_back refund 20.10 accepted; database rolled_back refund 65.00 accepted"

// portless is a cloud whose servers need no port of their own: its plans differ from those of the first
// account, so that a plan of the wrong account is seen.
type portless struct{ provider.Provider }

func (p portless) Plan(s provider.Spec, k provider.Key) ([]provider.Step, error) {
	steps, err := p.Provider.Plan(s, k)
	return steps[len(steps)-1:], err
}

// twoAccounts is a world whose first account is that of the world's own cloud. moved places what is
// ordered from then on with the second, on another cloud, in a process of its own.
func twoAccounts(t *testing.T) (w *harness.Harness, second *simtest.Sim, moved func()) {
	t.Helper()
	w = harness.New(t)
	second = simtest.Start(t, simtest.Options{Modify: func(c *sim.ServerConfig) { c.Now = w.Clock.Now }})
	w.Config.Providers["second"] = portless{second.Provider()}
	w.Restart()
	return w, second, func() {
		w.Config.Placement = func(string, string) (string, bool) { return "second", true }
		w.Restart()
	}
}

func wantAccount(t *testing.T, w *harness.Harness, o order.ID, want string) {
	t.Helper()
	agg := w.Get(o)
	for _, it := range agg.Order.Items {
		if task := agg.ProvisionTask(it.ID); task == nil || task.Queue != want || task.Kind != fulfil.Provision {
			t.Errorf("item %s is recorded with %+v, want a task of account %s", it.Label, task, want)
		}
	}
}

func wantNothing(t *testing.T, cloud *simtest.Sim, what string) {
	t.Helper()
	if calls := cloud.Ledger().Log; len(calls) != 0 {
		t.Errorf("%s: %d calls, the first is %+v; want none", what, len(calls), calls[0])
	}
}

func TestAnItemIsBuiltAndDeliveredByTheAccountItBeganWith(t *testing.T) {
	t.Parallel()
	w, second, moved := twoAccounts(t)
	o := w.PaidOrder(harness.VPS())
	w.WorkUntil(o, func(string) bool { return len(w.Sim.Calls(sim.OpCreate, "")) > 0 })
	moved()
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	wantAccount(t, w, o, "sim")
	w.WantLive("vps", 2) // port, server
	rec, err := w.UseCases.Worker.Saga(t.Context(), w.As(tenant.Operator), o)
	if err != nil {
		t.Fatalf("Saga: %v", err)
	}
	parts := map[string]int{}
	for _, res := range rec.Resources {
		parts[res.Step] = len(res.Refs)
	}
	if diff := cmp.Diff(map[string]int{"port": 1, "server": 1}, parts); diff != "" {
		t.Errorf("resources by part in the journal (-want +got):\n%s", diff)
	}
	wantNothing(t, second, "the account that is placed now, for an item of the other")
	if n := len(deliveries(w)); n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
	if got := reap(t, w, app.Nothing); len(got) != 0 {
		t.Errorf("the inventories and the books differ: %v", got)
	}
}

func TestAnItemIsCompensatedByTheAccountItBeganWith(t *testing.T) {
	t.Parallel()
	w, second, moved := twoAccounts(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := w.AllOrNothing(harness.VPS(), harness.Database())
	w.WorkUntil(o, func(string) bool { return len(w.Sim.Live()) > 0 })
	moved()
	w.Drain(o)
	w.WantPicture(o, "failed none settled; "+bothBack)
	wantAccount(t, w, o, "sim")
	w.WantLive("", 0)
	wantNothing(t, second, "the account that is placed now, for items of the other")
}

func TestAnItemThatIsUpGoesBackAtTheAccountItBeganWith(t *testing.T) {
	t.Parallel()
	w, second, moved := twoAccounts(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Stuck})
	o := w.AllOrNothing(harness.VPS(), harness.Database())
	w.WorkUntil(o, func(string) bool { return w.Item(o, "vps").State == order.ItemActive })
	moved()
	_, err := w.UseCases.API.CancelOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "not needed any more"))
	if err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
	w.Drain(o)
	w.WantPicture(o, "cancelled none settled; "+bothBack)
	w.WantLive("", 0)
	wantNothing(t, second, "the account that is placed now, for items of the other")
}

func TestNewItemsGoWhereThePlacementSaysNow(t *testing.T) {
	t.Parallel()
	w, second, moved := twoAccounts(t)
	before := w.PaidOrder(harness.VPS())
	w.WorkUntil(before, func(string) bool { return len(w.Sim.Calls(sim.OpCreate, "")) > 0 })
	moved()
	after := w.PaidOrder(harness.VPS())
	w.Drain(before, after)
	w.WantPicture(before, "fulfilled full settled; vps delivered")
	w.WantPicture(after, "fulfilled full settled; vps delivered")
	wantAccount(t, w, before, "sim")
	wantAccount(t, w, after, "second")
	w.WantLive("", 2) // port and server of the first order
	if live := second.Live(); len(live) != 1 || live[0].Kind != "server" {
		t.Errorf("live in the second account: %+v, want the one server of the new order", live)
	}
	if got := reap(t, w, app.Nothing); len(got) != 0 {
		t.Errorf("the inventories and the books differ: %v", got)
	}
}
