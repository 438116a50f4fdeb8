package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// BeginFulfilment is the Provision consumer: what order.payment-confirmed starts. The validation was
// written with the payment and is due Fallback later; hearing the event takes that wait off, so
// provisioning starts from the event, and a broker that is away delays it and stops nothing (D20).
// Of a cancelled order it closes what is left; when the event comes so late that the order was restored
// and paid again meanwhile, that validation is not what it speaks of.
func (a *App) BeginFulfilment(ctx context.Context, ev event.Event) error {
	return a.handleEvent(ctx, event.Provision, ev, func(tx Tx, agg *Aggregate) bool {
		if ev.Type == order.EvCancelled {
			if agg.Order.State != order.Cancelled {
				return false
			}
			agg.close(fulfil.Validate, order.ItemID{})
			return true
		}
		return a.pull(agg, ev, tx.Now(), fulfil.Validate)
	})
}
