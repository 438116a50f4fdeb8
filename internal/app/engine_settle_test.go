package app_test

import (
	"sync"
	"testing"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/world"
)

func TestTheLastTwoItemsFinishingTogetherSettleTheOrderOnce(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	for round := range rounds(5, 15) {
		o := w.AllOrNothing(world.VPS(), world.Labelled(world.VPS(), "twin")) // so that both deliveries begin together
		w.WorkUntil(o, func(string) bool { return len(open(w.Get(o), fulfil.Deliver)) == 2 })
		var wg sync.WaitGroup
		for _, u := range open(w.Get(o), fulfil.Deliver) {
			wg.Go(func() {
				if _, err := w.Verbs.Worker.DeliverCredentials(t.Context(), u.Tenant, u.ID); err != nil {
					t.Errorf("DeliverCredentials: %v", err)
				}
			})
		}
		wg.Wait()
		w.WantPicture(o, "fulfilled full settled; vps delivered; twin delivered")
		n := 0
		w.Settle(o)
		for _, e := range w.Events {
			if e.Order == o && e.Type == order.EvFulfilled {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("round %d: %d events order.fulfilled, want 1", round, n)
		}
	}
	w.CheckWorld()
}
