package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/order"
)

// HoldOrder keeps a paid order from going on until it is released (D12): its validation loses its
// due time. One that is being validated this moment loses its fence.
func (a *App) HoldOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	return a.reasoned(ctx, c, HoldOrders, in, func(tx Tx, agg *Aggregate) (bool, error) {
		o := agg.Order
		if !o.MayHold() {
			return false, o.Refuse(string(order.ActHold))
		}
		now := tx.Now()
		o.HeldAt = &now
		a.dueValidation(agg, time.Time{})
		o.Record(order.Event{Type: order.EvHeld, Reason: in.Reason})
		return true, nil
	})
}

// ReleaseOrder lets a held order go on now.
func (a *App) ReleaseOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	return a.reasoned(ctx, c, HoldOrders, in, func(tx Tx, agg *Aggregate) (bool, error) {
		o := agg.Order
		if !o.MayRelease() {
			return false, o.Refuse(string(order.ActRelease))
		}
		o.HeldAt = nil
		a.dueValidation(agg, tx.Now())
		o.Record(order.Event{Type: order.EvReleased, Reason: in.Reason})
		return true, nil
	})
}
