package world_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/world"
)

func TestACartThatIsEditedAndThrownAwayBreaksNoPromise(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	never := w.Draft("per_item", world.VPS())
	once := w.Submitted("per_item", world.VPS())
	customer := w.As(tenant.Customer)
	throwAway := func(d *app.Dossier) {
		t.Helper()
		if _, err := w.Verbs.API.CancelOrder(t.Context(), customer, app.Reasoned{Order: d.Order.ID}); err != nil {
			t.Fatalf("CancelOrder: %v", err)
		}
	}
	throwAway(once)
	restored, err := w.Verbs.API.RestoreOrder(t.Context(), customer, app.Reasoned{Order: once.Order.ID})
	if err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	for _, d := range []*app.Dossier{never, restored} {
		items := []app.ItemInput{world.Storage()}
		if _, err := w.Verbs.API.EditOrder(t.Context(), customer, app.EditOrder{Order: d.Order.ID, Precondition: app.Precondition{Version: &d.Order.Version}, Items: &items}); err != nil {
			t.Fatalf("EditOrder: %v", err)
		}
		throwAway(d)
	}
	w.Settle()
	w.WantPicture(never.Order.ID, "cancelled none settled; object_storage cancelled")
	w.WantPicture(once.Order.ID, "cancelled none settled; object_storage cancelled")
	w.CheckWorld()
}
