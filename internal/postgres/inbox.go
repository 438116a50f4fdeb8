package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	sqlOrderExists = `SELECT EXISTS (SELECT FROM orders WHERE tenant_id = $1 AND id = $2)`
	// No row comes back when the mark has passed the event already. Behind a parked event the mark stays
	// where it is, and the row says how far the consumer has heard; but for the one that a redrive lets by.
	sqlInboxMove = `
		INSERT INTO inbox (tenant_id, order_id, consumer, seq) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, order_id, consumer) DO UPDATE SET
			seq = CASE WHEN inbox.parked_seq IS NULL OR inbox.redo_seq = excluded.seq THEN excluded.seq ELSE inbox.seq END,
			held_to = CASE WHEN inbox.parked_seq IS NULL OR inbox.redo_seq = excluded.seq THEN inbox.held_to ELSE greatest(inbox.held_to, excluded.seq) END,
			held = CASE
				WHEN inbox.parked_seq IS NULL THEN 0
				WHEN inbox.redo_seq = excluded.seq THEN greatest(0, inbox.held - (excluded.seq > inbox.parked_seq)::int)
				ELSE inbox.held + (excluded.seq > inbox.held_to)::int END
		WHERE inbox.seq < excluded.seq
		RETURNING seq = $4`
	sqlMarkMake   = `INSERT INTO inbox (tenant_id, order_id, consumer, seq) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING`
	sqlMarkLock   = `SELECT seq, parked_seq, held_to, held, redo_seq FROM inbox WHERE tenant_id = $1 AND order_id = $2 AND consumer = $3 FOR UPDATE`
	sqlMarkPut    = `UPDATE inbox SET seq = $4, parked_seq = $5, held_to = $6, held = $7, redo_seq = $8 WHERE tenant_id = $1 AND order_id = $2 AND consumer = $3`
	sqlMarkCounts = `SELECT consumer, count(*), sum(held)::bigint FROM inbox WHERE tenant_id = $1 AND parked_seq IS NOT NULL GROUP BY consumer ORDER BY consumer`
)

// inboxMark is what a first trip learns about a consumer's event: whether its tenant has the order
// at all (a forged pair does not), and whether it was applied before or waits behind a parked one. The
// row it moves is the consumer's lock on the order.
type inboxMark struct{ known, fresh, moved bool }

func (m *inboxMark) queue(b *pgx.Batch, t tenant.ID, i *app.InboxMark) {
	b.Queue(sqlOrderExists, uid(t), uid(i.Order)).QueryRow(func(r pgx.Row) error { return r.Scan(&m.known) })
	each(b.Queue(sqlInboxMove, uid(t), uid(i.Order), i.Consumer, i.Seq), func(r pgx.Rows) error {
		m.fresh = true
		return r.Scan(&m.moved)
	})
}

func (m *inboxMark) verdict() error {
	switch {
	case !m.known:
		return fault.Absent()
	case !m.fresh:
		return app.ErrDuplicate
	case !m.moved:
		return app.ErrHeld
	}
	return nil
}

// LockMark locks a consumer's mark; see app.MarkTx.
func (x *tx) LockMark(ctx context.Context, consumer string, o order.ID) (app.Mark, error) {
	m := app.Mark{Consumer: consumer, Order: o}
	var known bool
	err := x.read(ctx, func(b *pgx.Batch) {
		b.Queue(sqlOrderExists, uid(x.tenant), uid(o)).QueryRow(func(r pgx.Row) error { return r.Scan(&known) })
		b.Queue(sqlMarkMake, uid(x.tenant), uid(o), consumer)
		each(b.Queue(sqlMarkLock, uid(x.tenant), uid(o), consumer), func(r pgx.Rows) error {
			var parked, heldTo, redo pgtype.Int4
			err := r.Scan(&m.Seq, &parked, &heldTo, &m.Held, &redo)
			m.Parked, m.HeldTo, m.Redo = int(parked.Int32), int(heldTo.Int32), int(redo.Int32)
			return err
		})
	}, func() error {
		if !known {
			return fault.Absent()
		}
		return nil
	})
	if err != nil {
		return app.Mark{}, faultOr(err, "lock the mark of consumer %s at order %s", consumer, o)
	}
	return m, nil
}

// PutMark queues a mark that was locked.
func (x *tx) PutMark(m app.Mark) {
	x.queue(sqlMarkPut, uid(x.tenant), uid(m.Order), m.Consumer, m.Seq, number(m.Parked), number(m.HeldTo), m.Held, number(m.Redo))
}

// number is null when zero.
func number(n int) pgtype.Int4 { return pgtype.Int4{Int32: int32(n), Valid: n != 0} }

// ParkedCounts counts what is parked of a tenant's.
func (db *DB) ParkedCounts(ctx context.Context, t tenant.ID) ([]app.ParkedCount, error) {
	var list []app.ParkedCount
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sqlMarkCounts, uid(t)), func(r pgx.Rows) error {
			var c app.ParkedCount
			err := r.Scan(&c.Consumer, &c.Parked, &c.Held)
			list = append(list, c)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "count the parked events of tenant %s", t)
	}
	return list, nil
}
