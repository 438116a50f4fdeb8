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

// tx implements app.Tx. Reads are sent with the begin in the first round trip; writes are queued and sent with
// the commit in the second (ADR 0007). A transaction that reads nothing takes one trip. A tx must be used by
// one goroutine only.
type tx struct {
	db     *DB
	conn   *pgxpool.Conn
	tenant tenant.ID
	with   app.With
	now    time.Time

	begun    bool // the first trip was sent
	writes   []statement
	answer   *app.Answer
	loaded   map[*app.Aggregate]*loaded // the rows as they were read; Save compares with them
	writeErr error                      // first error of preparing a write
}

// statement is a queued write.
type statement struct {
	sql  string
	args []any
}

// Now returns the transaction's time, truncated to the precision of a column.
func (x *tx) Now() time.Time { return x.now }

// queue adds a write to the second trip.
func (x *tx) queue(sql string, args ...any) { x.writes = append(x.writes, statement{sql, args}) }

// fail records the first error of preparing a write. The commit then returns it and writes nothing.
func (x *tx) fail(err error) {
	if x.writeErr == nil {
		x.writeErr = err
	}
}

// Begin runs the look-ups of app.With for a use case that reads nothing else.
func (x *tx) Begin(ctx context.Context) error {
	return x.read(ctx, func(*pgx.Batch) {}, func() error { return nil })
}

// LockOrder locks an order and reads its aggregate; see app.Tx.
func (x *tx) LockOrder(ctx context.Context, o order.ID, also app.Also) (*app.Aggregate, error) {
	l := newLoader(x.tenant, true, also)
	err := x.read(ctx, func(b *pgx.Batch) {
		if also.DeadLetter.IsZero() {
			l.queue(b, []order.ID{o})
		} else {
			l.queueDeadLetter(b)
		}
	}, func() error {
		if len(l.aggregates) == 0 {
			return fault.Absent()
		}
		return nil
	})
	if err != nil {
		return nil, faultOr(err, "lock order %s", o)
	}
	agg := l.aggregates[0]
	x.loaded[agg] = l.loaded[agg]
	return agg, nil
}

// Prepare reads what the creation of an order needs.
func (x *tx) Prepare(ctx context.Context, n app.NewOrder) (app.Prepared, error) {
	var p app.Prepared
	err := x.read(ctx, func(b *pgx.Batch) { queuePrepare(b, x.tenant, n, &p) }, func() error { return nil })
	if err != nil {
		return app.Prepared{}, faultOr(err, "prepare an order of customer %s", n.Customer)
	}
	return p, nil
}

// read sends the begin, the look-ups of app.With and the reads as one trip; a second read sends only its own
// statements. check returns the error that follows from the rows themselves, such as an absent order. It is
// called before a repeated idempotency key is answered.
func (x *tx) read(ctx context.Context, queue func(b *pgx.Batch), check func() error) error {
	b := &pgx.Batch{}
	first := !x.begun
	var position inboxPosition
	var key keyLookup
	if first {
		b.Queue(sqlBegin)
		setTenants(b, []tenant.ID{x.tenant})
		if x.with.Key != nil {
			key.queueLock(b, x.tenant, x.with.Key)
		}
		if x.with.Inbox != nil {
			position.queue(b, x.tenant, x.with.Inbox)
		}
	}
	queue(b)
	if first && x.with.Key != nil {
		// After the reads: a request that waited for the order's lock finds the answer of the earlier one.
		key.queueLookup(b, x.tenant, x.with.Key)
	}
	x.begun = true
	if err := x.conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	if first && x.with.Inbox != nil {
		if err := position.check(); err != nil {
			return err
		}
	}
	if err := check(); err != nil {
		return err
	}
	if first && x.with.Key != nil {
		return key.check(x.with.Key)
	}
	return nil
}

// Remember queues the answer of the idempotency key.
func (x *tx) Remember(a app.Answer) { x.answer = &a }

// Discard drops all writes queued so far.
func (x *tx) Discard() { x.writes, x.answer, x.writeErr = nil, nil, nil }

// AddTask queues a task outside the order lock of an aggregate. It has no effect if there is a live task for the
// same thing.
func (x *tx) AddTask(task fulfil.Task) { x.insertTasks([]taskRow{taskRowOf(task)}) }

func (x *tx) commit(ctx context.Context) error {
	if x.writeErr != nil {
		return errors.Join(x.writeErr, x.rollback(ctx))
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
		setTenants(b, []tenant.ID{x.tenant})
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
	end := queueCommit(b)
	if err := end.settle(ctx, x.conn, x.conn.SendBatch(ctx, b).Close()); err != nil {
		return errors.Join(err, x.rollback(ctx))
	}
	if len(x.writes) > 0 {
		x.db.notify()
	}
	return nil
}

// commitBlocked commits only the checkpoint's record of an event that is blocked behind a parked one, and
// returns blocked.
func (x *tx) commitBlocked(ctx context.Context, blocked error) error {
	x.Discard()
	if err := x.commit(ctx); err != nil {
		return err
	}
	return blocked
}

func (x *tx) rollback(ctx context.Context) error {
	if !x.begun {
		return nil
	}
	return abort(ctx, x.conn)
}

// faultOr wraps an error with the operation. Faults and the errors that a caller compares with are returned as
// they are.
func faultOr(err error, format string, args ...any) error {
	var replay *app.Replayed
	if fault.Of(err) != nil || errors.As(err, &replay) || errors.Is(err, app.ErrDuplicate) ||
		errors.Is(err, app.ErrBlocked) {
		return err
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
