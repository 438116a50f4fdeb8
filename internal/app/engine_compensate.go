package app

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// compensateUndelivered starts the compensation of every item that was not delivered. It also closes the
// order's pending validation and checkout.
func (a *App) compensateUndelivered(agg *Aggregate, now time.Time, reason string) {
	agg.closeTasks(fulfil.Validate, order.ItemID{})
	agg.closeTasks(fulfil.Checkout, order.ItemID{})
	for i := range agg.Order.Items {
		it := &agg.Order.Items[i]
		if task := agg.deliverTask(it.ID); it.State == order.ItemActive && task != nil && task.Sent {
			// Its mail is in flight. If the mail server accepts it, the item stays; if not, recordDelivery compensates it.
			continue
		}
		a.compensate(agg, it, now, reason)
	}
}

// failItem starts the compensation of an item whose provisioning failed for good. Under all_or_nothing it
// compensates the order's other items too (D1).
func (a *App) failItem(agg *Aggregate, it *order.Item, now time.Time, reason string) error {
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

// compensate starts the compensation of one item. An item on which no work has begun is dropped; otherwise its
// task removes what was made, from the current step backwards. The refund is requested at once and runs beside
// the removal.
func (a *App) compensate(agg *Aggregate, it *order.Item, now time.Time, reason string) {
	if err := agg.Order.MoveItem(it, order.Unrecoverable, order.ItemFact{}, reason); err != nil {
		return // delivered, or compensating already
	}
	agg.closeTasks(fulfil.Deliver, it.ID)
	if task := agg.ProvisionTask(it.ID); task != nil {
		if it.State == order.ItemCancelled {
			agg.closeTasks(fulfil.Provision, it.ID)
		} else if !task.Compensating {
			a.startCompensation(agg, task, now)
		}
	}
	agg.Order.RequestRefund(newID[order.Refund](a), it, reason)
}

// startCompensation makes an item's task remove what it created, due now.
func (a *App) startCompensation(agg *Aggregate, task *fulfil.Task, now time.Time) {
	task.Steps = a.stepNames(agg, task.Item)
	compensating := fulfil.Compensate(*task)
	compensating.State, compensating.Epoch, compensating.NextAt = fulfil.Queued, task.Epoch+1, now
	*task = compensating
}

// newerResourceRemains reports whether another compensating item of the order still has a newer resource, since
// the resource that was created last is removed first. It skips stuck tasks, so nothing waits for a person.
func (a *App) newerResourceRemains(agg *Aggregate, task *fulfil.Task) bool {
	mine := agg.newestCallTime(task.ID)
	for _, other := range agg.Tasks {
		if other.ID == task.ID || other.Kind != fulfil.Provision || !other.Compensating || !other.Live() {
			continue
		}
		theirs := agg.newestCallTime(other.ID)
		if theirs.After(mine) || theirs.Equal(mine) && !theirs.IsZero() && other.ID.String() > task.ID.String() {
			return true // created at the same moment: the later task goes first
		}
	}
	return false
}
