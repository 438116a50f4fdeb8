package app_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/payment/manual"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// slowGateway accepts a refund and reports its completion later, by itself.
type slowGateway struct{ manual.Provider }

func (slowGateway) Name() string { return "gateway" }

func (slowGateway) Properties() payment.Properties {
	return payment.Properties{ConfirmedBy: payment.Gateway, RefundedBy: payment.Gateway, Label: "Card"}
}

// rolledBackBy returns an order whose payment was confirmed by a caller and whose one item was rolled back.
func rolledBackBy(t *testing.T, h *harness.Harness, c app.Caller) *order.Order {
	t.Helper()
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := h.SubmittedOrder("per_item", harness.VPS()).Order
	_, err := h.UseCases.API.ConfirmPayment(t.Context(), c, app.ConfirmPayment{
		Order: o.ID, Reference: "paid " + o.Number, Method: "transfer",
		Amount: event.Amount{Amount: money.Format(o.Due, o.Currency), Currency: o.Currency},
	})
	if err != nil {
		t.Fatalf("ConfirmPayment: %v", err)
	}
	h.Drain(o.ID)
	h.WantSummary(o.ID, "failed none settled; vps rolled_back refund 20.10 accepted")
	return h.Order(o.ID).Order
}

func TestOnlyManualPaymentsAreRefundedByHand(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.WithPayment(slowGateway{}))
	byHand := rolledBackBy(t, h, h.As(tenant.Operator))
	gateway := rolledBackBy(t, h, app.Caller{
		Actor: tenant.Actor{Tenant: h.Tenant.ID, Kind: tenant.KindProvider, Name: "gateway"},
	})
	finish := func(o *order.Order) string {
		_, err := h.UseCases.API.FinishWorkItem(t.Context(), h.As(tenant.Operator), o.Refunds[0].ID, o.ID, "sent back")
		return outcome(t, "done", err)
	}
	wantEqual(t, "a gateway's refund", finish(gateway), "not-by-hand")
	h.WantSummary(gateway.ID, "failed none settled; vps rolled_back refund 20.10 accepted")
	wantEqual(t, "a transfer's refund", finish(byHand), "done")
	h.WantSummary(byHand.ID, "failed none settled; vps rolled_back refund 20.10 completed")
	wantEqual(t, "the same again", finish(byHand), "done")
	items, err := h.UseCases.API.WorkItems(t.Context(), h.As(tenant.Operator), "", 10)
	if err != nil || len(items.Data) != 0 {
		t.Errorf("work items %+v, %v; want none", items.Data, err)
	}
	h.CheckInvariants()
}
