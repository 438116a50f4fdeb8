package failpoint

import (
	"context"
	"slices"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// watchedTx is a transaction that notes which points it makes durable, from what it saves.
type watchedTx struct {
	app.Tx
	snapshots map[*app.Aggregate]snapshot
	points    []Point
}

// snapshot holds what the points depend on, as it was when the aggregate was read.
type snapshot struct {
	tasks     []fulfil.Task
	resources []fulfil.Resource
	faults    int
}

// LockOrder also takes a snapshot of what it read.
func (w *watchedTx) LockOrder(ctx context.Context, o order.ID, also app.Also) (*app.Aggregate, error) {
	agg, err := w.Tx.LockOrder(ctx, o, also)
	if err == nil {
		w.snapshots[agg] = snapshot{slices.Clone(agg.Tasks), slices.Clone(agg.Resources), len(agg.Order.Faults)}
	}
	return agg, err
}

// Discard also drops the points of the discarded writes.
func (w *watchedTx) Discard() {
	w.points = nil
	w.Tx.Discard()
}

// Save also notes the points that the write makes durable.
func (w *watchedTx) Save(agg *app.Aggregate) {
	old := w.snapshots[agg]
	for i := range agg.Tasks {
		w.noteTask(taskOf(old.tasks, agg.Tasks[i].ID), agg.Tasks[i])
	}
	for _, res := range agg.Resources {
		w.noteResource(resourceOf(old.resources, res), res)
	}
	if len(agg.Order.Faults) > old.faults {
		w.note(Validated)
	}
	for _, e := range agg.Added.Events {
		w.noteEvent(e.Type, agg.Order)
	}
	w.Tx.Save(agg)
}

func (w *watchedTx) note(p Point) {
	if !slices.Contains(w.points, p) {
		w.points = append(w.points, p)
	}
}

func (w *watchedTx) noteTask(was, is fulfil.Task) {
	switch {
	case is.Kind == fulfil.Provision && is.Compensating && is.State == fulfil.Stuck && was.State != fulfil.Stuck:
		w.note(Absent)
	case was.Sent || !is.Sent:
	case is.Kind == fulfil.Provision && !is.Compensating:
		w.note(StepIntent)
	case is.Kind == fulfil.Checkout:
		w.note(PaymentIntent)
	case is.Kind == fulfil.Refund:
		w.note(RefundTaken)
	}
}

func (w *watchedTx) noteResource(was, is fulfil.Resource) {
	if len(is.Refs) > len(was.Refs) {
		w.note(RefRecorded)
	}
	if is.Phase == was.Phase {
		return
	}
	switch is.Phase {
	case fulfil.Ready:
		w.note(ReadyRecorded)
	case fulfil.Gone:
		w.note(Absent)
	default: // no durable point of its own
	}
}

func (w *watchedTx) noteEvent(e order.EventType, o *order.Order) {
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
		w.note(CompensationBegun)
	case order.EvRefundAccepted:
		w.note(RefundRecorded)
	case order.EvItemRolledBack:
		w.note(RolledBack)
	}
}

func taskOf(all []fulfil.Task, taskID fulfil.TaskID) fulfil.Task {
	for i := range all {
		if all[i].ID == taskID {
			return all[i]
		}
	}
	return fulfil.Task{}
}

func resourceOf(all []fulfil.Resource, res fulfil.Resource) fulfil.Resource {
	for i := range all {
		if all[i].Task == res.Task && all[i].Step == res.Step && all[i].Generation == res.Generation {
			return all[i]
		}
	}
	return fulfil.Resource{}
}
