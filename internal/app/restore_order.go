package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/order"
)

// RestoreOrder makes a cancelled and settled order a draft again, with its number and its snapshots (D8). It needs a
// new payment. Its items start over under a new generation, so that no old resource is adopted.
func (a *App) RestoreOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	return a.onOrderWithReason(ctx, c, WriteOrders, in, func(_ Tx, agg *Aggregate) (bool, error) {
		o := agg.Order
		if _, err := order.Next(o, order.Restore); err != nil {
			return false, err
		}
		for i := range o.Items {
			if err := o.MoveItem(&o.Items[i], order.RestoreItem, order.ItemFact{}, in.Reason); err != nil {
				return false, err
			}
		}
		if p := o.LivePayment(); p != nil {
			p.State = order.PaymentSpent
		}
		_, err := o.Fire(order.Restore, in.Reason)
		return true, err
	})
}
