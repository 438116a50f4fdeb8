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

// reapplyMost is how many events one call of a redrive applies: a call lasts 10 s at most, an effect some
// milliseconds.
const reapplyMost = 200

// reapplyPause is how long a redrive waits for a database that is away; that costs no retry.
const reapplyPause = time.Second

// errOver says that a redrive has nothing left to do.
var errOver = errors.New("no longer parked")

// RedriveEvent tries a parked event again, after a person asked for it, and then applies what waits behind it:
// from order_event, in order, each in the transaction of its mark, so that two at once apply nothing twice.
// When the letter was abandoned the parked event is passed over. One that fails again has five retries, as
// all work has (D5); then the letter stands as before. A later event that fails so is parked in its turn, with
// a letter of its own.
func (a *App) RedriveEvent(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	return a.single(ctx, t, taskID, a.reapply)
}

// redoing is a redrive at work.
type reapplying struct {
	tenant     tenant.ID
	deadLetter DeadLetter
	who        ConsumerHandler

	applied int          // events, by this call
	more    bool         // others wait still
	failed  *event.Event // nil: none
}

func (a *App) reapply(ctx context.Context, _ *Aggregate, task *fulfil.Task) (fulfil.Result, apply) {
	r := reapplying{tenant: task.Tenant}
	var err error
	if r.deadLetter, err = a.Store.DeadLetter(ctx, task.Tenant, id.Of[DeadLetter](task.Subject)); err == nil {
		err = a.reapplyAll(ctx, &r)
	}
	switch {
	case errors.Is(err, errOver), err == nil && !r.more:
		return fulfil.Result{
			Class: fault.None, Note: fmt.Sprintf("%d events applied, and nothing waits any more", r.applied),
		}, noEffect
	case err == nil:
		return fulfil.Result{
			Class: fault.Pending, Note: fmt.Sprintf("%d events applied, others wait still", r.applied),
		}, noEffect
	case isUnavailable(err):
		return fulfil.Result{Class: fault.Pending, After: reapplyPause, Note: "the database was away"}, noEffect
	case r.failed != nil && r.failed.Seq != r.deadLetter.Event.Seq:
		return a.reapplyLater(ctx, task, r, err)
	}
	class, detail := causeOf(err)
	a.Log.WarnContext(ctx, "parked event not applied yet", "letter", task.Subject.String(), "tenant", task.Tenant, "order",
		task.Order, "attempt", task.Try+1, "error", err)
	return fulfil.Result{Class: fault.Retryable, Note: "not applied: " + detail},
		func(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error {
			if l := agg.openDeadLetter(r.deadLetter.ID); l != nil && m.Dead {
				l.Attempts, l.Class, l.Detail, l.At = l.Attempts+task.Try+1, class, detail, tx.Now()
			}
			return nil
		}
}

// reapplyLater is for an event that waited behind the parked one, and fails now that its turn has come. It has
// a budget of its own; once that is used up it is what is parked.
func (a *App) reapplyLater(ctx context.Context, task *fulfil.Task, r reapplying, cause error) (fulfil.Result, apply) {
	_, detail := causeOf(cause)
	note := fmt.Sprintf("event %d (%s), which waited behind, was not applied: %s", r.failed.Seq, r.failed.Type, detail)
	a.Log.WarnContext(ctx, "held event not applied yet", "consumer", r.who.Name, "tenant", task.Tenant, "order",
		task.Order, "seq", r.failed.Seq, "error", cause)
	if r.applied > 0 { // this was its first call
		return fulfil.Result{Class: fault.Pending, After: fulfil.Backoff[0], Note: note},
			func(_ Tx, _ *Aggregate, task *fulfil.Task, _ fulfil.Move) error {
				task.Try = 1
				return nil
			}
	}
	if task.Try < len(fulfil.Backoff) {
		return fulfil.Result{Class: fault.Retryable, Note: note}, noEffect
	}
	p := Poison{Consumer: r.who.Name, Event: *r.failed, Attempts: task.Try + 1, FirstFailedAt: a.Now(), Err: cause}
	if err := a.parkNext(ctx, r, p); err != nil && !errors.Is(err, errOver) {
		return fulfil.Result{Class: fault.Pending, After: reapplyPause, Note: "the database was away"}, noEffect
	}
	return fulfil.Result{Class: fault.None, Note: note + "; it is parked in its turn"}, noEffect
}

// reapplyAll applies the parked event and what waits behind it, and ends the parking when nothing is left.
func (a *App) reapplyAll(ctx context.Context, r *reapplying) error {
	var ok bool
	if r.who, ok = a.Handlers[r.deadLetter.Event.Consumer]; !ok {
		return fmt.Errorf("no consumer %q runs in this release", r.deadLetter.Event.Consumer)
	}
	for {
		cp, err := a.passOver(ctx, r)
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

// reapplyBlocked applies what its consumer heard of the order, up to where the mark says.
func (a *App) reapplyBlocked(ctx context.Context, r *reapplying, cp Checkpoint) error {
	for after := max(cp.Seq, cp.Parked-1); after < cp.BlockedTo; {
		records, err := a.Store.Events(ctx, r.tenant, cp.Order, after, reapplyMost)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		for _, rec := range records {
			if after = rec.Seq; rec.Seq > cp.BlockedTo || !r.who.As.Hears(rec.Type) {
				continue
			}
			if r.more = r.applied >= reapplyMost; r.more {
				return nil
			}
			if err := a.reapplyOne(ctx, r, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// reapplyOne lets one event by and applies it. That it is let by and not applied, when the process dies
// between the two, does no harm: it is the one whose turn it is.
func (a *App) reapplyOne(ctx context.Context, r *reapplying, rec event.Record) error {
	ev, err := event.Stored(rec)
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
		if err = r.who.Apply(ctx, ev); err != nil && !errors.Is(err, ErrDuplicate) {
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

// onCheckpoint runs fn on the consumer's mark, while the letter's event is what is parked there.
func (a *App) onCheckpoint(ctx context.Context, r *reapplying, fn func(tx Tx, cp Checkpoint) error) error {
	return a.Store.InTenant(ctx, r.tenant, With{}, func(tx Tx) error {
		cp, err := tx.LockCheckpoint(ctx, r.deadLetter.Event.Consumer, r.deadLetter.Order)
		if err != nil {
			return err
		}
		if cp.Parked != r.deadLetter.Event.Seq {
			return errOver
		}
		return fn(tx, cp)
	})
}

// passOver reads the mark, and moves it past the parked event when that was abandoned.
func (a *App) passOver(ctx context.Context, r *reapplying) (checkpoint Checkpoint, err error) {
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

// unpark ends the parking and closes the letter, unless another event was heard meanwhile.
func (a *App) unpark(ctx context.Context, r *reapplying, seen Checkpoint) (ended bool, err error) {
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

// parkNext parks a later event in the letter's place, in one transaction.
func (a *App) parkNext(ctx context.Context, r reapplying, p Poison) error {
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

// closeParked closes the letter of an event that was applied; one that was abandoned is closed already.
func (agg *Aggregate) closeParked(l id.Of[DeadLetter], now time.Time) {
	if l := agg.openDeadLetter(l); l != nil {
		l.State, l.ClosedAt, l.Reason = DeadLetterRedriven, &now, orElse(l.Reason, "tried again")
	}
}

func isUnavailable(err error) bool {
	f := fault.Of(err)
	return f != nil && f.Kind == fault.KindUnavailable
}
