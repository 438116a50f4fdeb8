package app

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// dropWork sends every item that was not delivered back, and ends the validation to come.
func (a *App) dropWork(d *Dossier, now time.Time, reason string) {
	d.close(fulfil.Validate, order.ItemID{})
	d.close(fulfil.Checkout, order.ItemID{})
	for i := range d.Order.Items {
		it := &d.Order.Items[i]
		if u := d.deliverUnit(it.ID); it.State == order.ItemActive && u != nil && u.Sent {
			continue // its mail is under way: when it is accepted, the item stays; when refused, the item goes back
		}
		a.turnBack(d, it, now, reason)
	}
}

// giveUpItem sends back an item whose provisioning failed for good. Under all_or_nothing the whole order goes
// back with it (D1).
func (a *App) giveUpItem(d *Dossier, it *order.Item, now time.Time, reason string) error {
	o := d.Order
	if err := o.MoveItem(it, order.Unrecoverable, order.ItemFact{}, reason); err != nil {
		return err
	}
	o.RequestRefund(newID[order.Refund](a), it, reason)
	if o.Policy != order.AllOrNothing {
		return nil
	}
	for i := range o.Items {
		if o.Items[i].ID != it.ID {
			a.turnBack(d, &o.Items[i], now, "another item of this all-or-nothing order could not be provisioned")
		}
	}
	return nil
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

// reopenBack has an item's unit undo what it made, due now.
func (a *App) reopenBack(d *Dossier, u *fulfil.Unit, now time.Time) {
	u.Parts = a.partsOf(d, u.Item)
	back := fulfil.TurnBack(*u)
	back.State, back.Epoch, back.NextAt = fulfil.Queued, u.Epoch+1, now
	*u = back
}

// newerLeft reports whether another item of the order, going back too, still has a younger resource:
// the last provisioned is rolled back first. Stuck units are skipped, so nothing waits for a person.
func (a *App) newerLeft(d *Dossier, u *fulfil.Unit) bool {
	mine := d.youngest(u.ID)
	for _, other := range d.Units {
		if other.ID == u.ID || other.Kind != fulfil.Provision || !other.Undoing || !other.Live() {
			continue
		}
		theirs := d.youngest(other.ID)
		if theirs.After(mine) || theirs.Equal(mine) && !theirs.IsZero() && other.ID.String() > u.ID.String() {
			return true // of two asked for in the same moment the one that was handed out later
		}
	}
	return false
}
