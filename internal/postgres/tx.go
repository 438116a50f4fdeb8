package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// tx is app.Tx: what is read goes with the begin in the first round trip, what is written waits and
// goes with the commit in the second (ADR 0007). A transaction that reads nothing has
// one trip. It is used by one goroutine.
type tx struct {
	db     *DB
	conn   *pgxpool.Conn
	tenant tenant.ID
	with   app.With
	now    time.Time

	begun  bool // the first trip was sent
	writes []statement
	answer *app.Answer
	loaded map[*app.Aggregate]*loaded // what was read, to compare with at Save
	wrong  error                      // a write that could not be made ready
}

// statement is a queued write.
type statement struct {
	sql  string
	args []any
}

// Now is the transaction's one moment, cut to what a column keeps.
func (x *tx) Now() time.Time { return x.now }

// queue adds a write to the second trip.
func (x *tx) queue(sql string, args ...any) { x.writes = append(x.writes, statement{sql, args}) }

// fail keeps the first fault of making a write ready; the commit returns it and nothing is written.
func (x *tx) fail(err error) {
	if x.wrong == nil {
		x.wrong = err
	}
}

// Begin runs With's look-ups when a use case needs nothing else read.
func (x *tx) Begin(ctx context.Context) error {
	return x.read(ctx, func(*pgx.Batch) {}, func() error { return nil })
}

// LockOrder locks an order and reads what moves with it; see app.Tx.
func (x *tx) LockOrder(ctx context.Context, o order.ID, also app.Also) (*app.Aggregate, error) {
	l := newLoader(x.tenant, true, also)
	err := x.read(ctx, func(b *pgx.Batch) {
		if also.DeadLetter.IsZero() {
			l.queue(b, []order.ID{o})
		} else {
			l.queueDeadLetter(b)
		}
	}, func() error {
		if len(l.dossiers) == 0 {
			return fault.Absent()
		}
		return nil
	})
	if err != nil {
		return nil, faultOr(err, "lock order %s", o)
	}
	agg := l.dossiers[0]
	x.loaded[agg] = l.loaded[agg]
	return agg, nil
}

// Prepare reads what creating an order needs.
func (x *tx) Prepare(ctx context.Context, n app.NewOrder) (app.Prepared, error) {
	var p app.Prepared
	err := x.read(ctx, func(b *pgx.Batch) { queuePrepare(b, x.tenant, n, &p) }, func() error { return nil })
	if err != nil {
		return app.Prepared{}, faultOr(err, "prepare an order of customer %s", n.Customer)
	}
	return p, nil
}

// read sends the begin, With's look-ups and the reads as one trip; a second read sends only itself.
// verdict says what the reads' outcome means by itself, before a replay is answered (absence
// comes before the look-up, everything else after).
func (x *tx) read(ctx context.Context, queue func(b *pgx.Batch), verdict func() error) error {
	b := &pgx.Batch{}
	first := !x.begun
	var mark inboxPosition
	var key keyLookup
	if first {
		b.Queue(sqlBegin)
		enter(b, []tenant.ID{x.tenant})
		if x.with.Key != nil {
			key.queueLock(b, x.tenant, x.with.Key)
		}
		if x.with.Inbox != nil {
			mark.queue(b, x.tenant, x.with.Inbox)
		}
	}
	queue(b)
	if first && x.with.Key != nil {
		// After the reads: who had to wait for the order's lock finds the first one's answer here.
		key.queueLookup(b, x.tenant, x.with.Key)
	}
	x.begun = true
	if err := x.conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	if first && x.with.Inbox != nil {
		if err := mark.verdict(); err != nil {
			return err
		}
	}
	if err := verdict(); err != nil {
		return err
	}
	if first && x.with.Key != nil {
		return key.verdict(x.with.Key)
	}
	return nil
}

// Remember queues the answer of the idempotency key.
func (x *tx) Remember(a app.Answer) { x.answer = &a }

// Discard forgets all writes queued so far.
func (x *tx) Discard() { x.writes, x.answer, x.wrong = nil, nil, nil }

// AddTask queues a task outside a aggregate's order lock. One that lives already stands for it.
func (x *tx) AddTask(task fulfil.Task) { x.insertTasks([]taskRow{taskRowOf(task)}) }

func (x *tx) commit(ctx context.Context) error {
	if x.wrong != nil {
		return errors.Join(x.wrong, x.rollback(ctx))
	}
	if !x.begun && (x.with.Key != nil || x.with.Inbox != nil) {
		if err := x.Begin(ctx); errors.Is(err, app.ErrBlocked) {
			return err
		} else if err != nil {
			return errors.Join(err, x.rollback(ctx))
		}
	}
	if !x.begun && len(x.writes) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	if !x.begun {
		b.Queue(sqlBegin)
		enter(b, []tenant.ID{x.tenant})
		x.begun = true
	}
	for _, w := range x.writes {
		b.Queue(w.sql, w.args...)
	}
	if x.with.Key != nil && x.answer != nil {
		if err := queueAnswer(b, x.tenant, x.with.Key, *x.answer, x.now); err != nil {
			return errors.Join(err, x.rollback(ctx))
		}
	}
	end := closing(b)
	if err := end.settle(ctx, x.conn, x.conn.SendBatch(ctx, b).Close()); err != nil {
		return errors.Join(err, x.rollback(ctx))
	}
	if len(x.writes) > 0 {
		x.db.kick()
	}
	return nil
}

// keepHeld commits what the mark notes of an event that waits behind a parked one, and nothing else.
func (x *tx) keepHeld(ctx context.Context, held error) error {
	x.Discard()
	if err := x.commit(ctx); err != nil {
		return err
	}
	return held
}

func (x *tx) rollback(ctx context.Context) error {
	if !x.begun {
		return nil
	}
	return abort(ctx, x.conn)
}

// faultOr wraps an error with what was being done, but for the ends that a caller compares with.
func faultOr(err error, format string, args ...any) error {
	var replay *app.Replayed
	if fault.Of(err) != nil || errors.As(err, &replay) || errors.Is(err, app.ErrDuplicate) ||
		errors.Is(err, app.ErrBlocked) {
		return err
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
