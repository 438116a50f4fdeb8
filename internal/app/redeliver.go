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
func (a *App) Redeliver(ctx context.Context, c Caller, in Redeliver) (*Dossier, error) {
	return a.onOrder(ctx, c, WriteOrders, in.Order, in.Precondition, Also{Deliveries: true}, func(tx Tx, d *Dossier) (bool, error) {
		it := d.Order.Find(in.Item)
		if it == nil {
			return false, fault.Absent()
		}
		stuck := d.deliverUnit(it.ID)
		if it.State != order.ItemDelivered && (it.State != order.ItemActive || stuck == nil || stuck.State != fulfil.Stuck) {
			e := fault.New(fault.KindConflict, fault.CodeIllegalTransition, "This item is %s; only a delivered item can be delivered again.", it.State)
			e.Members = map[string]any{"state": it.State.String()}
			return false, e
		}
		if after := tooOften(d.Units, it.ID, tx.Now()); after > 0 {
			e := fault.New(fault.KindTooMany, "redelivery-too-often", "An item is delivered again at most %d times an hour and %d times a day.", redeliveriesPerHour, redeliveriesPerDay)
			e.After = after
			return false, e
		}
		d.close(fulfil.Deliver, it.ID)
		from := order.ItemFact{Item: *it, From: it.State, To: it.State}
		d.Order.Record(order.Event{Type: order.EvRedeliveryRequested, Item: &from})
		d.Order.DeliveryStuck = d.deliveryStuck()
		u := fulfil.Unit{Kind: fulfil.Deliver, Item: it.ID, NextAt: tx.Now()}
		u.Subject = newID[fulfil.Subject](a)
		a.addUnit(d, u, [16]byte{})
		d.Order.Resettle("")
		return true, nil
	})
}

// deliveryStuck tells whether a delivery of any of the order's items stands on the fallout desk.
func (d *Dossier) deliveryStuck() bool {
	return d.last(func(u fulfil.Unit) bool { return u.Kind == fulfil.Deliver && u.State == fulfil.Stuck }) != nil
}

// tooOften counts the re-deliveries asked for: units of the kind with a subject of their own, whose
// ids carry their time.
func tooOften(units []fulfil.Unit, it order.ItemID, now time.Time) time.Duration {
	hour, day := 0, 0
	var oldestHour, oldestDay time.Time
	for _, u := range units {
		if u.Kind != fulfil.Deliver || u.Item != it || u.Subject.IsZero() {
			continue
		}
		at := u.ID.Time()
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
