package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// Redeliver asks for a delivered item's credentials again.
type Redeliver struct {
	Order order.ID
	Item  order.ItemID
	Precondition
}

// The bounds of re-delivery per item (D21).
const (
	redeliveriesPerHour = 3
	redeliveriesPerDay  = 10
)

// Redeliver mails an item's access again, to the address on file only, under new ciphertext and with
// a new passphrase (D21). It never rolls anything back.
func (a *App) Redeliver(ctx context.Context, c Caller, in Redeliver) (*Aggregate, error) {
	return a.onOrder(ctx, c, WriteOrders, in.Order, in.Precondition, Also{Deliveries: true}, func(tx Tx,
		agg *Aggregate,
	) (bool, error) {
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
		if after := tooOften(agg.Tasks, it.ID, tx.Now()); after > 0 {
			e := fault.New(fault.KindTooMany, "redelivery-too-often",
				"An item is delivered again at most %d times an hour and %d times a day.", redeliveriesPerHour, redeliveriesPerDay)
			e.After = after
			return false, e
		}
		agg.close(fulfil.Deliver, it.ID)
		from := order.ItemFact{Item: *it, From: it.State, To: it.State}
		agg.Order.Record(order.Event{Type: order.EvRedeliveryRequested, Item: &from})
		agg.Order.DeliveryStuck = agg.deliveryStuck()
		task := fulfil.Task{Kind: fulfil.Deliver, Item: it.ID, NextAt: tx.Now()}
		task.Subject = newID[fulfil.Subject](a)
		a.addTask(agg, task, [16]byte{})
		agg.Order.Resettle("")
		return true, nil
	})
}

// deliveryStuck reports whether a delivery of any of the order's items stands on the fallout desk.
func (agg *Aggregate) deliveryStuck() bool {
	return agg.last(func(task fulfil.Task) bool {
		return task.Kind == fulfil.Deliver && task.State == fulfil.Stuck
	}) != nil
}

// tooOften counts the re-deliveries asked for: tasks of the kind with a subject of their own, whose
// ids carry their time.
func tooOften(tasks []fulfil.Task, it order.ItemID, now time.Time) time.Duration {
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
