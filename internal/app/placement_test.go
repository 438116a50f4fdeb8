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

// bothRolledBack is the summary of a VPS and a database that are rolled back.
const bothRolledBack = "vps rolled_back refund 20.10 accepted; database rolled_back refund 65.00 accepted"

// portlessCloud plans no port for a server. Its plans differ from those of the first account, so that a test sees which
// account made a plan.
type portlessCloud struct{ provider.Provider }

func (p portlessCloud) Plan(s provider.Spec, k provider.Key) ([]provider.Step, error) {
	steps, err := p.Provider.Plan(s, k)
	return steps[len(steps)-1:], err
}

// twoAccounts returns a harness with two accounts on two clouds. The first is that of the harness's own cloud. moved
// restarts the process with a placement that puts new items with the second account.
func twoAccounts(t *testing.T) (h *harness.Harness, second *simtest.Sim, moved func()) {
	t.Helper()
	h = harness.New(t)
	second = simtest.Start(t, simtest.Options{Modify: func(c *sim.ServerConfig) { c.Now = h.Clock.Now }})
	h.Config.Providers["second"] = portlessCloud{second.Provider()}
	h.Restart()
	return h, second, func() {
		h.Config.Placement = func(string, string) (string, bool) { return "second", true }
		h.Restart()
	}
}

func wantAccount(t *testing.T, h *harness.Harness, o order.ID, want string) {
	t.Helper()
	agg := h.Order(o)
	for _, it := range agg.Order.Items {
		if task := agg.ProvisionTask(it.ID); task == nil || task.Queue != want || task.Kind != fulfil.Provision {
			t.Errorf("item %s is recorded with %+v, want a task of account %s", it.Label, task, want)
		}
	}
}

func wantNoCalls(t *testing.T, cloud *simtest.Sim, what string) {
	t.Helper()
	if calls := cloud.Ledger().Log; len(calls) != 0 {
		t.Errorf("%s: %d calls, the first is %+v; want none", what, len(calls), calls[0])
	}
}

func TestAnItemIsBuiltAndDeliveredByTheAccountItBeganWith(t *testing.T) {
	t.Parallel()
	h, second, moved := twoAccounts(t)
	o := h.PaidOrder(harness.VPS())
	h.WorkUntil(o, func(string) bool { return len(h.Sim.Calls(sim.OpCreate, "")) > 0 })
	moved()
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	wantAccount(t, h, o, "sim")
	h.WantLiveResources("vps", 2) // port, server
	rec, err := h.UseCases.Worker.Saga(t.Context(), h.As(tenant.Operator), o)
	if err != nil {
		t.Fatalf("Saga: %v", err)
	}
	refs := map[string]int{}
	for _, res := range rec.Resources {
		refs[res.Step] = len(res.Refs)
	}
	if diff := cmp.Diff(map[string]int{"port": 1, "server": 1}, refs); diff != "" {
		t.Errorf("resources by step in the journal (-want +got):\n%s", diff)
	}
	wantNoCalls(t, second, "the account that is placed now, for an item of the other")
	if n := len(deliveryMails(h)); n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
	if got := runReaper(t, h, app.Nothing); len(got) != 0 {
		t.Errorf("the inventories and the clouds differ: %v", got)
	}
}

func TestAnItemIsCompensatedByTheAccountItBeganWith(t *testing.T) {
	t.Parallel()
	h, second, moved := twoAccounts(t)
	h.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := h.PaidAllOrNothing(harness.VPS(), harness.Database())
	h.WorkUntil(o, func(string) bool { return len(h.Sim.Live()) > 0 })
	moved()
	h.Drain(o)
	h.WantSummary(o, "failed none settled; "+bothRolledBack)
	wantAccount(t, h, o, "sim")
	h.WantLiveResources("", 0)
	wantNoCalls(t, second, "the account that is placed now, for items of the other")
}

func TestAnActiveItemIsCompensatedByTheAccountItBeganWith(t *testing.T) {
	t.Parallel()
	h, second, moved := twoAccounts(t)
	h.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Stuck})
	o := h.PaidAllOrNothing(harness.VPS(), harness.Database())
	h.WorkUntil(o, func(string) bool { return h.Item(o, "vps").State == order.ItemActive })
	moved()
	_, err := h.UseCases.API.CancelOrder(t.Context(), h.As(tenant.Customer), reasoned(o, "not needed any more"))
	if err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
	h.Drain(o)
	h.WantSummary(o, "cancelled none settled; "+bothRolledBack)
	h.WantLiveResources("", 0)
	wantNoCalls(t, second, "the account that is placed now, for items of the other")
}

func TestNewItemsGoWhereThePlacementSaysNow(t *testing.T) {
	t.Parallel()
	h, second, moved := twoAccounts(t)
	before := h.PaidOrder(harness.VPS())
	h.WorkUntil(before, func(string) bool { return len(h.Sim.Calls(sim.OpCreate, "")) > 0 })
	moved()
	after := h.PaidOrder(harness.VPS())
	h.Drain(before, after)
	h.WantSummary(before, "fulfilled full settled; vps delivered")
	h.WantSummary(after, "fulfilled full settled; vps delivered")
	wantAccount(t, h, before, "sim")
	wantAccount(t, h, after, "second")
	h.WantLiveResources("", 2) // port and server of the first order
	if live := second.Live(); len(live) != 1 || live[0].Kind != "server" {
		t.Errorf("live in the second account: %+v, want the one server of the new order", live)
	}
	if got := runReaper(t, h, app.Nothing); len(got) != 0 {
		t.Errorf("the inventories and the clouds differ: %v", got)
	}
}
