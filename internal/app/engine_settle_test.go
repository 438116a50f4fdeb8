package app_test

import (
	"sync"
	"testing"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestTheLastTwoItemsFinishingTogetherSettleTheOrderOnce(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	for round := range rounds(5, 15) {
		o := w.AllOrNothing(harness.VPS(), harness.Labelled(harness.VPS(), "twin")) // so that both deliveries begin together
		w.WorkUntil(o, func(string) bool { return len(open(w.Get(o), fulfil.Deliver)) == 2 })
		var wg sync.WaitGroup
		for _, task := range open(w.Get(o), fulfil.Deliver) {
			wg.Go(func() {
				if _, err := w.UseCases.Worker.DeliverCredentials(t.Context(), task.Tenant, task.ID); err != nil {
					t.Errorf("DeliverCredentials: %v", err)
				}
			})
		}
		wg.Wait()
		w.WantPicture(o, "fulfilled full settled; vps delivered; twin delivered")
		n := 0
		w.Drain(o)
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
