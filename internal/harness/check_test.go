package harness_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestADraftThatIsEditedAndCancelledBreaksNoInvariant(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	never := h.DraftOrder("per_item", harness.VPS())
	once := h.SubmittedOrder("per_item", harness.VPS())
	customer := h.As(tenant.Customer)
	throwAway := func(agg *app.Aggregate) {
		t.Helper()
		if _, err := h.UseCases.API.CancelOrder(t.Context(), customer, app.Reasoned{Order: agg.Order.ID}); err != nil {
			t.Fatalf("CancelOrder: %v", err)
		}
	}
	throwAway(once)
	restored, err := h.UseCases.API.RestoreOrder(t.Context(), customer, app.Reasoned{Order: once.Order.ID})
	if err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	for _, agg := range []*app.Aggregate{never, restored} {
		items := []app.ItemInput{harness.Storage()}
		if _, err := h.UseCases.API.EditOrder(t.Context(), customer, app.EditOrder{
			Order: agg.Order.ID, Precondition: app.Precondition{Version: &agg.Order.Version}, Items: &items,
		}); err != nil {
			t.Fatalf("EditOrder: %v", err)
		}
		throwAway(agg)
	}
	h.Drain()
	h.WantSummary(never.Order.ID, "cancelled none settled; object_storage cancelled")
	h.WantSummary(once.Order.ID, "cancelled none settled; object_storage cancelled")
	h.CheckInvariants()
}
