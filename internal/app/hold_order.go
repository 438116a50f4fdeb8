package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/order"
)

// HoldOrder stops a paid order until it is released (D12). Its validation loses its due time. A worker that is
// validating the order at this moment gets ErrFenced.
func (a *App) HoldOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	return a.onOrderWithReason(ctx, c, HoldOrders, in, func(tx Tx, agg *Aggregate) (bool, error) {
		o := agg.Order
		if !o.MayHold() {
			return false, o.Refuse(string(order.ActHold))
		}
		now := tx.Now()
		o.HeldAt = &now
		a.rescheduleValidation(agg, time.Time{})
		o.Record(order.Event{Type: order.EvHeld, Reason: in.Reason})
		return true, nil
	})
}

// ReleaseOrder makes the validation of a held order due now.
func (a *App) ReleaseOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	return a.onOrderWithReason(ctx, c, HoldOrders, in, func(tx Tx, agg *Aggregate) (bool, error) {
		o := agg.Order
		if !o.MayRelease() {
			return false, o.Refuse(string(order.ActRelease))
		}
		o.HeldAt = nil
		a.rescheduleValidation(agg, tx.Now())
		o.Record(order.Event{Type: order.EvReleased, Reason: in.Reason})
		return true, nil
	})
}
