package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// BeginFulfilment is the Provision consumer. On order.payment-confirmed it makes the validation due. That task was
// committed with the payment and would be due Fallback later, so a broker that is down only delays it (D20).
//
// On order.cancelled it closes a validation that is left. It does nothing when the order is no longer cancelled: if
// the event arrives after the order was restored and paid again, the validation is the new payment's.
func (a *App) BeginFulfilment(ctx context.Context, ev event.Event) error {
	return a.handleEvent(ctx, event.Provision, ev, func(tx Tx, agg *Aggregate) bool {
		if ev.Type == order.EvCancelled {
			if agg.Order.State != order.Cancelled {
				return false
			}
			agg.closeTasks(fulfil.Validate, order.ItemID{})
			return true
		}
		return a.dropFallbackWait(agg, ev, tx.Now(), fulfil.Validate)
	})
}
