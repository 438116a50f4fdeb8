package app

import (
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// workFor writes the work that an event calls for, in the transaction of the event: no event is ever without
// its work, whatever becomes of the broker (D20, ADR 0006). Work that a consumer makes due earlier is due
// Fallback later; the rest is due at once.
func (a *App) workFor(d *Dossier, e order.Event, rec event.Record, now time.Time) error {
	switch e.Type {
	case order.EvSubmitted:
		if p, ok := a.Payments[d.Order.Method]; ok && p.ConfirmsItself() {
			a.addUnit(d, fulfil.Unit{Kind: fulfil.Checkout, NextAt: now.Add(a.Fallback)}, rec.ID)
		}
	case order.EvPaymentConfirmed:
		window := time.Duration(d.Settings.SafetyWindow) * time.Second
		due := now.Add(a.Fallback + window)
		a.addUnit(d, fulfil.Unit{Kind: fulfil.Validate, Payment: e.Payment.ID, NextAt: due}, rec.ID)
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
		a.addRefund(d, e.Refund, rec.ID, now)
	}
	return nil
}

// addRefund begins a refund that is not under way.
func (a *App) addRefund(d *Dossier, r *order.Refund, cause event.ID, now time.Time) {
	underWay := d.last(func(u fulfil.Unit) bool {
		return u.Kind == fulfil.Refund && u.Payment == r.Payment && u.Item == r.Item && u.State != fulfil.Closed
	})
	if underWay != nil {
		return
	}
	u := fulfil.Unit{Kind: fulfil.Refund, Payment: r.Payment, Item: r.Item, NextAt: now.Add(a.Fallback)}
	a.addUnit(d, u, cause)
}

// addProvision begins the provisioning of a queued item at the provider that Placement names.
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

// addUnit adds a unit of the order to what is saved with it.
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

// dueValidation moves the order's validation to a time; zero means not before somebody says so.
func (a *App) dueValidation(d *Dossier, at time.Time) {
	if u := d.ValidateUnit(); u != nil {
		u.NextAt, u.Epoch, u.Sent = at, u.Epoch+1, false
		u.State = 0 // queued: the feeder finds it again when it is due
	}
}

// Unit finds a unit of the dossier by its id, or nil.
func (d *Dossier) Unit(u fulfil.UnitID) *fulfil.Unit {
	for i := range d.Units {
		if d.Units[i].ID == u {
			return &d.Units[i]
		}
	}
	return nil
}

// ProvisionUnit is the newest unit that provisions an item, or nil before provisioning.
func (d *Dossier) ProvisionUnit(it order.ItemID) *fulfil.Unit {
	return d.last(func(u fulfil.Unit) bool { return u.Kind == fulfil.Provision && u.Item == it })
}

// ValidateUnit is the unit that will validate the order, while it is still to come, or nil.
func (d *Dossier) ValidateUnit() *fulfil.Unit {
	return d.last(func(u fulfil.Unit) bool { return u.Kind == fulfil.Validate && u.Live() })
}

// deliverUnit is the item's unfinished first delivery, or nil.
func (d *Dossier) deliverUnit(it order.ItemID) *fulfil.Unit {
	return d.last(func(u fulfil.Unit) bool {
		return u.Kind == fulfil.Deliver && u.Item == it && u.State != fulfil.Closed
	})
}

// last finds the newest unit that matches, or nil.
func (d *Dossier) last(match func(fulfil.Unit) bool) *fulfil.Unit {
	var found *fulfil.Unit
	for i := range d.Units {
		if match(d.Units[i]) && (found == nil || d.Units[i].ID.String() > found.ID.String()) {
			found = &d.Units[i]
		}
	}
	return found
}
