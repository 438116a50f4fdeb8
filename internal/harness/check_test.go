package harness_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestACartThatIsEditedAndThrownAwayBreaksNoPromise(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	never := w.Draft("per_item", harness.VPS())
	once := w.Submitted("per_item", harness.VPS())
	customer := w.As(tenant.Customer)
	throwAway := func(agg *app.Aggregate) {
		t.Helper()
		if _, err := w.UseCases.API.CancelOrder(t.Context(), customer, app.Reasoned{Order: agg.Order.ID}); err != nil {
			t.Fatalf("CancelOrder: %v", err)
		}
	}
	throwAway(once)
	restored, err := w.UseCases.API.RestoreOrder(t.Context(), customer, app.Reasoned{Order: once.Order.ID})
	if err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	for _, agg := range []*app.Aggregate{never, restored} {
		items := []app.ItemInput{harness.Storage()}
		if _, err := w.UseCases.API.EditOrder(t.Context(), customer, app.EditOrder{
			Order: agg.Order.ID, Precondition: app.Precondition{Version: &agg.Order.Version}, Items: &items,
		}); err != nil {
			t.Fatalf("EditOrder: %v", err)
		}
		throwAway(agg)
	}
	w.Drain()
	w.WantPicture(never.Order.ID, "cancelled none settled; object_storage cancelled")
	w.WantPicture(once.Order.ID, "cancelled none settled; object_storage cancelled")
	w.CheckWorld()
}
