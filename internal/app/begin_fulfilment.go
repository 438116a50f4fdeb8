package app

import (
	"context"
	"time"

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
	return a.hear(ctx, event.Provision, ev, func(tx Tx, d *Dossier) bool {
		if ev.Type == order.EvCancelled {
			if d.Order.State != order.Cancelled {
				return false
			}
			d.close(fulfil.Validate, order.ItemID{})
			return true
		}
		return a.pull(d, ev, tx.Now(), fulfil.Validate)
	})
}

// hear runs a consumer's effect in the transaction of its inbox mark: a duplicate ends it with
// ErrDuplicate, an order the event's tenant does not have with a fault of KindNotFound.
func (a *App) hear(ctx context.Context, who event.Consumer, ev event.Event, effect func(tx Tx, d *Dossier) (changed bool)) error {
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

// pull takes the fallback wait off the unit that an event asked for, unless it has begun or is held.
func (a *App) pull(d *Dossier, ev event.Event, now time.Time, k fulfil.Kind) bool {
	for i := range d.Units {
		u := &d.Units[i]
		if u.Kind != k || u.Cause != ev.ID || u.State != fulfil.Queued || u.Try > 0 || u.Epoch > 0 || u.NextAt.IsZero() {
			continue
		}
		if due := u.NextAt.Add(-a.Fallback); due.After(now) {
			u.NextAt = due
		} else {
			u.NextAt = now
		}
		return true
	}
	return false
}
