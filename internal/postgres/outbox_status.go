package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
)

// sqlOutboxStatus reads the number of rows, the time of the oldest one, and the oldest snapshot in use. Only its
// own user may see when another transaction began, but everybody may see its snapshot (backend_xmin). A
// snapshot of age 0 holds nothing back.
const sqlOutboxStatus = `
	SELECT (SELECT count(*) FROM outbox),
		(SELECT coalesce(e.at, d.at)
			FROM (SELECT tenant_id, order_id, seq, dead_letter_id FROM outbox ORDER BY id LIMIT 1) o
			LEFT JOIN order_event e ON e.tenant_id = o.tenant_id AND e.order_id = o.order_id AND e.seq = o.seq
			LEFT JOIN dead_letters d ON d.tenant_id = o.tenant_id AND d.id = o.dead_letter_id),
		(SELECT backend_xmin::text
			FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND age(backend_xmin) > 0
			ORDER BY age(backend_xmin) DESC
			LIMIT 1)`

// snapshots records since when the oldest snapshot in use has been the same.
type snapshots struct {
	mu     sync.Mutex
	oldest string    // guarded by mu; "" is none
	since  time.Time // guarded by mu
}

// heldFor records the oldest snapshot and returns for how long it has been the oldest; "" is none.
func (s *snapshots) heldFor(oldest string, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if oldest != s.oldest {
		s.oldest, s.since = oldest, now
	}
	if oldest == "" {
		return 0
	}
	return max(0, now.Sub(s.since))
}

// OutboxStatus returns the size and the lag of the outbox, for the relay's login. It counts the rows, so it
// should be called every few seconds at most.
func (db *DB) OutboxStatus(ctx context.Context) (app.OutboxStatus, error) {
	var s app.OutboxStatus
	var first pgtype.Timestamptz
	var oldest pgtype.Text
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlOutboxStatus).QueryRow(func(r pgx.Row) error { return r.Scan(&s.Rows, &first, &oldest) })
	})
	if err != nil {
		return s, faultOr(err, "read the status of the outbox")
	}
	now := db.now()
	if first.Valid {
		s.Lag = max(0, now.Sub(first.Time))
	}
	s.XminHeld = db.snapshots.heldFor(oldest.String, now)
	return s, nil
}

// HistorySize counts the events of all tenants, for the relay's login.
func (db *DB) HistorySize(ctx context.Context) (n int, err error) {
	err = db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlRebuildCount).QueryRow(func(r pgx.Row) error { return r.Scan(&n) })
	})
	if err != nil {
		return 0, faultOr(err, "count the events")
	}
	return n, nil
}
