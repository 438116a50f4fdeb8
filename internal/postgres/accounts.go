package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/guard"
)

const (
	// The lock of the row makes two processes take tokens one after the other.
	sqlTakeTokens = `
		INSERT INTO provider_accounts AS a (provider, region, tokens, taken, refilled_at)
		VALUES ($1, $2, $4::float8 - least($5, $4::float8), least($5, $4::float8)::int, $6)
		ON CONFLICT (provider, region) DO UPDATE
		SET taken = least($5, floor(bucket(a.tokens, a.refilled_at, $6, $3, $4)))::int,
			tokens = bucket(a.tokens, a.refilled_at, $6, $3, $4)
				- least($5, floor(bucket(a.tokens, a.refilled_at, $6, $3, $4))),
			refilled_at = greatest(a.refilled_at, $6)
		RETURNING taken, tokens`

	sqlBreaker = `
		SELECT open, open_until, level, moves
		FROM provider_accounts
		WHERE provider = $1 AND region = $2`
	sqlMoveBreaker = `
		INSERT INTO provider_accounts AS a (provider, region, open, open_until, level, moves)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (provider, region) DO UPDATE
		SET open = excluded.open, open_until = excluded.open_until, level = excluded.level, moves = excluded.moves
		WHERE a.moves = excluded.moves - 1
		RETURNING moves`
)

// TakeTokens takes up to n tokens from an account's rate limiter, for the worker; see guard.Store.
func (db *DB) TakeTokens(
	ctx context.Context, a guard.Account, r provider.Rate, n int, now time.Time,
) (int, time.Time, error) {
	granted, left := 0, 0.0
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		take := b.Queue(sqlTakeTokens, a.Provider, a.Region, r.PerSecond, float64(max(1, r.Burst)), float64(n),
			stamp(now))
		each(take, func(rows pgx.Rows) error { return rows.Scan(&granted, &left) })
	})
	if err != nil {
		return 0, now, faultOr(err, "take tokens of account %s %s", a.Provider, a.Region)
	}
	if granted == 0 {
		return 0, now.Add(time.Duration((1 - left) / r.PerSecond * float64(time.Second))), nil
	}
	return granted, now, nil
}

// Breaker reads an account's circuit breaker. It is the zero value if the breaker has never moved.
func (db *DB) Breaker(ctx context.Context, a guard.Account) (guard.Breaker, error) {
	var b guard.Breaker
	err := db.inSystem(ctx, func(q *pgx.Batch) {
		each(q.Queue(sqlBreaker, a.Provider, a.Region), func(r pgx.Rows) error {
			var until pgtype.Timestamptz
			err := r.Scan(&b.Open, &until, &b.Level, &b.Moves)
			b.Until = until.Time.UTC()
			return err
		})
	})
	if err != nil {
		return guard.Breaker{}, faultOr(err, "read the breaker of %s %s", a.Provider, a.Region)
	}
	return b, nil
}

// MoveBreaker replaces an account's circuit breaker and reports whether it did. It does not if another caller has
// moved the breaker meanwhile.
func (db *DB) MoveBreaker(ctx context.Context, a guard.Account, to guard.Breaker) (bool, error) {
	moved := false
	err := db.inSystem(ctx, func(q *pgx.Batch) {
		until := pgtype.Timestamptz{Time: to.Until, Valid: to.Open}
		each(q.Queue(sqlMoveBreaker, a.Provider, a.Region, to.Open, until, to.Level, to.Moves), func(pgx.Rows) error {
			moved = true
			return nil
		})
	})
	if err != nil {
		return false, faultOr(err, "move the breaker of %s %s", a.Provider, a.Region)
	}
	return moved, nil
}
