package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// maxReapplied is the most events that one call of a redrive applies. A call lasts at most 10 s, and an effect takes
// some milliseconds.
const maxReapplied = 200

// reapplyPause is how long a redrive waits while the database is down. That uses up no retry.
const reapplyPause = time.Second

// errNotParked ends a redrive whose event is no longer parked.
var errNotParked = errors.New("no longer parked")

// RedriveEvent applies a parked event again, after a person asked for it, and then the events blocked behind it. It
// reads them from order_event, in sequence, and applies each in the transaction of its checkpoint, so two redrives at
// once apply nothing twice. When the dead letter was abandoned, the parked event is skipped.
//
// An event that fails again gets five retries (D5); after that its dead letter is parked as before. If a blocked event
// fails in this way, it is parked itself, with its own dead letter.
func (a *App) RedriveEvent(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	return a.runSingleCall(ctx, t, taskID, a.reapply)
}

// eventRedrive is the state of one call of RedriveEvent.
type eventRedrive struct {
	tenant     tenant.ID
	deadLetter DeadLetter
	handler    ConsumerHandler

	applied int          // number of events that this call applied
	more    bool         // others still wait
	failed  *event.Event // the event that could not be applied, or nil
}

func (a *App) reapply(ctx context.Context, _ *Aggregate, task *fulfil.Task) (fulfil.Result, resultWriter) {
	r := eventRedrive{tenant: task.Tenant}
	var err error
	if r.deadLetter, err = a.Store.DeadLetter(ctx, task.Tenant, id.Of[DeadLetter](task.Subject)); err == nil {
		err = a.reapplyAll(ctx, &r)
	}
	switch {
	case errors.Is(err, errNotParked), err == nil && !r.more:
		return fulfil.Result{
			Class: fault.None, Note: fmt.Sprintf("%d events applied; none is blocked any more", r.applied),
		}, writeNothing
	case err == nil:
		return fulfil.Result{
			Class: fault.Pending, Note: fmt.Sprintf("%d events applied; others are still blocked", r.applied),
		}, writeNothing
	case isUnavailable(err):
		return fulfil.Result{Class: fault.Pending, After: reapplyPause, Note: "the database was not available"}, writeNothing
	case r.failed != nil && r.failed.Seq != r.deadLetter.Event.Seq:
		return a.reapplyLater(ctx, task, r, err)
	}
	class, detail := causeOf(err)
	a.Log.WarnContext(ctx, "parked event not applied yet", "dead_letter", task.Subject.String(), "tenant", task.Tenant,
		"order", task.Order, "attempt", task.Try+1, "error", err)
	return fulfil.Result{Class: fault.Retryable, Note: "not applied: " + detail},
		func(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error {
			if dl := agg.openDeadLetter(r.deadLetter.ID); dl != nil && m.Dead {
				dl.Attempts, dl.Class, dl.Detail, dl.At = dl.Attempts+task.Try+1, class, detail, tx.Now()
			}
			return nil
		}
}

// reapplyLater returns the result when an event that was blocked behind the parked one fails. That event has its own
// retries; once they are used up, it is parked instead.
func (a *App) reapplyLater(
	ctx context.Context, task *fulfil.Task, r eventRedrive, cause error,
) (fulfil.Result, resultWriter) {
	_, detail := causeOf(cause)
	note := fmt.Sprintf("event %d (%s), which was blocked, was not applied: %s", r.failed.Seq, r.failed.Type, detail)
	a.Log.WarnContext(ctx, "blocked event not applied yet", "consumer", r.handler.Name, "tenant", task.Tenant, "order",
		task.Order, "seq", r.failed.Seq, "error", cause)
	if r.applied > 0 { // this was its first call
		return fulfil.Result{Class: fault.Pending, After: fulfil.Backoff[0], Note: note},
			func(_ Tx, _ *Aggregate, task *fulfil.Task, _ fulfil.Move) error {
				task.Try = 1
				return nil
			}
	}
	if task.Try < len(fulfil.Backoff) {
		return fulfil.Result{Class: fault.Retryable, Note: note}, writeNothing
	}
	p := Poison{Consumer: r.handler.Name, Event: *r.failed, Attempts: task.Try + 1, FirstFailedAt: a.Now(), Err: cause}
	if err := a.parkNext(ctx, r, p); err != nil && !errors.Is(err, errNotParked) {
		return fulfil.Result{Class: fault.Pending, After: reapplyPause, Note: "the database was not available"}, writeNothing
	}
	return fulfil.Result{Class: fault.None, Note: note + "; it is parked itself now"}, writeNothing
}

// reapplyAll applies the parked event and those blocked behind it, and unparks the order when none is left.
func (a *App) reapplyAll(ctx context.Context, r *eventRedrive) error {
	var ok bool
	if r.handler, ok = a.Handlers[r.deadLetter.Event.Consumer]; !ok {
		return fmt.Errorf("no consumer %q runs in this release", r.deadLetter.Event.Consumer)
	}
	for {
		cp, err := a.skipAbandoned(ctx, r)
		if err != nil {
			return err
		}
		if err := a.reapplyBlocked(ctx, r, cp); err != nil || r.more {
			return err
		}
		if ended, err := a.unpark(ctx, r, cp); ended || err != nil {
			return err
		}
	}
}

// reapplyBlocked applies the order's events that the consumer subscribes to, up to the last one that the checkpoint
// noted as blocked.
func (a *App) reapplyBlocked(ctx context.Context, r *eventRedrive, cp Checkpoint) error {
	for after := max(cp.Seq, cp.Parked-1); after < cp.BlockedTo; {
		records, err := a.Store.Events(ctx, r.tenant, cp.Order, after, maxReapplied)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		for _, rec := range records {
			if after = rec.Seq; rec.Seq > cp.BlockedTo || !r.handler.As.Subscribes(rec.Type) {
				continue
			}
			if r.more = r.applied >= maxReapplied; r.more {
				return nil
			}
			if err := a.reapplyOne(ctx, r, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// reapplyOne admits one event and applies it. If the process dies between the two, no harm is done: the admitted
// event is the next one anyway.
func (a *App) reapplyOne(ctx context.Context, r *eventRedrive, rec event.Record) error {
	ev, err := event.FromRecord(rec)
	if err != nil {
		return err
	}
	err = a.onCheckpoint(ctx, r, func(tx Tx, cp Checkpoint) error {
		if cp.Seq >= ev.Seq {
			return ErrDuplicate
		}
		cp.Redrive = ev.Seq
		tx.PutCheckpoint(cp)
		return nil
	})
	if err == nil {
		if err = r.handler.Apply(ctx, ev); err != nil && !errors.Is(err, ErrDuplicate) {
			r.failed = &ev
		}
	}
	if errors.Is(err, ErrDuplicate) {
		return nil
	}
	if err == nil {
		r.applied++
	}
	return err
}

// onCheckpoint runs fn on the consumer's locked checkpoint. It returns errNotParked when the dead letter's event is not
// the parked one.
func (a *App) onCheckpoint(ctx context.Context, r *eventRedrive, fn func(tx Tx, cp Checkpoint) error) error {
	return a.Store.InTenant(ctx, r.tenant, With{}, func(tx Tx) error {
		cp, err := tx.LockCheckpoint(ctx, r.deadLetter.Event.Consumer, r.deadLetter.Order)
		if err != nil {
			return err
		}
		if cp.Parked != r.deadLetter.Event.Seq {
			return errNotParked
		}
		return fn(tx, cp)
	})
}

// skipAbandoned returns the checkpoint. It first moves it past the parked event when the dead letter was abandoned.
func (a *App) skipAbandoned(ctx context.Context, r *eventRedrive) (checkpoint Checkpoint, err error) {
	err = a.onCheckpoint(ctx, r, func(tx Tx, cp Checkpoint) error {
		if r.deadLetter.State == DeadLetterAbandoned && cp.Seq < cp.Parked {
			cp.Seq = cp.Parked
			tx.PutCheckpoint(cp)
		}
		checkpoint = cp
		return nil
	})
	return checkpoint, err
}

// unpark clears the parked event and closes the dead letter, unless another event was blocked meanwhile.
func (a *App) unpark(ctx context.Context, r *eventRedrive, seen Checkpoint) (ended bool, err error) {
	err = a.onCheckpoint(ctx, r, func(tx Tx, cp Checkpoint) error {
		if ended = cp.BlockedTo == seen.BlockedTo; !ended {
			return nil
		}
		agg, err := tx.LockOrder(ctx, cp.Order, Also{})
		if err != nil {
			return err
		}
		cp.Parked, cp.BlockedTo, cp.Blocked, cp.Redrive = 0, 0, 0, 0
		tx.PutCheckpoint(cp)
		agg.closeParked(r.deadLetter.ID, tx.Now())
		tx.Save(agg)
		return nil
	})
	return ended, err
}

// parkNext parks a later event in place of the dead letter's, in one transaction.
func (a *App) parkNext(ctx context.Context, r eventRedrive, p Poison) error {
	return a.onCheckpoint(ctx, &r, func(tx Tx, cp Checkpoint) error {
		agg, err := tx.LockOrder(ctx, cp.Order, Also{})
		if err != nil {
			return err
		}
		cp.Parked, cp.Blocked, cp.Redrive = p.Event.Seq, max(0, cp.Blocked-1), 0
		tx.PutCheckpoint(cp)
		agg.closeParked(r.deadLetter.ID, tx.Now())
		a.park(agg, p, tx.Now())
		tx.Save(agg)
		return nil
	})
}

// closeParked closes the dead letter of an event that was applied. An abandoned one is closed already.
func (agg *Aggregate) closeParked(dl id.Of[DeadLetter], now time.Time) {
	if dl := agg.openDeadLetter(dl); dl != nil {
		dl.State, dl.ClosedAt, dl.Reason = DeadLetterRedriven, &now, orElse(dl.Reason, "tried again")
	}
}

func isUnavailable(err error) bool {
	f := fault.Of(err)
	return f != nil && f.Kind == fault.KindUnavailable
}
