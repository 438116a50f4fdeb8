package app_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestRestoredOrdersStartUnderANewGenerationAndANewPayment(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	agg := h.Pay(h.SubmittedOrder("per_item", harness.VPS()))
	o := agg.Order.ID
	if _, err := h.UseCases.API.CancelOrder(t.Context(), h.As(tenant.Customer), reasoned(o, "")); err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
	h.WantSummary(o, "payment_confirmed none compensating; vps cancelled refund 20.10 requested")
	h.Drain(o)
	h.WantSummary(o, "cancelled none settled; vps cancelled refund 20.10 accepted")
	if _, err := h.UseCases.API.RestoreOrder(t.Context(), h.As(tenant.Customer), reasoned(o, "yes please")); err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	h.WantSummary(o, "draft none open; vps pending")
	if g := h.Item(o, "vps").Generation; g != 2 {
		t.Errorf("generation after a restore = %d, want 2 (D8)", g)
	}
	if got := h.Order(o).Order; got.Number != agg.Order.Number || got.DeletedAt != nil {
		t.Errorf("restored order is %s deleted at %v, want %s, nil", got.Number, got.DeletedAt, agg.Order.Number)
	}
	again, err := h.UseCases.API.SubmitOrder(t.Context(), h.As(tenant.Customer), submit(o))
	if err != nil {
		t.Fatalf("SubmitOrder: %v", err)
	}
	h.Pay(again)
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
}
