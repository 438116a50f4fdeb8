package app_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestRestoredOrdersStartUnderANewGenerationAndANewPayment(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	agg := w.Pay(w.Submitted("per_item", harness.VPS()))
	o := agg.Order.ID
	if _, err := w.UseCases.API.CancelOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "")); err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
	w.WantPicture(o, "payment_confirmed none compensating; vps cancelled refund 20.10 requested")
	w.Drain(o)
	w.WantPicture(o, "cancelled none settled; vps cancelled refund 20.10 accepted")
	if _, err := w.UseCases.API.RestoreOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "yes please")); err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	w.WantPicture(o, "draft none open; vps pending")
	if g := w.Item(o, "vps").Generation; g != 2 {
		t.Errorf("generation after a restore = %d, want 2 (D8)", g)
	}
	if got := w.Get(o).Order; got.Number != agg.Order.Number || got.DeletedAt != nil {
		t.Errorf("restored order is %s deleted at %v, want %s, nil", got.Number, got.DeletedAt, agg.Order.Number)
	}
	again, err := w.UseCases.API.SubmitOrder(t.Context(), w.As(tenant.Customer), submit(o))
	if err != nil {
		t.Fatalf("SubmitOrder: %v", err)
	}
	w.Pay(again)
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
}
