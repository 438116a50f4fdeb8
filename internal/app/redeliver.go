package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// Redeliver describes a request to mail an item's credentials again.
type Redeliver struct {
	Order order.ID
	Item  order.ItemID
	Precondition
}

// The limits of re-deliveries per item (D21).
const (
	redeliveriesPerHour = 3
	redeliveriesPerDay  = 10
)

// Redeliver mails an item's credentials again, only to the address on file, newly encrypted and with a new passphrase
// (D21). It never starts a compensation.
func (a *App) Redeliver(ctx context.Context, c Caller, in Redeliver) (*Aggregate, error) {
	redeliver := func(tx Tx, agg *Aggregate) (bool, error) {
		it := agg.Order.Find(in.Item)
		if it == nil {
			return false, fault.Absent()
		}
		stuck := agg.deliverTask(it.ID)
		if it.State != order.ItemDelivered && (it.State != order.ItemActive || stuck == nil || stuck.State != fulfil.Stuck) {
			e := fault.New(fault.KindConflict, fault.CodeIllegalTransition,
				"This item is %s; only a delivered item can be delivered again.", it.State)
			e.Members = map[string]any{"state": it.State.String()}
			return false, e
		}
		if after := redeliveryWait(agg.Tasks, it.ID, tx.Now()); after > 0 {
			e := fault.New(fault.KindTooMany, "redelivery-too-often",
				"An item is delivered again at most %d times an hour and %d times a day.", redeliveriesPerHour, redeliveriesPerDay)
			e.After = after
			return false, e
		}
		agg.closeTasks(fulfil.Deliver, it.ID)
		from := order.ItemFact{Item: *it, From: it.State, To: it.State}
		agg.Order.Record(order.Event{Type: order.EvRedeliveryRequested, Item: &from})
		agg.Order.DeliveryStuck = agg.deliveryStuck()
		task := fulfil.Task{Kind: fulfil.Deliver, Item: it.ID, NextAt: tx.Now()}
		task.Subject = newID[fulfil.Subject](a)
		a.addTask(agg, task, [16]byte{})
		agg.Order.Resettle("")
		return true, nil
	}
	return a.onOrder(ctx, c, WriteOrders, in.Order, in.Precondition, Also{Deliveries: true}, redeliver)
}

// deliveryStuck reports whether the delivery of any item of the order is stuck.
func (agg *Aggregate) deliveryStuck() bool {
	return agg.newestTask(func(task fulfil.Task) bool {
		return task.Kind == fulfil.Deliver && task.State == fulfil.Stuck
	}) != nil
}

// redeliveryWait returns how long an item must wait for its next re-delivery, or 0. It counts the item's re-delivery
// tasks, which have a subject, by the times in their ids.
func redeliveryWait(tasks []fulfil.Task, it order.ItemID, now time.Time) time.Duration {
	hour, day := 0, 0
	var oldestHour, oldestDay time.Time
	for _, task := range tasks {
		if task.Kind != fulfil.Deliver || task.Item != it || task.Subject.IsZero() {
			continue
		}
		at := task.ID.Time()
		if now.Sub(at) < time.Hour {
			if hour++; oldestHour.IsZero() || at.Before(oldestHour) {
				oldestHour = at
			}
		}
		if now.Sub(at) < 24*time.Hour {
			if day++; oldestDay.IsZero() || at.Before(oldestDay) {
				oldestDay = at
			}
		}
	}
	switch {
	case day >= redeliveriesPerDay:
		return oldestDay.Add(24 * time.Hour).Sub(now)
	case hour >= redeliveriesPerHour:
		return oldestHour.Add(time.Hour).Sub(now)
	default:
		return 0
	}
}
