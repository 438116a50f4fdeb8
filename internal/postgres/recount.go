package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// recountTime bounds the count of one tenant. A million orders take some seconds.
const recountTime = "10min"

// Parts of the statements that count the tables by day, in the time zone of the tenant's roll-up.
const (
	countedOrders = `
		SELECT (o.created_at AT TIME ZONE z.time_zone)::date AS day, o.state, o.currency,
			count(*) AS orders,
			count(*) FILTER (WHERE o.paid > 0) AS paid,
			coalesce(sum(o.due_cents) FILTER (WHERE o.paid > 0), 0)::bigint AS due
		FROM o
		JOIN rollup z ON z.tenant_id = $1
		GROUP BY 1, 2, 3`
	countedRevenue = `
		SELECT m.day, m.currency, sum(m.captured)::bigint AS captured, sum(m.refunded)::bigint AS refunded
		FROM (
			SELECT (p.paid_at AT TIME ZONE z.time_zone)::date AS day, p.currency,
				p.paid_cents AS captured, 0 AS refunded
			FROM payments p
			JOIN rollup z ON z.tenant_id = $1
			WHERE p.tenant_id = $1 AND p.state <> ` + paymentReverted + `
			UNION ALL
			SELECT (r.accepted_at AT TIME ZONE z.time_zone)::date, r.currency, 0, r.cents
			FROM r
			JOIN rollup z ON z.tenant_id = $1
			WHERE r.counts AND r.payment_valid) m
		GROUP BY 1, 2`
	ordersAndRefunds = `
		o AS MATERIALIZED (
			SELECT o.id, o.created_at, o.state, o.currency, o.due_cents, o.last_seq,
				(SELECT count(*)
					FROM payments p
					WHERE p.tenant_id = $1 AND p.order_id = o.id AND p.state <> ` + paymentReverted + `) AS paid
			FROM orders o
			WHERE o.tenant_id = $1),
		r AS MATERIALIZED (
			SELECT r.id, r.accepted_at, r.currency, r.cents,
				r.state IN (` + refundAccepted + `, ` + refundCompleted + `) AS counts,
				p.state <> ` + paymentReverted + ` AS payment_valid
			FROM refunds r
			JOIN payments p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id
			WHERE r.tenant_id = $1 AND r.accepted_at IS NOT NULL)`
	ordersThatDiffer = `
		FROM (` + countedOrders + `) n
		FULL JOIN (
			SELECT d.day, d.state, d.currency, d.orders, d.paid, d.paid_due_cents
			FROM order_daily d
			WHERE d.tenant_id = $1) d USING (day, state, currency)
		WHERE (coalesce(n.orders, 0), coalesce(n.paid, 0), coalesce(n.due, 0))
			<> (coalesce(d.orders, 0), coalesce(d.paid, 0), coalesce(d.paid_due_cents, 0))`
	revenueThatDiffers = `
		FROM (` + countedRevenue + `) n
		FULL JOIN (
			SELECT d.day, d.currency, d.captured_cents, d.refunded_cents
			FROM revenue_daily d
			WHERE d.tenant_id = $1) d USING (day, currency)
		WHERE (coalesce(n.captured, 0), coalesce(n.refunded, 0))
			<> (coalesce(d.captured_cents, 0), coalesce(d.refunded_cents, 0))`
)

