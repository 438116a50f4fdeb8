package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/order"
)

// CancelOrder cancels an order from any state that allows it (D7): at once while nothing is paid, with a refund
// before provisioning, and as a request from then on. No new work starts. A call in flight is fenced off, and the
// compensation resolves what it did. Delivered items stay. A second cancel changes nothing.
func (a *App) CancelOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	return a.onOrderWithReason(ctx, c, WriteOrders, in, func(tx Tx, agg *Aggregate) (bool, error) {
		return a.cancel(tx, agg, order.Cancel, in.Reason)
	})
}

func (a *App) cancel(tx Tx, agg *Aggregate, on order.Trigger, reason string) (bool, error) {
	o := agg.Order
	t, err := order.Next(o, on)
	if err != nil || t.How == order.NoOp {
		return false, err
	}
	if t.How == order.AtOnce { // this event ends the order, so the events of its items come before it
		a.compensateUndelivered(agg, tx.Now(), reason)
	}
	if _, err := o.Fire(on, reason); err != nil {
		return false, err
	}
	if t.How != order.AtOnce {
		a.compensateUndelivered(agg, tx.Now(), reason)
	}
	if o.State == order.Cancelled {
		deleted := tx.Now()
		o.DeletedAt, o.ExpiresAt = &deleted, nil
	}
	a.settle(agg, tx.Now(), reason)
	return true, nil
}
