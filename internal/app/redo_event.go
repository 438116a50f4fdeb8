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

// redoMost is how many events one call of a redrive applies: a call lasts 10 s at most, an effect some
// milliseconds.
const redoMost = 200

// redoPause is how long a redrive waits for a database that is away; that costs no retry.
const redoPause = time.Second

// errOver says that a redrive has nothing left to do.
var errOver = errors.New("no longer parked")

// RedoEvent tries a parked event again, after a person asked for it, and then applies what waits behind it:
// from order_event, in order, each in the transaction of its mark, so that two at once apply nothing twice.
// When the letter was abandoned the parked event is passed over. One that fails again has five retries, as
// all work has (D5); then the letter stands as before. A later event that fails so is parked in its turn, with
// a letter of its own.
func (a *App) RedoEvent(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (wait time.Duration, err error) {
	return a.single(ctx, t, unit, a.redo)
}

// redoing is a redrive at work.
type redoing struct {
	tenant tenant.ID
	letter DeadLetter
	who    Listener

	applied int          // events, by this call
	more    bool         // others wait still
	failed  *event.Event // nil: none
}

func (a *App) redo(ctx context.Context, _ *Dossier, u *fulfil.Unit) (fulfil.Result, apply) {
	r := redoing{tenant: u.Tenant}
	var err error
	if r.letter, err = a.Store.DeadLetter(ctx, u.Tenant, id.Of[DeadLetter](u.Subject)); err == nil {
		err = a.redoAll(ctx, &r)
	}
	switch {
	case errors.Is(err, errOver), err == nil && !r.more:
		return fulfil.Result{Class: fault.None, Note: fmt.Sprintf("%d events applied, and nothing waits any more", r.applied)}, noEffect
	case err == nil:
		return fulfil.Result{Class: fault.Pending, Note: fmt.Sprintf("%d events applied, others wait still", r.applied)}, noEffect
	case isUnavailable(err):
		return fulfil.Result{Class: fault.Pending, After: redoPause, Note: "the database was away"}, noEffect
	case r.failed != nil && r.failed.Seq != r.letter.Event.Seq:
		return a.redoLater(ctx, u, r, err)
	}
	class, detail := causeOf(err)
	a.Log.WarnContext(ctx, "parked event not applied yet", "letter", u.Subject.String(), "tenant", u.Tenant, "order", u.Order, "attempt", u.Try+1, "error", err)
	return fulfil.Result{Class: fault.Retryable, Note: "not applied: " + detail}, func(tx Tx, d *Dossier, u *fulfil.Unit, m fulfil.Move) error {
		if l := d.openLetter(r.letter.ID); l != nil && m.Dead {
			l.Attempts, l.Class, l.Detail, l.At = l.Attempts+u.Try+1, class, detail, tx.Now()
		}
		return nil
	}
}

// redoLater is for an event that waited behind the parked one, and fails now that its turn has come. It has
// a budget of its own; once that is used up it is what is parked.
func (a *App) redoLater(ctx context.Context, u *fulfil.Unit, r redoing, cause error) (fulfil.Result, apply) {
	_, detail := causeOf(cause)
	note := fmt.Sprintf("event %d (%s), which waited behind, was not applied: %s", r.failed.Seq, r.failed.Type, detail)
	a.Log.WarnContext(ctx, "held event not applied yet", "consumer", r.who.Name, "tenant", u.Tenant, "order", u.Order, "seq", r.failed.Seq, "error", cause)
	if r.applied > 0 { // this was its first call
		return fulfil.Result{Class: fault.Pending, After: fulfil.Backoff[0], Note: note}, func(_ Tx, _ *Dossier, u *fulfil.Unit, _ fulfil.Move) error {
			u.Try = 1
			return nil
		}
	}
	if u.Try < len(fulfil.Backoff) {
		return fulfil.Result{Class: fault.Retryable, Note: note}, noEffect
	}
	p := Poison{Consumer: r.who.Name, Event: *r.failed, Attempts: u.Try + 1, FirstFailedAt: a.Now(), Err: cause}
	if err := a.parkNext(ctx, r, p); err != nil && !errors.Is(err, errOver) {
		return fulfil.Result{Class: fault.Pending, After: redoPause, Note: "the database was away"}, noEffect
	}
	return fulfil.Result{Class: fault.None, Note: note + "; it is parked in its turn"}, noEffect
}

// redoAll applies the parked event and what waits behind it, and ends the parking when nothing is left.
func (a *App) redoAll(ctx context.Context, r *redoing) error {
	var ok bool
	if r.who, ok = a.Listeners[r.letter.Event.Consumer]; !ok {
		return fmt.Errorf("no consumer %q runs in this release", r.letter.Event.Consumer)
	}
	for {
		m, err := a.passOver(ctx, r)
		if err != nil {
			return err
		}
		if err := a.redoHeld(ctx, r, m); err != nil || r.more {
			return err
		}
		if ended, err := a.unpark(ctx, r, m); ended || err != nil {
			return err
		}
	}
}

// redoHeld applies what its consumer heard of the order, up to where the mark says.
func (a *App) redoHeld(ctx context.Context, r *redoing, m Mark) error {
	for after := max(m.Seq, m.Parked-1); after < m.HeldTo; {
		records, err := a.Store.Events(ctx, r.tenant, m.Order, after, redoMost)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		for _, rec := range records {
			if after = rec.Seq; rec.Seq > m.HeldTo || !r.who.As.Hears(rec.Type) {
				continue
			}
			if r.more = r.applied >= redoMost; r.more {
				return nil
			}
			if err := a.redoOne(ctx, r, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// redoOne lets one event by and applies it. That it is let by and not applied, when the process dies
// between the two, does no harm: it is the one whose turn it is.
func (a *App) redoOne(ctx context.Context, r *redoing, rec event.Record) error {
	ev, err := event.Stored(rec)
	if err != nil {
		return err
	}
	err = a.onMark(ctx, r, func(tx Tx, m Mark) error {
		if m.Seq >= ev.Seq {
			return ErrDuplicate
		}
		m.Redo = ev.Seq
		tx.PutMark(m)
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

// onMark runs fn on the consumer's mark, while the letter's event is what is parked there.
func (a *App) onMark(ctx context.Context, r *redoing, fn func(tx Tx, m Mark) error) error {
	return a.Store.InTenant(ctx, r.tenant, With{}, func(tx Tx) error {
		m, err := tx.LockMark(ctx, r.letter.Event.Consumer, r.letter.Order)
		if err != nil {
			return err
		}
		if m.Parked != r.letter.Event.Seq {
			return errOver
		}
		return fn(tx, m)
	})
}

// passOver reads the mark, and moves it past the parked event when that was abandoned.
func (a *App) passOver(ctx context.Context, r *redoing) (mark Mark, err error) {
	err = a.onMark(ctx, r, func(tx Tx, m Mark) error {
		if r.letter.State == LetterAbandoned && m.Seq < m.Parked {
			m.Seq = m.Parked
			tx.PutMark(m)
		}
		mark = m
		return nil
	})
	return mark, err
}

// unpark ends the parking and closes the letter, unless another event was heard meanwhile.
func (a *App) unpark(ctx context.Context, r *redoing, seen Mark) (ended bool, err error) {
	err = a.onMark(ctx, r, func(tx Tx, m Mark) error {
		if ended = m.HeldTo == seen.HeldTo; !ended {
			return nil
		}
		d, err := tx.LockOrder(ctx, m.Order, Also{})
		if err != nil {
			return err
		}
		m.Parked, m.HeldTo, m.Held, m.Redo = 0, 0, 0, 0
		tx.PutMark(m)
		d.closeParked(r.letter.ID, tx.Now())
		tx.Save(d)
		return nil
	})
	return ended, err
}

// parkNext parks a later event in the letter's place, in one transaction.
func (a *App) parkNext(ctx context.Context, r redoing, p Poison) error {
	return a.onMark(ctx, &r, func(tx Tx, m Mark) error {
		d, err := tx.LockOrder(ctx, m.Order, Also{})
		if err != nil {
			return err
		}
		m.Parked, m.Held, m.Redo = p.Event.Seq, max(0, m.Held-1), 0
		tx.PutMark(m)
		d.closeParked(r.letter.ID, tx.Now())
		a.park(d, p, tx.Now())
		tx.Save(d)
		return nil
	})
}

// closeParked closes the letter of an event that was applied; one that was abandoned is closed already.
func (d *Dossier) closeParked(l id.Of[DeadLetter], now time.Time) {
	if l := d.openLetter(l); l != nil {
		l.State, l.ClosedAt, l.Reason = LetterRedriven, &now, orElse(l.Reason, "tried again")
	}
}

func isUnavailable(err error) bool {
	f := fault.Of(err)
	return f != nil && f.Kind == fault.KindUnavailable
}
