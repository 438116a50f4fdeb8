package crashpoint

import (
	"context"
	"slices"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// watched is a transaction that is looked at: which points it makes durable is told by what it saves.
type watched struct {
	app.Tx
	read   map[*app.Dossier]picture
	points []Point
}

// picture is what a dossier was when it was read.
type picture struct {
	units  []fulfil.Unit
	parts  []fulfil.Part
	faults int
}

// LockOrder remembers what it read.
func (w *watched) LockOrder(ctx context.Context, o order.ID, also app.Also) (*app.Dossier, error) {
	d, err := w.Tx.LockOrder(ctx, o, also)
	if err == nil {
		w.read[d] = picture{slices.Clone(d.Units), slices.Clone(d.Parts), len(d.Order.Faults)}
	}
	return d, err
}

// Discard forgets the points with the writes.
func (w *watched) Discard() {
	w.points = nil
	w.Tx.Discard()
}

// Save notes the points that the write makes durable.
func (w *watched) Save(d *app.Dossier) {
	old := w.read[d]
	for i := range d.Units {
		w.noteUnit(unitOf(old.units, d.Units[i].ID), d.Units[i])
	}
	for _, p := range d.Parts {
		w.notePart(partOf(old.parts, p), p)
	}
	if len(d.Order.Faults) > old.faults {
		w.note(Validated)
	}
	for _, e := range d.Added.Events {
		w.noteEvent(e.Type, d.Order)
	}
	w.Tx.Save(d)
}

func (w *watched) note(p Point) {
	if !slices.Contains(w.points, p) {
		w.points = append(w.points, p)
	}
}

func (w *watched) noteUnit(was, is fulfil.Unit) {
	switch {
	case is.Kind == fulfil.Provision && is.Undoing && is.State == fulfil.Stuck && was.State != fulfil.Stuck:
		w.note(Absent)
	case was.Sent || !is.Sent:
	case is.Kind == fulfil.Provision && !is.Undoing:
		w.note(StepIntent)
	case is.Kind == fulfil.Checkout:
		w.note(PaymentIntent)
	case is.Kind == fulfil.Refund:
		w.note(RefundTaken)
	}
}

func (w *watched) notePart(was, is fulfil.Part) {
	if len(is.Refs) > len(was.Refs) {
		w.note(RefRecorded)
	}
	if is.Phase == was.Phase {
		return
	}
	switch is.Phase {
	case fulfil.PartDone:
		w.note(ReadyRecorded)
	case fulfil.Gone:
		w.note(Absent)
	default: // no durable point of its own
	}
}

func (w *watched) noteEvent(e order.EventType, o *order.Order) {
	switch e {
	case order.EvSubmitted:
		w.note(Submitted)
	case order.EvPaymentConfirmed:
		w.note(PaymentRecorded)
	case order.EvProvisioningStarted:
		w.note(Validated)
	case order.EvItemActive:
		w.note(ItemActive)
	case order.EvPartiallyFulfilled:
		w.note(StateDerived)
	case order.EvFulfilled:
		w.note(StateDerived)
		if o.Outcome != order.OutcomeFull {
			w.note(OrderClosed)
		}
	case order.EvFailed, order.EvCancelled:
		w.note(StateDerived)
		w.note(OrderClosed)
	case order.EvServiceDelivered:
		w.note(Delivered)
	case order.EvRefundRequested:
		w.note(TurnedBack)
	case order.EvRefundAccepted:
		w.note(RefundRecorded)
	case order.EvItemRolledBack:
		w.note(RolledBack)
	}
}

func unitOf(all []fulfil.Unit, u fulfil.UnitID) fulfil.Unit {
	for i := range all {
		if all[i].ID == u {
			return all[i]
		}
	}
	return fulfil.Unit{}
}

func partOf(all []fulfil.Part, p fulfil.Part) fulfil.Part {
	for i := range all {
		if all[i].Unit == p.Unit && all[i].Part == p.Part && all[i].Generation == p.Generation {
			return all[i]
		}
	}
	return fulfil.Part{}
}