const (
	sqlRecountTime = `SELECT set_config('statement_timeout', '` + recountTime + `', true)`
	sqlRollupMake  = `
		INSERT INTO rollup (tenant_id, asked_zone, time_zone, counted_at)
		VALUES ($1, 'UTC', 'UTC', $2)
		ON CONFLICT DO NOTHING`
	sqlRollupLockOne = `SELECT FROM rollup WHERE tenant_id = $1 FOR NO KEY UPDATE`
	// A time zone that this server does not know is replaced by UTC, because it would fail every later statement.
	sqlRollupZone = `
		UPDATE rollup r
		SET asked_zone = s.zone,
			time_zone = CASE
				WHEN EXISTS (SELECT FROM pg_timezone_names n WHERE n.name = s.zone) THEN s.zone
				ELSE 'UTC' END,
			counted_at = $2
		FROM (SELECT coalesce((SELECT s.body ->> 'time_zone' FROM settings s WHERE s.tenant_id = $1), 'UTC') AS zone) s
		WHERE r.tenant_id = $1`
	// One statement, and therefore one snapshot: checkpoints, projections and days include the same events. Only
	// rows that differ are written. The checkpoint of an order with a parked event moves too, because the count
	// includes the parked and blocked events, which may be redriven later.
	sqlRecount = `
		WITH ` + ordersAndRefunds + `,
		checkpoints AS (
			INSERT INTO inbox (tenant_id, order_id, consumer, seq)
			SELECT $1, o.id, $2, o.last_seq
			FROM o
			LEFT JOIN inbox m ON m.tenant_id = $1 AND m.order_id = o.id AND m.consumer = $2
			WHERE m.seq IS DISTINCT FROM o.last_seq
			ON CONFLICT (tenant_id, order_id, consumer) DO UPDATE
			SET seq = excluded.seq),
		projections AS (
			INSERT INTO order_projection (tenant_id, order_id, created_at, state, currency, due_cents, payments)
			SELECT $1, o.id, o.created_at, o.state, o.currency, o.due_cents, o.paid
			FROM o
			LEFT JOIN order_projection f ON f.tenant_id = $1 AND f.order_id = o.id
			WHERE (f.created_at, f.state, f.currency, f.due_cents, f.payments)
				IS DISTINCT FROM (o.created_at, o.state, o.currency, o.due_cents, o.paid::int)
			ON CONFLICT (tenant_id, order_id) DO UPDATE
			SET created_at = excluded.created_at, state = excluded.state, currency = excluded.currency,
				due_cents = excluded.due_cents, payments = excluded.payments),
		refund_projections AS (
			INSERT INTO refund_projection (tenant_id, refund_id, accepted_at, counts)
			SELECT $1, r.id, r.accepted_at, r.counts
			FROM r
			LEFT JOIN refund_projection f ON f.tenant_id = $1 AND f.refund_id = r.id
			WHERE (f.accepted_at, f.counts) IS DISTINCT FROM (r.accepted_at, r.counts)
			ON CONFLICT (tenant_id, refund_id) DO UPDATE
			SET accepted_at = excluded.accepted_at, counts = excluded.counts),
		order_days AS (
			INSERT INTO order_daily (tenant_id, day, state, currency, orders, paid, paid_due_cents)
			SELECT $1, day, state, currency, coalesce(n.orders, 0), coalesce(n.paid, 0), coalesce(n.due, 0)
			` + ordersThatDiffer + `
			ON CONFLICT (tenant_id, day, state, currency) DO UPDATE
			SET orders = excluded.orders, paid = excluded.paid, paid_due_cents = excluded.paid_due_cents)
		INSERT INTO revenue_daily (tenant_id, day, currency, captured_cents, refunded_cents)
		SELECT $1, day, currency, coalesce(n.captured, 0), coalesce(n.refunded, 0)
		` + revenueThatDiffers + `
		ON CONFLICT (tenant_id, day, currency) DO UPDATE
		SET captured_cents = excluded.captured_cents, refunded_cents = excluded.refunded_cents`
	sqlRollupStale = `
		SELECT t
		FROM unnest($1::uuid[]) t
		LEFT JOIN rollup r ON r.tenant_id = t
		LEFT JOIN settings s ON s.tenant_id = t
		WHERE r.asked_zone IS DISTINCT FROM coalesce(s.body ->> 'time_zone', 'UTC')`
	sqlRollupBehind = `
		SELECT EXISTS (SELECT FROM rollup r WHERE r.tenant_id = $1), count(o.id), count(m.parked_seq)
		FROM orders o
		LEFT JOIN inbox m ON m.tenant_id = $1 AND m.order_id = o.id AND m.consumer = $2
		WHERE o.tenant_id = $1 AND coalesce(m.seq, 0) < o.last_seq`
	sqlRollupDifferences = `
		WITH ` + ordersAndRefunds + `
		SELECT day::text, state, currency,
			coalesce(n.orders, 0), coalesce(n.paid, 0), coalesce(n.due, 0),
			coalesce(d.orders, 0), coalesce(d.paid, 0), coalesce(d.paid_due_cents, 0)
		` + ordersThatDiffer + `
		UNION ALL
		SELECT day::text, 0, currency,
			coalesce(n.captured, 0), coalesce(n.refunded, 0), 0,
			coalesce(d.captured_cents, 0), coalesce(d.refunded_cents, 0), 0
		` + revenueThatDiffers + `
		ORDER BY 1, 2, 3`
)

