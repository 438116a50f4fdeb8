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
	h := harness.New(t)
	for round := range rounds(5, 15) {
		// An all_or_nothing order begins both deliveries together.
		o := h.PaidAllOrNothing(harness.VPS(), harness.Labelled(harness.VPS(), "second"))
		h.WorkUntil(o, func(string) bool { return len(liveTasks(h.Order(o), fulfil.Deliver)) == 2 })
		var wg sync.WaitGroup
		for _, task := range liveTasks(h.Order(o), fulfil.Deliver) {
			wg.Go(func() {
				if _, err := h.UseCases.Worker.DeliverCredentials(t.Context(), task.Tenant, task.ID); err != nil {
					t.Errorf("DeliverCredentials: %v", err)
				}
			})
		}
		wg.Wait()
		h.WantSummary(o, "fulfilled full settled; vps delivered; second delivered")
		n := 0
		h.Drain(o)
		for _, e := range h.Events {
			if e.Order == o && e.Type == order.EvFulfilled {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("round %d: %d events order.fulfilled, want 1", round, n)
		}
	}
	h.CheckInvariants()
}
