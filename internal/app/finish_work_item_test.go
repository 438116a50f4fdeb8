package app_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment/manual"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// slowGateway accepts a refund and says later, itself, when the money is back.
type slowGateway struct{ manual.Provider }

func (slowGateway) Name() string { return "gateway" }

// rolledBackBy is an order whose payment a caller confirmed, and whose one item was rolled back.
func rolledBackBy(t *testing.T, w *harness.Harness, c app.Caller) *order.Order {
	t.Helper()
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := w.Submitted("per_item", harness.VPS()).Order
	_, err := w.UseCases.API.ConfirmPayment(t.Context(), c, app.ConfirmPayment{
		Order: o.ID, Reference: "paid " + o.Number, Method: "transfer",
		Amount: event.Amount{Amount: money.Format(o.Due, o.Currency), Currency: o.Currency},
	})
	if err != nil {
		t.Fatalf("ConfirmPayment: %v", err)
	}
	w.Drain(o.ID)
	w.WantPicture(o.ID, "failed none settled; vps rolled_back refund 20.10 accepted")
	return w.Get(o.ID).Order
}

func TestOnlyMoneyThatCameByHandIsGivenBackByHand(t *testing.T) {
	t.Parallel()
	w := harness.New(t, harness.WithPayment(slowGateway{}))
	byHand := rolledBackBy(t, w, w.As(tenant.Operator))
	gateway := rolledBackBy(t, w, app.Caller{
		Actor: tenant.Actor{Tenant: w.Tenant.ID, Kind: tenant.KindProvider, Name: "gateway"},
	})
	finish := func(o *order.Order) string {
		_, err := w.UseCases.API.FinishWorkItem(t.Context(), w.As(tenant.Operator), o.Refunds[0].ID, o.ID, "sent back")
		return outcome(t, "done", err)
	}
	want(t, "a gateway's refund", finish(gateway), "not-by-hand")
	w.WantPicture(gateway.ID, "failed none settled; vps rolled_back refund 20.10 accepted")
	want(t, "a transfer's refund", finish(byHand), "done")
	w.WantPicture(byHand.ID, "failed none settled; vps rolled_back refund 20.10 completed")
	want(t, "the same again", finish(byHand), "done")
	items, err := w.UseCases.API.WorkItems(t.Context(), w.As(tenant.Operator), "", 10)
	if err != nil || len(items.Data) != 0 {
		t.Errorf("work items %+v, %v; want none", items.Data, err)
	}
	w.CheckWorld()
}