// Recount counts a tenant again from the tables, for the worker's login; see app.Rollup.
func (db *DB) Recount(ctx context.Context, t tenant.ID) error {
	now := stamp(db.now())
	err := db.writeTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlRecountTime)
		b.Queue(sqlRollupMake, uid(t), now)
		b.Queue(sqlRollupLockOne, uid(t))
		b.Queue(sqlRollupZone, uid(t), now)
		b.Queue(sqlRecount, uid(t), string(app.AnalyticsConsumer))
	})
	if err != nil {
		return fmt.Errorf("count tenant %s: %w", t, err)
	}
	return nil
}

// StaleRollups returns the tenants that must be counted, for the worker's login; see app.Rollup.
func (db *DB) StaleRollups(ctx context.Context) ([]tenant.ID, error) {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var stale []tenant.ID
	err = db.inTenants(ctx, idsOf(tenants), func(b *pgx.Batch, chunk []tenant.ID) {
		each(b.Queue(sqlRollupStale, uids(chunk)), func(r pgx.Rows) error {
			var t tenant.ID
			err := r.Scan(intoID(&t))
			stale = append(stale, t)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "look for tenants to be counted")
	}
	return stale, nil
}

// CheckRollup compares a tenant's roll-up with the tables, for the worker's login; see app.Rollup.
func (db *DB) CheckRollup(ctx context.Context, t tenant.ID) (app.RollupCheck, error) {
	var c app.RollupCheck
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlRecountTime)
		b.Queue(sqlRollupBehind, uid(t), string(app.AnalyticsConsumer)).QueryRow(func(r pgx.Row) error {
			return r.Scan(&c.Backfilled, &c.Behind, &c.Parked)
		})
		each(b.Queue(sqlRollupDifferences, uid(t)), func(r pgx.Rows) error {
			var day string
			var state order.State
			var cur money.Currency
			var tables, rollup [3]int64
			err := r.Scan(&day, &state, &cur, &tables[0], &tables[1], &tables[2], &rollup[0], &rollup[1], &rollup[2])
			c.Differences = append(c.Differences, difference(day, state, cur, tables, rollup))
			return err
		})
	})
	if err != nil {
		return app.RollupCheck{}, faultOr(err, "compare the roll-up of tenant %s", t)
	}
	return c, nil
}

// difference describes a difference of one day: of the orders in a state or, if state is zero, of the revenue.
func difference(day string, state order.State, cur money.Currency, tables, rollup [3]int64) app.RollupDifference {
	amount := func(cents int64) string { return money.Format(money.Cents(cents), cur) + " " + string(cur) }
	if state == 0 {
		describe := func(a [3]int64) string { return "captured " + amount(a[0]) + ", refunded " + amount(a[1]) }
		return app.RollupDifference{Day: day, What: "revenue", Tables: describe(tables), Rollup: describe(rollup)}
	}
	describe := func(a [3]int64) string {
		return fmt.Sprintf("%d, of which %d paid with %s due", a[0], a[1], amount(a[2]))
	}
	return app.RollupDifference{
		Day: day, What: "orders " + state.String(), Tables: describe(tables), Rollup: describe(rollup),
	}
}
