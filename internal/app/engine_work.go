package app

import (
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
)

// workFor adds the tasks that an event calls for. They commit with the event, so no event is without its work,
// even when the broker is down (D20, ADR 0006). A task that a consumer makes due is due Fallback later without
// it; any other task is due at once.
func (a *App) workFor(agg *Aggregate, e order.Event, rec event.Record, now time.Time) error {
	switch e.Type {
	case order.EvSubmitted:
		if p, ok := a.Payments[agg.Order.Method]; ok && p.Properties().ConfirmedBy == payment.Gateway {
			a.addTask(agg, fulfil.Task{Kind: fulfil.Checkout, NextAt: now.Add(a.Fallback)}, rec.ID)
		}
	case order.EvPaymentConfirmed:
		window := time.Duration(agg.Settings.SafetyWindow) * time.Second
		due := now.Add(a.Fallback + window)
		a.addTask(agg, fulfil.Task{Kind: fulfil.Validate, Payment: e.Payment.ID, NextAt: due}, rec.ID)
	case order.EvPaymentReverted:
		agg.closeTasks(fulfil.Validate, order.ItemID{})
	case order.EvProvisioningStarted:
		for i := range agg.Order.Items {
			if err := a.addProvision(agg, &agg.Order.Items[i], rec.ID, now); err != nil {
				return err
			}
		}
	case order.EvItemActive:
		a.addDeliveries(agg, rec.ID, now)
	case order.EvRefundRequested:
		a.addRefund(agg, e.Refund, rec.ID, now)
	}
	return nil
}

// addRefund adds a refund's task, unless there is one that is not closed.
func (a *App) addRefund(agg *Aggregate, r *order.Refund, cause event.ID, now time.Time) {
	underWay := agg.newestTask(func(task fulfil.Task) bool {
		return task.Kind == fulfil.Refund && task.Payment == r.Payment && task.Item == r.Item && task.State != fulfil.Closed
	})
	if underWay != nil {
		return
	}
	task := fulfil.Task{Kind: fulfil.Refund, Payment: r.Payment, Item: r.Item, NextAt: now.Add(a.Fallback)}
	a.addTask(agg, task, cause)
}

// addProvision adds the provisioning task of a queued item, at the account that Placement returns.
func (a *App) addProvision(agg *Aggregate, it *order.Item, cause event.ID, now time.Time) error {
	if it.State != order.ItemQueued {
		return nil
	}
	name, ok := a.Placement(it.Snapshot.Product, it.Snapshot.Region)
	if !ok {
		return fmt.Errorf("no provider is configured for %s in %s", it.Snapshot.Product, it.Snapshot.Region)
	}
	a.addTask(agg, fulfil.Task{Kind: fulfil.Provision, Queue: name, Item: it.ID, NextAt: now}, cause)
	return nil
}

// addDeliveries adds the delivery tasks of active items that have none. Under all_or_nothing it adds them for all
// items at once, when the last one is active (D1).
func (a *App) addDeliveries(agg *Aggregate, cause event.ID, now time.Time) {
	if agg.Order.Closing != order.NotClosing {
		return
	}
	if agg.Order.Policy == order.AllOrNothing && !agg.Order.DeliveryBegun() {
		return
	}
	for _, it := range agg.Order.Items {
		if it.State == order.ItemActive && agg.deliverTask(it.ID) == nil {
			a.addTask(agg, fulfil.Task{Kind: fulfil.Deliver, Item: it.ID, NextAt: now}, cause)
		}
	}
}

// addTask adds a task to the aggregate.
func (a *App) addTask(agg *Aggregate, task fulfil.Task, cause event.ID) {
	task.ID, task.Tenant, task.Order, task.Cause = newID[fulfil.Task](a), agg.Order.Tenant, agg.Order.ID, cause
	if task.Queue == "" {
		task.Queue = task.Kind.String()
	}
	agg.Tasks = append(agg.Tasks, task)
}

// closeTasks closes the tasks of a kind, of one item or, when it is zero, of the whole order. It raises their
// epochs, so a worker that is running one gets ErrFenced.
func (agg *Aggregate) closeTasks(k fulfil.Kind, it order.ItemID) {
	for i := range agg.Tasks {
		task := &agg.Tasks[i]
		if task.Kind == k && task.State != fulfil.Closed && (it.IsZero() || task.Item == it) {
			task.State, task.Epoch, task.Sent = fulfil.Closed, task.Epoch+1, false
		}
	}
}

// dropFallbackWait takes Fallback off the due time of the task that an event called for. It leaves alone a task
// that has begun or is held, and reports whether it changed one.
func (a *App) dropFallbackWait(agg *Aggregate, ev event.Event, now time.Time, k fulfil.Kind) bool {
	for i := range agg.Tasks {
		task := &agg.Tasks[i]
		if task.Kind != k || task.Cause != ev.ID || task.State != fulfil.Queued || task.Try > 0 || task.Epoch > 0 ||
			task.NextAt.IsZero() {
			continue
		}
		if due := task.NextAt.Add(-a.Fallback); due.After(now) {
			task.NextAt = due
		} else {
			task.NextAt = now
		}
		return true
	}
	return false
}

// rescheduleValidation makes the order's validation due at a time; zero holds it until it is released.
func (a *App) rescheduleValidation(agg *Aggregate, at time.Time) {
	if task := agg.ValidateTask(); task != nil {
		task.NextAt, task.Epoch, task.Sent = at, task.Epoch+1, false
		task.State = fulfil.Queued // the feeder finds it when it is due
	}
}

// Task returns the task with an id, or nil.
func (agg *Aggregate) Task(taskID fulfil.TaskID) *fulfil.Task {
	for i := range agg.Tasks {
		if agg.Tasks[i].ID == taskID {
			return &agg.Tasks[i]
		}
	}
	return nil
}

// ProvisionTask returns the newest task that provisions an item, or nil before provisioning.
func (agg *Aggregate) ProvisionTask(it order.ItemID) *fulfil.Task {
	return agg.newestTask(func(task fulfil.Task) bool { return task.Kind == fulfil.Provision && task.Item == it })
}

// ValidateTask returns the order's live validation task, or nil.
func (agg *Aggregate) ValidateTask() *fulfil.Task {
	return agg.newestTask(func(task fulfil.Task) bool { return task.Kind == fulfil.Validate && task.Live() })
}

// deliverTask returns the item's newest delivery task that is not closed, or nil.
func (agg *Aggregate) deliverTask(it order.ItemID) *fulfil.Task {
	return agg.newestTask(func(task fulfil.Task) bool {
		return task.Kind == fulfil.Deliver && task.Item == it && task.State != fulfil.Closed
	})
}

// newestTask returns the newest task that matches, or nil.
func (agg *Aggregate) newestTask(match func(fulfil.Task) bool) *fulfil.Task {
	var found *fulfil.Task
	for i := range agg.Tasks {
		if match(agg.Tasks[i]) && (found == nil || agg.Tasks[i].ID.String() > found.ID.String()) {
			found = &agg.Tasks[i]
		}
	}
	return found
}
