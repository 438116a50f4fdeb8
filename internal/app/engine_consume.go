package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
)

// hear runs a consumer's effect in the transaction of its inbox mark: a duplicate ends it with
// ErrDuplicate, an order the event's tenant does not have with a fault of KindNotFound.
func (a *App) hear(
	ctx context.Context, who event.Consumer, ev event.Event, effect func(tx Tx, d *Dossier) (changed bool),
) error {
	mark := &InboxMark{Consumer: string(who), Order: ev.Order, Seq: ev.Seq}
	return a.Store.InTenant(ctx, ev.Tenant, With{Inbox: mark}, func(tx Tx) error {
		d, err := tx.LockOrder(ctx, ev.Order, Also{})
		if err != nil {
			return err
		}
		if effect(tx, d) {
			tx.Save(d)
		}
		return nil
	})
}
