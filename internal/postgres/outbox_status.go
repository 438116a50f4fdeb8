package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
)

const sqlOutboxStatus = `
	SELECT (SELECT count(*) FROM outbox),
		(SELECT coalesce(e.at, d.at) FROM (SELECT tenant_id, order_id, seq, dead_letter_id FROM outbox ORDER BY id LIMIT 1) o
			LEFT JOIN order_event e ON e.tenant_id = o.tenant_id AND e.order_id = o.order_id AND e.seq = o.seq
			LEFT JOIN dead_letters d ON d.tenant_id = o.tenant_id AND d.id = o.dead_letter_id),
		-- Since when a transaction runs only its own user may see; which snapshot it uses, everybody. One that
		-- is as young as the next transaction holds nothing back.
		(SELECT backend_xmin::text FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND age(backend_xmin) > 0
			ORDER BY age(backend_xmin) DESC LIMIT 1)`

// snapshots remembers since when the oldest snapshot in use has been the same one.
type snapshots struct {
	mu     sync.Mutex
	oldest string    // guarded by mu; "" is none
	since  time.Time // guarded by mu
}

// held notes which one is the oldest now, and tells for how long it has been.
func (s *snapshots) held(oldest string, now time.Time) time.Duration {
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

// OutboxStatus is how the outbox stands. For the relay's login; asked every few seconds at most, for it
// counts the rows.
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
	s.XminHeld = db.snapshots.held(oldest.String, now)
	return s, nil
}

// HistorySize is how many events there are, of all tenants. For the relay's login; it counts them.
func (db *DB) HistorySize(ctx context.Context) (n int, err error) {
	err = db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlRebuildCount).QueryRow(func(r pgx.Row) error { return r.Scan(&n) })
	})
	if err != nil {
		return 0, faultOr(err, "count the events")
	}
	return n, nil
}
