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
	// No row is returned when the checkpoint has passed the event. Behind a parked event the checkpoint does not
	// move, and the row records up to which event the consumer is blocked. The exception is the event of a redrive.
	sqlInboxMove = `
		INSERT INTO inbox (tenant_id, order_id, consumer, seq)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, order_id, consumer) DO UPDATE
		SET seq = CASE
				WHEN inbox.parked_seq IS NULL OR inbox.redrive_seq = excluded.seq THEN excluded.seq
				ELSE inbox.seq END,
			blocked_to = CASE
				WHEN inbox.parked_seq IS NULL OR inbox.redrive_seq = excluded.seq THEN inbox.blocked_to
				ELSE greatest(inbox.blocked_to, excluded.seq) END,
			blocked = CASE
				WHEN inbox.parked_seq IS NULL THEN 0
				WHEN inbox.redrive_seq = excluded.seq
					THEN greatest(0, inbox.blocked - (excluded.seq > inbox.parked_seq)::int)
				ELSE inbox.blocked + (excluded.seq > inbox.blocked_to)::int END
		WHERE inbox.seq < excluded.seq
		RETURNING seq = $4`
	sqlCheckpointMake = `
		INSERT INTO inbox (tenant_id, order_id, consumer, seq)
		VALUES ($1, $2, $3, 0)
		ON CONFLICT DO NOTHING`
	sqlCheckpointLock = `
		SELECT seq, parked_seq, blocked_to, blocked, redrive_seq
		FROM inbox
		WHERE tenant_id = $1 AND order_id = $2 AND consumer = $3
		FOR UPDATE`
	sqlCheckpointPut = `
		UPDATE inbox
		SET seq = $4, parked_seq = $5, blocked_to = $6, blocked = $7, redrive_seq = $8
		WHERE tenant_id = $1 AND order_id = $2 AND consumer = $3`
	sqlParkedCounts = `
		SELECT consumer, count(*), sum(blocked)::bigint
		FROM inbox
		WHERE tenant_id = $1 AND parked_seq IS NOT NULL
		GROUP BY consumer
		ORDER BY consumer`
)

// inboxPosition is what the first trip reads about a consumer's event: whether the tenant has the order (a
// forged pair does not), whether the event is new (fresh), and whether the checkpoint moved to it (moved) or it is
// blocked behind a parked event. The row that moves is also the consumer's lock on the order.
type inboxPosition struct{ known, fresh, moved bool }

func (m *inboxPosition) queue(b *pgx.Batch, t tenant.ID, i *app.InboxPosition) {
	b.Queue(sqlOrderExists, uid(t), uid(i.Order)).QueryRow(func(r pgx.Row) error { return r.Scan(&m.known) })
	each(b.Queue(sqlInboxMove, uid(t), uid(i.Order), i.Consumer, i.Seq), func(r pgx.Rows) error {
		m.fresh = true
		return r.Scan(&m.moved)
	})
}

func (m *inboxPosition) check() error {
	switch {
	case !m.known:
		return fault.Absent()
	case !m.fresh:
		return app.ErrDuplicate
	case !m.moved:
		return app.ErrBlocked
	}
	return nil
}

// LockCheckpoint locks a consumer's checkpoint; see app.CheckpointTx.
func (x *tx) LockCheckpoint(ctx context.Context, consumer string, o order.ID) (app.Checkpoint, error) {
	cp := app.Checkpoint{Consumer: consumer, Order: o}
	var known bool
	err := x.read(ctx, func(b *pgx.Batch) {
		b.Queue(sqlOrderExists, uid(x.tenant), uid(o)).QueryRow(func(r pgx.Row) error { return r.Scan(&known) })
		b.Queue(sqlCheckpointMake, uid(x.tenant), uid(o), consumer)
		each(b.Queue(sqlCheckpointLock, uid(x.tenant), uid(o), consumer), func(r pgx.Rows) error {
			var parked, blockedTo, redrive pgtype.Int4
			err := r.Scan(&cp.Seq, &parked, &blockedTo, &cp.Blocked, &redrive)
			cp.Parked, cp.BlockedTo, cp.Redrive = int(parked.Int32), int(blockedTo.Int32), int(redrive.Int32)
			return err
		})
	}, func() error {
		if !known {
			return fault.Absent()
		}
		return nil
	})
	if err != nil {
		return app.Checkpoint{}, faultOr(err, "lock the checkpoint of consumer %s for order %s", consumer, o)
	}
	return cp, nil
}

// PutCheckpoint queues a checkpoint that was locked.
func (x *tx) PutCheckpoint(cp app.Checkpoint) {
	x.queue(sqlCheckpointPut, uid(x.tenant), uid(cp.Order), cp.Consumer, cp.Seq, number(cp.Parked), number(cp.BlockedTo),
		cp.Blocked, number(cp.Redrive))
}

// number returns a number as a column value; zero is null.
func number(n int) pgtype.Int4 { return pgtype.Int4{Int32: int32(n), Valid: n != 0} }

// ParkedCounts counts a tenant's parked events by consumer.
func (db *DB) ParkedCounts(ctx context.Context, t tenant.ID) ([]app.ParkedCount, error) {
	var list []app.ParkedCount
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sqlParkedCounts, uid(t)), func(r pgx.Rows) error {
			var c app.ParkedCount
			err := r.Scan(&c.Consumer, &c.Parked, &c.Blocked)
			list = append(list, c)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "count the parked events of tenant %s", t)
	}
	return list, nil
}
