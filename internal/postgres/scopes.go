package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// maxTenants is how many tenants one transaction may see: index probes read the array again for each
// row (200 orders locked: 0.54 ms with 10 tenants, 1.5 with 50, 4.8 with 200).
const maxTenants = 32

// The statements that open and close each door. The settings are local to the transaction; what is
// read after its end must be empty, else the connection is thrown away.
const (
	sqlBegin     = `BEGIN`
	sqlBeginRead = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	sqlEnter     = `SELECT set_config('app.tenant_id', $1, true), set_config('app.tenant_ids', $2, true)`
	sqlCommit    = `COMMIT`
	sqlRollback  = `ROLLBACK`
	sqlLeft      = `SELECT coalesce(current_setting('app.tenant_id', true),
		'') || coalesce(current_setting('app.tenant_ids', true), '')`
)

// InTenant opens a transaction for one tenant; see app.Store. On a serialization failure or a
// deadlock fn runs once more.
func (db *DB) InTenant(ctx context.Context, t tenant.ID, with app.With, fn func(tx app.Tx) error) error {
	err := db.inTenant(ctx, t, with, fn)
	if repeatable(err) {
		err = db.inTenant(ctx, t, with, fn)
	}
	return explain(ctx, err)
}

func (db *DB) inTenant(ctx context.Context, t tenant.ID, with app.With, fn func(tx app.Tx) error) error {
	if t.IsZero() {
		return errors.New("transaction without a tenant")
	}
	c, err := db.conn(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	x := &tx{db: db, conn: c, tenant: t, with: with, now: db.now(), loaded: map[*app.Aggregate]*loaded{}}
	err = fn(x)
	switch {
	case err == nil:
		err = x.commit(ctx)
	case !errors.Is(err, app.ErrBlocked):
		return errors.Join(err, x.rollback(ctx))
	}
	if errors.Is(err, app.ErrBlocked) {
		return x.keepHeld(ctx, err)
	}
	return err
}

// readTenant reads in one round trip, everything from one snapshot.
func (db *DB) readTenant(ctx context.Context, t tenant.ID, queue func(b *pgx.Batch)) error {
	if t.IsZero() {
		return errors.New("read without a tenant")
	}
	return db.oneTrip(ctx, sqlBeginRead, []tenant.ID{t}, queue)
}

// writeTenant runs statements that need no answer before they are decided, in one round trip.
func (db *DB) writeTenant(ctx context.Context, t tenant.ID, queue func(b *pgx.Batch)) error {
	if t.IsZero() {
		return errors.New("write without a tenant")
	}
	return db.oneTrip(ctx, sqlBegin, []tenant.ID{t}, queue)
}

// inTenants runs one transaction per maxTenants tenants, each seeing exactly the tenants it is given.
func (db *DB) inTenants(ctx context.Context, ts []tenant.ID, queue func(b *pgx.Batch, ts []tenant.ID)) error {
	for len(ts) > 0 {
		some := ts[:min(maxTenants, len(ts))]
		ts = ts[len(some):]
		if err := db.oneTrip(ctx, sqlBegin, some, func(b *pgx.Batch) { queue(b, some) }); err != nil {
			return err
		}
	}
	return nil
}

// inSystem runs statements with no tenant set: the sanctioned functions, and tables without tenants.
func (db *DB) inSystem(ctx context.Context, queue func(b *pgx.Batch)) error {
	return db.oneTrip(ctx, sqlBegin, nil, queue)
}

// oneTrip sends a whole transaction at once.
func (db *DB) oneTrip(ctx context.Context, begin string, ts []tenant.ID, queue func(b *pgx.Batch)) error {
	c, err := db.conn(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	b := &pgx.Batch{}
	b.Queue(begin)
	enter(b, ts)
	queue(b)
	end := closing(b)
	err = end.settle(ctx, c, c.SendBatch(ctx, b).Close())
	if err != nil {
		return errors.Join(explain(ctx, err), abort(ctx, c))
	}
	return nil
}

// enter sets whose rows the transaction sees. One tenant is both the tenant and the list of them, so
// that InTenant serves every login; several are only the list; none is nobody.
func enter(b *pgx.Batch, ts []tenant.ID) {
	switch len(ts) {
	case 0:
		b.Queue(sqlEnter, "", "")
	case 1:
		b.Queue(sqlEnter, ts[0].String(), "{"+ts[0].String()+"}")
	default:
		list := make([]string, len(ts))
		for i, t := range ts {
			list[i] = t.String()
		}
		b.Queue(sqlEnter, "", "{"+strings.Join(list, ",")+"}")
	}
}

// ending is what became of the end of a transaction.
type ending struct {
	committed bool
	left      string // of the settings, once the transaction is over: nothing
}

// errRolledBack says that the server answered a COMMIT with ROLLBACK: a statement had failed before
// and its error was passed over.
var errRolledBack = errors.New("the transaction had failed before its commit")

// closing queues the commit and behind it, in the same trip, the look at what the settings left.
func closing(b *pgx.Batch) *ending {
	e := &ending{}
	b.Queue(sqlCommit).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != sqlCommit {
			return errRolledBack
		}
		e.committed = true
		return nil
	})
	b.Queue(sqlLeft).QueryRow(func(r pgx.Row) error { return r.Scan(&e.left) })
	return e
}

// settle turns the trip's error into the transaction's: what was committed stays committed, whatever
// came after. A connection that kept a setting is closed, and never serves again.
func (e *ending) settle(ctx context.Context, c *pgxpool.Conn, err error) error {
	if e.left != "" || e.committed && err != nil {
		_ = c.Conn().Close(ctx) // the pool drops it
	}
	if e.committed {
		return nil
	}
	return err
}

// abort rolls back what may be open. A connection that does not answer that is closed, which rolls
// back too.
func abort(ctx context.Context, c *pgxpool.Conn) error {
	if c.Conn().IsClosed() {
		return nil
	}
	// The caller's context may be over; the connection must be clean all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryAfter)
	defer cancel()
	e := &ending{}
	b := &pgx.Batch{}
	b.Queue(sqlRollback)
	b.Queue(sqlLeft).QueryRow(func(r pgx.Row) error { return r.Scan(&e.left) })
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return errors.Join(c.Conn().Close(ctx), fmt.Errorf("roll back: %w", err))
	}
	if e.left != "" {
		return c.Conn().Close(ctx)
	}
	return nil
}
