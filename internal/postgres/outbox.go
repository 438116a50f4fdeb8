package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
)

// relayLock is the first key of the advisory lock of a shard's relay; the shard is the second.
const relayLock = 0x0e1a

const (
	sqlLeaseTry = `SELECT pg_try_advisory_lock($1, $2)`
	// The server ends the session, and with it the lock, of a relay that hangs. A running relay sends no statement
	// for at most the 30 s in which it may look for the broker. The planner settings make the poll use the indexes:
	// a plan that was made when the outbox was empty would read the whole table, dead rows too, when it is full.
	sqlLeaseSession = `
		SELECT set_config('idle_session_timeout', '40s', false),
			set_config('enable_seqscan', 'off', false),
			set_config('enable_hashjoin', 'off', false),
			set_config('enable_mergejoin', 'off', false)`
	sqlRebuilding = `SELECT EXISTS (SELECT FROM relays WHERE shard = $1 AND rebuilding)`
	// Always from the smallest id, because every row that exists is unpublished. A condition on the id would skip
	// rows whose id was drawn early and which committed late (22 % of the events, measured).
	sqlPending = `
		SELECT o.id, o.tenant_id, o.order_id, o.dead_letter_id,
			e.seq, e.event_id, e.type, e.actor, e.at, e.causation_id, e.correlation_id, e.traceparent, e.data,
			d.item_id, d.task_id, d.source, d.class, d.error_code, d.detail, d.step, d.attempts, d.payload_sha256,
			d.state, d.first_failed_at, d.at, d.closed_at, d.reason,
			d.consumer, d.topic_id, d.part, d.off, d.logged_at
		FROM (SELECT id, tenant_id, order_id, seq, dead_letter_id FROM outbox ORDER BY id LIMIT $1) o
		LEFT JOIN dead_letters d ON d.tenant_id = o.tenant_id AND d.id = o.dead_letter_id
		LEFT JOIN order_event e
			ON e.tenant_id = o.tenant_id AND e.order_id = o.order_id AND e.seq = coalesce(o.seq, d.seq)
		ORDER BY o.id`
	sqlDurable      = `SET LOCAL synchronous_commit = on`
	sqlRelayRow     = `INSERT INTO relays (shard, epoch, batch) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING`
	sqlRelayLock    = `SELECT epoch, batch, rebuilding FROM relays WHERE shard = $1 FOR UPDATE`
	sqlOutboxDelete = `DELETE FROM outbox WHERE id = ANY ($1::bigint[])`
	sqlRelayBatch   = `UPDATE relays SET batch = $2 WHERE shard = $1`
)

// TryLease takes the lock of a shard on a connection of its own, for the relay's login; see app.Outbox.
func (db *DB) TryLease(ctx context.Context, shard int) (app.OutboxLease, bool, error) {
	l, ok, err := db.tryLock(ctx, shard)
	if !ok || err != nil {
		return nil, false, err
	}
	var rebuilding bool
	b := &pgx.Batch{}
	b.Queue(sqlLeaseSession)
	b.Queue(sqlRebuilding, l.shard).QueryRow(func(r pgx.Row) error { return r.Scan(&rebuilding) })
	if err := l.conn.SendBatch(ctx, b).Close(); err != nil {
		l.close(ctx)
		return nil, false, faultOr(explain(ctx, err), "read the position of shard %d", shard)
	}
	if rebuilding {
		l.close(ctx)
		return nil, false, app.ErrRebuilding
	}
	return l, true, nil
}

// tryLock takes the lock of a shard on a connection of its own.
func (db *DB) tryLock(ctx context.Context, shard int) (*lease, bool, error) {
	c, err := db.conn(ctx)
	if err != nil {
		return nil, false, err
	}
	var ok bool
	if err := c.QueryRow(ctx, sqlLeaseTry, int32(relayLock), int32(shard)).Scan(&ok); err != nil {
		c.Release()
		return nil, false, faultOr(explain(ctx, err), "lock the outbox of shard %d", shard)
	}
	if !ok {
		c.Release()
		return nil, false, nil
	}
	// The connection leaves the pool, because the lock belongs to the session and ends with it.
	return &lease{conn: c.Hijack(), shard: shard}, true, nil
}

// lease implements app.OutboxLease. It must be used by one goroutine only.
type lease struct {
	conn  *pgx.Conn
	shard int
}

// Release closes the connection, which releases the lock.
func (l *lease) Release() { l.close(context.Background()) }

func (l *lease) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryAfter)
	defer cancel()
	_ = l.conn.Close(ctx) // a connection that cannot be closed in order is lost, and its lock with it
}

// Pending reads the unpublished rows, oldest first.
func (l *lease) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, _ := l.conn.Query(ctx, sqlPending, limit) // CollectRows returns its error
	list, err := pgx.CollectRows(rows, scanOutbox)
	if err != nil {
		return nil, faultOr(explain(ctx, err), "read the outbox")
	}
	return list, nil
}

