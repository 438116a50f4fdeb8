package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/order"
)

// CancelOrder ends an order from any state that allows it (D7): at once while nothing was paid; with
// a refund before provisioning; as a request from then on. No new work starts, a call in flight loses
// its fence and is resolved by the clean-up, delivered items stay. A second cancel changes nothing.
func (a *App) CancelOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	return a.reasoned(ctx, c, WriteOrders, in, func(tx Tx, agg *Aggregate) (bool, error) {
		return a.cancel(tx, agg, order.Cancel, in.Reason)
	})
}

func (a *App) cancel(tx Tx, agg *Aggregate, on order.Trigger, reason string) (bool, error) {
	o := agg.Order
	t, err := order.Next(o, on)
	if err != nil || t.How == order.NoOp {
		return false, err
	}
	if t.How == order.AtOnce { // the order is over with this event, so its items come before it
		a.dropWork(agg, tx.Now(), reason)
	}
	if _, err := o.Fire(on, reason); err != nil {
		return false, err
	}
	if t.How != order.AtOnce {
		a.dropWork(agg, tx.Now(), reason)
	}
	if o.State == order.Cancelled {
		deleted := tx.Now()
		o.DeletedAt, o.ExpiresAt = &deleted, nil
	}
	a.settle(agg, tx.Now(), reason)
	return true, nil
}
