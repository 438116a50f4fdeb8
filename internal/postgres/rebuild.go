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
)

const (
	sqlRebuildBegin = `UPDATE relays SET rebuilding = true WHERE shard = $1 RETURNING epoch`
	sqlRebuildHeld  = `SELECT 1`
	// Both are read in one snapshot, so that an event is either in the history and among the rows, or in neither.
	sqlRebuildRows  = `SELECT id FROM outbox WHERE dead_letter_id IS NULL ORDER BY id`
	sqlRebuildCount = `SELECT count(*) FROM order_event`
	// The history is read in the order of the primary key, in which the events of an order follow each other.
	// Without a sort, the first events come at once, however many there are.
	sqlRebuildNoSort = `SET LOCAL enable_sort = off`
	sqlRebuildOpen   = `
		DECLARE history NO SCROLL CURSOR FOR
		SELECT tenant_id, ` + eventColumns + `
		FROM order_event
		ORDER BY tenant_id, order_id, seq`
	sqlRebuildNext = `FETCH FORWARD %d FROM history`
	sqlRebuildDone = `UPDATE relays SET epoch = $2, batch = 0, rebuilding = false WHERE shard = $1`
)

// TryRebuild takes the relay's lock to fill the topic again; see app.History. It is for the relay's login, which
// is the only one that reads the events of every tenant.
func (db *DB) TryRebuild(ctx context.Context, shard int) (app.Rebuild, bool, error) {
	l, ok, err := db.tryLock(ctx, shard)
	if !ok || err != nil {
		return nil, false, err
	}
	return &rebuild{lease: l}, true, nil
}

// rebuild implements app.Rebuild.
type rebuild struct {
	*lease
	epoch int64   // epoch of the shard at Begin
	rows  []int64 // ids of the outbox rows whose events are in the snapshot
}

// Begin marks the shard as being rebuilt.
func (r *rebuild) Begin(ctx context.Context) (app.RelayPosition, error) {
	b := &pgx.Batch{}
	b.Queue(sqlBegin)
	b.Queue(sqlDurable)
	b.Queue(sqlRelayRow, r.shard)
	b.Queue(sqlRebuildBegin, r.shard).QueryRow(func(row pgx.Row) error { return row.Scan(&r.epoch) })
	b.Queue(sqlCommit)
	if err := r.conn.SendBatch(ctx, b).Close(); err != nil {
		return app.RelayPosition{}, faultOr(explain(ctx, err), "begin to rebuild shard %d", r.shard)
	}
	return app.RelayPosition{Shard: r.shard, Epoch: r.epoch + 1}, nil
}

// Held returns an error if the session that holds the lock has ended.
func (r *rebuild) Held(ctx context.Context) error {
	if _, err := r.conn.Exec(ctx, sqlRebuildHeld); err != nil {
		return faultOr(explain(ctx, err), "hold the lock of shard %d", r.shard)
	}
	return nil
}

// Snapshot opens the transaction in which Next reads, and returns the number of events.
func (r *rebuild) Snapshot(ctx context.Context) (int, error) {
	var events int
	b := &pgx.Batch{}
	b.Queue(sqlBeginRead)
	b.Queue(sqlRebuildCount).QueryRow(func(row pgx.Row) error { return row.Scan(&events) })
	b.Queue(sqlRebuildRows).Query(func(rows pgx.Rows) (err error) {
		r.rows, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	b.Queue(sqlRebuildNoSort)
	b.Queue(sqlRebuildOpen)
	if err := r.conn.SendBatch(ctx, b).Close(); err != nil {
		return 0, faultOr(explain(ctx, err), "open the history of shard %d", r.shard)
	}
	return events, nil
}

// Next reads the next events of the snapshot.
func (r *rebuild) Next(ctx context.Context, limit int) ([]event.Record, error) {
	rows, _ := r.conn.Query(ctx, fmt.Sprintf(sqlRebuildNext, limit)) // CollectRows returns its error
	list, err := pgx.CollectRows(rows, scanHistory)
	if err != nil {
		return nil, faultOr(explain(ctx, err), "read the history of shard %d", r.shard)
	}
	return list, nil
}

func scanHistory(row pgx.CollectableRow) (event.Record, error) {
	var e event.Record
	var data pgtype.Text
	err := row.Scan(intoID(&e.Tenant), intoID(&e.Order), &e.Seq, intoID(&e.ID), &e.Type, &e.Actor, intoTime(&e.At),
		intoID(&e.Causation), intoID(&e.Correlation), &e.Traceparent, &data)
	if err != nil {
		return e, fmt.Errorf("read event: %w", err)
	}
	e.Data = []byte(data.String)
	return e, nil
}

// Finish deletes the outbox rows whose events are on the topic now, and allows the relays to run again.
func (r *rebuild) Finish(ctx context.Context) (int, error) {
	err := r.finish(ctx)
	if err == nil {
		return len(r.rows), nil
	}
	if rollback := r.end(ctx, sqlRollback); rollback != nil {
		err = errors.Join(err, rollback)
	}
	if errors.Is(err, app.ErrRelayPosition) {
		return 0, err
	}
	return 0, faultOr(explain(ctx, err), "finish the rebuild of shard %d", r.shard)
}

func (r *rebuild) finish(ctx context.Context) error {
	var epoch, batch, deleted int64
	var rebuilding bool
	b := &pgx.Batch{}
	b.Queue(sqlCommit) // of the snapshot
	b.Queue(sqlBegin)
	b.Queue(sqlDurable)
	b.Queue(sqlRelayLock, r.shard).QueryRow(func(row pgx.Row) error { return row.Scan(&epoch, &batch, &rebuilding) })
	b.Queue(sqlOutboxDelete, r.rows).Exec(func(tag pgconn.CommandTag) error {
		deleted = tag.RowsAffected()
		return nil
	})
	if err := r.conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	if !rebuilding || epoch != r.epoch || deleted != int64(len(r.rows)) {
		return fmt.Errorf("%w: epoch %d of %d, and %d of %d rows were still there, when the rebuild was to be finished",
			app.ErrRelayPosition, epoch, r.epoch, deleted, len(r.rows))
	}
	b = &pgx.Batch{}
	b.Queue(sqlRebuildDone, r.shard, r.epoch+1)
	b.Queue(sqlCommit)
	return r.conn.SendBatch(ctx, b).Close()
}
