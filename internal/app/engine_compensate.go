package app

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// dropWork sends every item that was not delivered back, and ends the validation to come.
func (a *App) dropWork(agg *Aggregate, now time.Time, reason string) {
	agg.close(fulfil.Validate, order.ItemID{})
	agg.close(fulfil.Checkout, order.ItemID{})
	for i := range agg.Order.Items {
		it := &agg.Order.Items[i]
		if task := agg.deliverTask(it.ID); it.State == order.ItemActive && task != nil && task.Sent {
			continue // its mail is under way: when it is accepted, the item stays; when refused, the item goes back
		}
		a.compensate(agg, it, now, reason)
	}
}

// giveUpItem sends back an item whose provisioning failed for good. Under all_or_nothing the whole order goes
// back with it (D1).
func (a *App) giveUpItem(agg *Aggregate, it *order.Item, now time.Time, reason string) error {
	o := agg.Order
	if err := o.MoveItem(it, order.Unrecoverable, order.ItemFact{}, reason); err != nil {
		return err
	}
	o.RequestRefund(newID[order.Refund](a), it, reason)
	if o.Policy != order.AllOrNothing {
		return nil
	}
	for i := range o.Items {
		if o.Items[i].ID != it.ID {
			a.compensate(agg, &o.Items[i], now, "another item of this all-or-nothing order could not be provisioned")
		}
	}
	return nil
}

// compensate sends one item back: dropped when nothing was begun, else its task undoes what was made,
// from the step it is at. Its refund is asked for at once, in parallel to the clean-up.
func (a *App) compensate(agg *Aggregate, it *order.Item, now time.Time, reason string) {
	if err := agg.Order.MoveItem(it, order.Unrecoverable, order.ItemFact{}, reason); err != nil {
		return // delivered, or on its way back already: nothing to turn
	}
	agg.close(fulfil.Deliver, it.ID)
	if task := agg.ProvisionTask(it.ID); task != nil {
		if it.State == order.ItemCancelled {
			agg.close(fulfil.Provision, it.ID)
		} else if !task.Compensating {
			a.reopenBack(agg, task, now)
		}
	}
	agg.Order.RequestRefund(newID[order.Refund](a), it, reason)
}

// reopenBack has an item's task undo what it made, due now.
func (a *App) reopenBack(agg *Aggregate, task *fulfil.Task, now time.Time) {
	task.Steps = a.stepNames(agg, task.Item)
	back := fulfil.Compensate(*task)
	back.State, back.Epoch, back.NextAt = fulfil.Queued, task.Epoch+1, now
	*task = back
}

// newerLeft reports whether another item of the order, going back too, still has a younger resource:
// the last provisioned is rolled back first. Stuck tasks are skipped, so nothing waits for a person.
func (a *App) newerLeft(agg *Aggregate, task *fulfil.Task) bool {
	mine := agg.youngest(task.ID)
	for _, other := range agg.Tasks {
		if other.ID == task.ID || other.Kind != fulfil.Provision || !other.Compensating || !other.Live() {
			continue
		}
		theirs := agg.youngest(other.ID)
		if theirs.After(mine) || theirs.Equal(mine) && !theirs.IsZero() && other.ID.String() > task.ID.String() {
			return true // of two asked for in the same moment the one that was handed out later
		}
	}
	return false
}
