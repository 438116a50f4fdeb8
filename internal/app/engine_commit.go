package app

import (
	"context"
	"fmt"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// commit writes a worker's move under the order's lock. It returns ErrFenced and writes nothing when the task
// is no longer at the epoch from which the move was made. apply writes what the move means for the order. commit
// then derives the order's state, so the commit that closes the last item or refund also settles the order.
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
		agg.Added.Log = append(agg.Added.Log, a.logEntryOf(from, m))
		before := agg.Order.LastSeq
		if err := apply(tx, agg, task); err != nil {
			return err
		}
		a.settle(agg, tx.Now(), m.Result.Note)
		by := causeOfTask(agg, m.Task)
		if agg.Order.LastSeq != before {
			err = a.save(tx, agg, by)
		} else {
			tx.Save(agg) // only progress: no new version, no event
		}
		done = agg
		return err
	})
	return done, err
}

// logEntryOf returns the saga log's entry for a move.
func (a *App) logEntryOf(from fulfil.Task, m fulfil.Move) LogEntry {
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

// causeOfTask returns the cause of the events that a task's work records.
func causeOfTask(agg *Aggregate, task fulfil.Task) event.Cause {
	return event.Cause{Actor: tenant.System(agg.Order.Tenant, "worker"), Event: task.Cause}
}

// commitProvision commits a move of an item's provisioning task.
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
			it.Progress = min(task.Progress, 99) // 100 is for an active item
		}
		if it.Detail = task.Detail; task.Compensating {
			it.Detail = "removing what was built"
		}
		if m.NewGeneration {
			it.Generation++
		}
		if m.Dead {
			agg.addDeadLetter(a.newDeadLetter(agg, from, m, tx.Now()))
		}
		return a.moveItem(tx, agg, it, task, m)
	})
}

// moveItem moves the item as the move of its task says.
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
		return a.failItem(agg, it, tx.Now(), note)
	case order.CompensationExhausted:
		return o.MoveItem(it, order.CompensationExhausted, order.ItemFact{}, note)
	case order.Compensated: // settle fires it once the refund is accepted too
	default:
		return fmt.Errorf("no item move %s here", m.Item)
	}
	return nil
}
