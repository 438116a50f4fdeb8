package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// CancelOrder ends an order from any state that allows it (D7): at once while nothing was paid; with
// a refund before provisioning; as a request from then on. No new work starts, a call in flight loses
// its fence and is resolved by the clean-up, delivered items stay. A second cancel changes nothing.
func (a *App) CancelOrder(ctx context.Context, c Caller, in Reasoned) (*Dossier, error) {
	return a.reasoned(ctx, c, WriteOrders, in, func(tx Tx, d *Dossier) (bool, error) {
		return a.cancel(tx, d, order.Cancel, in.Reason)
	})
}

func (a *App) cancel(tx Tx, d *Dossier, on order.Trigger, reason string) (bool, error) {
	o := d.Order
	t, err := order.Next(o, on)
	if err != nil || t.How == order.NoOp {
		return false, err
	}
	if t.How == order.AtOnce { // the order is over with this event, so its items come before it
		a.dropWork(d, tx.Now(), reason)
	}
	if _, err := o.Fire(on, reason); err != nil {
		return false, err
	}
	if t.How != order.AtOnce {
		a.dropWork(d, tx.Now(), reason)
	}
	if o.State == order.Cancelled {
		deleted := tx.Now()
		o.DeletedAt, o.ExpiresAt = &deleted, nil
	}
	a.settle(d, tx.Now(), reason)
	return true, nil
}

// dropWork sends every item that was not delivered back, and ends the validation to come.
func (a *App) dropWork(d *Dossier, now time.Time, reason string) {
	d.close(fulfil.Validate, order.ItemID{})
	d.close(fulfil.Checkout, order.ItemID{})
	for i := range d.Order.Items {
		it := &d.Order.Items[i]
		if u := d.deliverUnit(it.ID); it.State == order.ItemActive && u != nil && u.Sent {
			continue // its mail is under way: accepted, it stays; refused, it goes back (D7)
		}
		a.turnBack(d, it, now, reason)
	}
}

// turnBack sends one item back: dropped when nothing was begun, else its unit undoes what was made,
// from the step it is at. Its refund is asked for at once, in parallel to the clean-up.
func (a *App) turnBack(d *Dossier, it *order.Item, now time.Time, reason string) {
	if err := d.Order.MoveItem(it, order.Unrecoverable, order.ItemFact{}, reason); err != nil {
		return // delivered, or on its way back already: nothing to turn
	}
	d.close(fulfil.Deliver, it.ID)
	if u := d.ProvisionUnit(it.ID); u != nil {
		if it.State == order.ItemCancelled {
			d.close(fulfil.Provision, it.ID)
		} else if !u.Undoing {
			a.reopenBack(d, u, now)
		}
	}
	d.Order.RequestRefund(newID[order.Refund](a), it, reason)
}

func (a *App) reopenBack(d *Dossier, u *fulfil.Unit, now time.Time) {
	u.Parts = a.partsOf(d, u.Item)
	back := fulfil.TurnBack(*u)
	back.State, back.Epoch, back.NextAt = fulfil.Queued, u.Epoch+1, now
	*u = back
}

// settle derives the order's state after items or refunds moved; a cancelled order is hidden from
// lists from then on (D9).
func (a *App) settle(d *Dossier, now time.Time, reason string) {
	a.finishUndone(d, now, reason)
	d.Order.Resettle(reason)
	if d.Order.State == order.Cancelled && d.Order.DeletedAt == nil {
		d.Order.DeletedAt = &now
	}
}

// finishUndone fires undone for every item whose clean-up is confirmed and whose refund was accepted,
// whichever came second (D4).
func (a *App) finishUndone(d *Dossier, now time.Time, reason string) {
	for i := range d.Order.Items {
		it := &d.Order.Items[i]
		if it.State != order.ItemCompensating {
			continue
		}
		u := d.ProvisionUnit(it.ID)
		r := d.Order.RefundOf(it.ID)
		if u == nil || u.State != fulfil.Closed || r == nil || !r.State.Accepted() {
			continue
		}
		if err := d.Order.MoveItem(it, order.Undone, order.ItemFact{}, reason); err == nil {
			d.Added.Destroyed = append(d.Added.Destroyed, it.ID)
			d.closeLetters(it.ID, now)
		}
	}
}

// closeLetters closes the dead letters of a step that failed, now that its item is gone for good.
func (d *Dossier) closeLetters(it order.ItemID, now time.Time) {
	for i := range d.Letters {
		if l := &d.Letters[i]; l.Item == it && l.Source == "step" && (l.State == LetterOpen || l.State == LetterRedriven) {
			l.State, l.ClosedAt, l.Reason = LetterClosed, &now, "the item was rolled back and refunded"
		}
	}
}
