package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
)

// handleEvent runs a consumer's effect in the transaction that moves its checkpoint. It returns ErrDuplicate for
// an event that was applied before, and a fault of KindNotFound when the event's tenant has no such order.
func (a *App) handleEvent(
	ctx context.Context, who event.Consumer, ev event.Event, effect func(tx Tx, agg *Aggregate) (changed bool),
) error {
	position := &InboxPosition{Consumer: string(who), Order: ev.Order, Seq: ev.Seq}
	return a.Store.InTenant(ctx, ev.Tenant, With{Inbox: position}, func(tx Tx) error {
		agg, err := tx.LockOrder(ctx, ev.Order, Also{})
		if err != nil {
			return err
		}
		if effect(tx, agg) {
			tx.Save(agg)
		}
		return nil
	})
}
