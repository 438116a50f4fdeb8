package app

import (
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// workFor writes the work that an event calls for, in the transaction of the event: so no event is
// ever without its work, whatever becomes of the broker (D20). What a consumer will pull forward is
// due Fallback later; the rest at once.
func (a *App) workFor(d *Dossier, e order.Event, rec event.Record, now time.Time) error {
	switch e.Type {
	case order.EvSubmitted:
		if p, ok := a.Payments[d.Order.Method]; ok && p.ConfirmsItself() {
			a.addUnit(d, fulfil.Unit{Kind: fulfil.Checkout, NextAt: now.Add(a.Fallback)}, rec.ID)
		}
	case order.EvPaymentConfirmed:
		window := time.Duration(d.Settings.SafetyWindow) * time.Second
		a.addUnit(d, fulfil.Unit{Kind: fulfil.Validate, Payment: e.Payment.ID, NextAt: now.Add(a.Fallback + window)}, rec.ID)
	case order.EvPaymentReverted:
		d.close(fulfil.Validate, order.ItemID{})
	case order.EvProvisioningStarted:
		for i := range d.Order.Items {
			if err := a.addProvision(d, &d.Order.Items[i], rec.ID, now); err != nil {
				return err
			}
		}
	case order.EvItemActive:
		a.addDeliveries(d, rec.ID, now)
	case order.EvRefundRequested:
		if u := d.last(func(u fulfil.Unit) bool {
			return u.Kind == fulfil.Refund && u.Payment == e.Refund.Payment && u.Item == e.Refund.Item && u.State != fulfil.Closed
		}); u == nil {
			a.addUnit(d, fulfil.Unit{Kind: fulfil.Refund, Payment: e.Refund.Payment, Item: e.Refund.Item, NextAt: now.Add(a.Fallback)}, rec.ID)
		}
	}
	return nil
}

func (a *App) addProvision(d *Dossier, it *order.Item, cause event.ID, now time.Time) error {
	if it.State != order.ItemQueued {
		return nil
	}
	name, ok := a.Placement(it.Snapshot.Product, it.Snapshot.Region)
	if !ok {
		return fmt.Errorf("no provider is configured for %s in %s", it.Snapshot.Product, it.Snapshot.Region)
	}
	a.addUnit(d, fulfil.Unit{Kind: fulfil.Provision, Queue: name, Item: it.ID, NextAt: now}, cause)
	return nil
}

// addDeliveries begins delivery: of each item that became active, or under all_or_nothing of all at
// once when the last one is up (D1).
func (a *App) addDeliveries(d *Dossier, cause event.ID, now time.Time) {
	if d.Order.Closing != order.NotClosing {
		return
	}
	if d.Order.Policy == order.AllOrNothing && !d.Order.DeliveryBegun() {
		return
	}
	for _, it := range d.Order.Items {
		if it.State == order.ItemActive && d.deliverUnit(it.ID) == nil {
			a.addUnit(d, fulfil.Unit{Kind: fulfil.Deliver, Item: it.ID, NextAt: now}, cause)
		}
	}
}

// deliverUnit is the item's unfinished first delivery, or nil.
func (d *Dossier) deliverUnit(it order.ItemID) *fulfil.Unit {
	return d.last(func(u fulfil.Unit) bool {
		return u.Kind == fulfil.Deliver && u.Item == it && u.State != fulfil.Closed
	})
}

func (a *App) addUnit(d *Dossier, u fulfil.Unit, cause event.ID) {
	u.ID, u.Tenant, u.Order, u.Cause = newID[fulfil.Unit](a), d.Order.Tenant, d.Order.ID, cause
	if u.Queue == "" {
		u.Queue = u.Kind.String()
	}
	d.Units = append(d.Units, u)
}

// close ends the live units of a kind, of one item or (zero) of the order. A worker in the middle of
// one loses its fence.
func (d *Dossier) close(k fulfil.Kind, it order.ItemID) {
	for i := range d.Units {
		u := &d.Units[i]
		if u.Kind == k && u.State != fulfil.Closed && (it.IsZero() || u.Item == it) {
			u.State, u.Epoch, u.Sent = fulfil.Closed, u.Epoch+1, false
		}
	}
}