func scanOutbox(r pgx.CollectableRow) (app.OutboxRow, error) {
	var o app.OutboxRow
	e := &o.Record
	var deadLetter id.Of[app.DeadLetter]
	var seq, attempts, state pgtype.Int4
	var eventType, actor, trace, data, source, class, code, detail, step, reason pgtype.Text
	var hash []byte
	var d app.DeadLetter
	var parked parkedRow
	err := r.Scan(&o.ID, intoID(&e.Tenant), intoID(&e.Order), intoID(&deadLetter),
		&seq, intoID(&e.ID), &eventType, &actor, intoTime(&e.At), intoID(&e.Causation), intoID(&e.Correlation),
		&trace, &data,
		intoID(&d.Item), intoID(&d.Task), &source, &class, &code, &detail, &step, &attempts, &hash, &state,
		intoTime(&d.FirstFailedAt), intoTime(&d.At), intoTimePtr(&d.ClosedAt), &reason,
		&parked.consumer, &parked.topic, &parked.partition, &parked.offset, intoTime(&d.Event.LoggedAt))
	if err != nil {
		return o, fmt.Errorf("read outbox row: %w", err)
	}
	if (deadLetter.IsZero() || parked.consumer.Valid) && !seq.Valid {
		return o, fmt.Errorf("outbox row %d has no event", o.ID)
	}
	if seq.Valid {
		e.Seq, e.Type, e.Actor = int(seq.Int32), event.Type(eventType.String), actor.String
		e.Traceparent, e.Data = trace.String, []byte(data.String)
	}
	if deadLetter.IsZero() {
		return o, nil
	}
	if !source.Valid {
		return o, fmt.Errorf("outbox row %d has no dead letter", o.ID)
	}
	d.ID, d.Order, d.Source, d.Class = deadLetter, e.Order, source.String, classOf(class.String)
	d.Code, d.Detail, d.Step = code.String, detail.String, step.String
	d.Attempts, d.State, d.Reason = int(attempts.Int32), app.DeadLetterState(state.Int32), reason.String
	copy(d.PayloadSHA256[:], hash)
	if parked.consumer.Valid {
		parked.into(&d.Event)
		d.Event.ID, d.Event.Type, d.Event.Seq = e.ID, e.Type, e.Seq
	}
	o.DeadLetter = &d
	return o, nil
}

// Done deletes the rows of a published batch and records its number; see app.OutboxLease.
func (l *lease) Done(ctx context.Context, p app.RelayPosition) error {
	err := l.done(ctx, p)
	if err == nil {
		return nil
	}
	if rollback := l.end(ctx, sqlRollback); rollback != nil {
		err = errors.Join(err, rollback)
	}
	if errors.Is(err, app.ErrRelayPosition) {
		return err
	}
	return faultOr(explain(ctx, err), "record batch %d of shard %d", p.Batch, l.shard)
}

func (l *lease) done(ctx context.Context, p app.RelayPosition) error {
	var epoch, batch, deleted int64
	var rebuilding bool
	b := &pgx.Batch{}
	b.Queue(sqlBegin)
	b.Queue(sqlDurable)
	b.Queue(sqlRelayRow, l.shard)
	b.Queue(sqlRelayLock, l.shard).QueryRow(func(r pgx.Row) error { return r.Scan(&epoch, &batch, &rebuilding) })
	b.Queue(sqlOutboxDelete, p.IDs).Exec(func(tag pgconn.CommandTag) error {
		deleted = tag.RowsAffected()
		return nil
	})
	if err := l.conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	if err := reconcile(p, epoch, batch, deleted, rebuilding); err != nil {
		return err
	}
	b = &pgx.Batch{}
	b.Queue(sqlRelayBatch, l.shard, p.Batch)
	b.Queue(sqlCommit)
	return l.conn.SendBatch(ctx, b).Close()
}

// reconcile compares the position on the topic with the one in the database (ADR 0004). deleted is the number of
// rows of the batch that were still in the outbox.
func reconcile(p app.RelayPosition, epoch, batch, deleted int64, rebuilding bool) error {
	switch {
	case rebuilding:
		return app.ErrRebuilding
	case p.Epoch != epoch:
		return fmt.Errorf("%w: epoch %d on the topic, %d in the database", app.ErrRelayPosition, p.Epoch, epoch)
	case p.Batch == batch && deleted == 0:
		return nil
	case p.Batch == batch+1 && deleted == int64(len(p.IDs)):
		return nil
	case p.Batch == batch || p.Batch == batch+1:
		return fmt.Errorf("%w: batch %d on the topic, %d in the database, and %d of its %d rows were still there",
			app.ErrRelayPosition, p.Batch, batch, deleted, len(p.IDs))
	default:
		return fmt.Errorf("%w: batch %d on the topic, %d in the database", app.ErrRelayPosition, p.Batch, batch)
	}
}

func (l *lease) end(ctx context.Context, sql string) error {
	if l.conn.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryAfter)
	defer cancel()
	_, err := l.conn.Exec(ctx, sql)
	return err
}
