package app

import (
	"context"
	"fmt"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// commit writes one move of a worker under the order's lock. It returns ErrFenced, and writes nothing, when
// the task is no longer at the epoch that the move was made from. apply writes what the move means for the
// order; then the order's state is derived again, so that the commit that closes the last item or refund
// settles the order.
func (a *App) commit(
	ctx context.Context, from fulfil.Task, m fulfil.Move, apply func(tx Tx, agg *Aggregate, task *fulfil.Task) error,
) (*Aggregate, error) {
	unlock, err := a.orders.Lock(ctx, m.Task.Order)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var done *Aggregate
	err = a.Store.InTenant(ctx, m.Task.Tenant, With{}, func(tx Tx) error {
		agg, err := tx.LockOrder(ctx, m.Task.Order, Also{Resources: true})
		if err != nil {
			return err
		}
		task := agg.Task(m.Task.ID)
		if task == nil || task.Epoch != m.Task.Epoch-1 || !task.Live() {
			return ErrFenced
		}
		*task = m.Task
		agg.Added.Log = append(agg.Added.Log, a.logOf(from, m))
		before := agg.Order.LastSeq
		if err := apply(tx, agg, task); err != nil {
			return err
		}
		a.settle(agg, tx.Now(), m.Result.Note)
		by := causedBy(agg, m.Task)
		if agg.Order.LastSeq != before {
			err = a.save(tx, agg, by)
		} else {
			tx.Save(agg) // progress only: no new version, no event
		}
		done = agg
		return err
	})
	return done, err
}

// logOf is the line of the saga record that a move leaves.
func (a *App) logOf(from fulfil.Task, m fulfil.Move) LogEntry {
	l := LogEntry{
		Task: m.Task.ID, At: m.Result.At, Step: stepName(from), What: LogAnswer, Class: m.Result.Class,
		Note: m.Result.Note, Took: m.Result.Took,
	}
	if m.Task.Sent && !from.Sent {
		l.What = LogIntent
	}
	if m.Item == order.Unrecoverable {
		l.What = LogCompensating
	}
	if m.Task.Live() && m.Task.NextAt.After(m.Result.At) {
		l.Next = m.Task.NextAt
	}
	return l
}

// causedBy is the cause of what a task's work records.
func causedBy(agg *Aggregate, task fulfil.Task) event.Cause {
	return event.Cause{Actor: tenant.System(agg.Order.Tenant, "worker"), Event: task.Cause}
}

// commitProvision writes a move of an item's provisioning.
func (a *App) commitProvision(ctx context.Context, from fulfil.Task, m fulfil.Move) (*Aggregate, error) {
	return a.commit(ctx, from, m, func(tx Tx, agg *Aggregate, task *fulfil.Task) error {
		it := agg.Order.Find(task.Item)
		if it == nil {
			return fmt.Errorf("task %s has no item", task.ID)
		}
		if m.Result.AssertionChecked {
			agg.adoptAsserted(from, m.Result.Ref)
		} else {
			a.journal(agg, from, m)
		}
		if task.Progress > it.Progress && !task.Compensating {
			it.Progress = min(task.Progress, 99) // 100 is kept for active
		}
		if it.Detail = task.Detail; task.Compensating {
			it.Detail = "removing what was built"
		}
		if m.NewGeneration {
			it.Generation++
		}
		if m.Dead {
			agg.addDeadLetter(a.deadLetter(agg, from, m, tx.Now()))
		}
		return a.moveItem(tx, agg, it, task, m)
	})
}

// moveItem moves the item as the result of its task says.
func (a *App) moveItem(tx Tx, agg *Aggregate, it *order.Item, task *fulfil.Task, m fulfil.Move) error {
	o, note := agg.Order, m.Result.Note
	switch m.Item {
	case 0:
	case order.Start:
		if it.State == order.ItemQueued || it.State == order.ItemRetryWait || it.State == order.ItemWaitingCapacity {
			return o.MoveItem(it, order.Start, order.ItemFact{}, "")
		}
	case order.Ready:
		if len(m.Result.Sealed) > 0 {
			agg.Added.Credentials = append(agg.Added.Credentials,
				SealedCredential{Item: it.ID, Generation: it.Generation, Sealed: m.Result.Sealed})
		}
		it.Detail = ""
		return o.MoveItem(it, order.Ready, order.ItemFact{}, "")
	case order.CallFailed:
		return o.MoveItem(it, order.CallFailed, order.ItemFact{Attempt: task.Try}, note)
	case order.NoCapacity:
		return o.MoveItem(it, order.NoCapacity, order.ItemFact{}, note)
	case order.Unrecoverable:
		return a.giveUpItem(agg, it, tx.Now(), note)
	case order.CompensationExhausted:
		return o.MoveItem(it, order.CompensationExhausted, order.ItemFact{}, note)
	case order.Compensated: // the task is closed: settle fires undone when the refund was accepted too
	default:
		return fmt.Errorf("no item move %s here", m.Item)
	}
	return nil
}
