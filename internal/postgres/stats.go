package postgres

import (
	"context"
	"math/big"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// The figures from the roll-up (D25). The three statements return no row for a tenant that was not counted.
const (
	figuresCTE = `
		WITH z AS (
			SELECT r.time_zone,
				coalesce(s.body ->> 'currency', 'EUR') AS cur,
				($2::timestamptz AT TIME ZONE r.time_zone)::date AS today
			FROM rollup r
			LEFT JOIN settings s ON s.tenant_id = r.tenant_id
			WHERE r.tenant_id = $1)`
	sqlFigures = figuresCTE + `
		SELECT d.state,
			coalesce(sum(d.orders) FILTER (WHERE d.day >= z.today), 0)::bigint,
			coalesce(sum(d.orders) FILTER (WHERE d.day >= date_trunc('week', z.today)::date), 0)::bigint,
			coalesce(sum(d.orders) FILTER (WHERE d.day >= date_trunc('month', z.today)::date), 0)::bigint,
			sum(d.orders)::bigint,
			coalesce(sum(d.paid) FILTER (WHERE d.day >= date_trunc('month', z.today)::date), 0)::bigint,
			coalesce(sum(d.paid) FILTER (WHERE d.currency = z.cur), 0)::bigint,
			coalesce(sum(d.paid_due_cents) FILTER (WHERE d.currency = z.cur), 0)::bigint
		FROM order_daily d, z
		WHERE d.tenant_id = $1
		GROUP BY d.state
		HAVING sum(d.orders) <> 0`
	sqlFigureRevenue = figuresCTE + `
		SELECT z.time_zone, z.cur,
			coalesce((
				SELECT sum(d.captured_cents - d.refunded_cents)
				FROM revenue_daily d
				WHERE d.tenant_id = $1 AND d.currency = z.cur), 0)::bigint
		FROM z`
	sqlFigureDays = figuresCTE + `
		SELECT m.day, sum(m.orders)::bigint, sum(m.paid)::bigint, sum(m.revenue)::bigint
		FROM z
		CROSS JOIN LATERAL (
			SELECT d.day, d.orders, d.paid, 0 AS revenue
			FROM order_daily d
			WHERE d.tenant_id = $1 AND d.day > z.today - $3::int AND d.day <= z.today
			UNION ALL
			SELECT d.day, 0, 0, d.captured_cents - d.refunded_cents
			FROM revenue_daily d
			WHERE d.tenant_id = $1 AND d.currency = z.cur AND d.day > z.today - $3::int AND d.day <= z.today) m
		GROUP BY m.day
		HAVING (sum(m.orders), sum(m.paid), sum(m.revenue)) <> (0, 0, 0)
		ORDER BY m.day`
)

// The same figures from the tables. An order counts as paid if it has a payment that was not reverted, and neither
// a reverted payment nor its refunds count (D11). A refund counts once it is accepted (D25).
const (
	countCTE = `
		WITH z AS (
			SELECT y.time_zone, y.cur, ($2::timestamptz AT TIME ZONE y.time_zone)::date AS today
			FROM (
				SELECT coalesce((SELECT s.body ->> 'time_zone' FROM settings s WHERE s.tenant_id = $1), 'UTC') AS time_zone,
					coalesce((SELECT s.body ->> 'currency' FROM settings s WHERE s.tenant_id = $1), 'EUR') AS cur) y),
		o AS (
			SELECT x.state, (x.created_at AT TIME ZONE z.time_zone)::date AS day, x.due_cents, x.currency,
				EXISTS (
					SELECT FROM payments p
					WHERE p.tenant_id = $1 AND p.order_id = x.id AND p.state <> ` + paymentReverted + `) AS paid
			FROM orders x, z
			WHERE x.tenant_id = $1),
		m AS (
			SELECT (p.paid_at AT TIME ZONE z.time_zone)::date AS day, p.paid_cents AS cents
			FROM payments p, z
			WHERE p.tenant_id = $1 AND p.state <> ` + paymentReverted + ` AND p.currency = z.cur
			UNION ALL
			SELECT (r.accepted_at AT TIME ZONE z.time_zone)::date, -r.cents
			FROM refunds r
			JOIN payments p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id, z
			WHERE r.tenant_id = $1
				AND r.state IN (` + refundAccepted + `, ` + refundCompleted + `)
				AND p.state <> ` + paymentReverted + `
				AND r.currency = z.cur)`
	sqlCount = countCTE + `
		SELECT o.state,
			count(*) FILTER (WHERE o.day >= z.today),
			count(*) FILTER (WHERE o.day >= date_trunc('week', z.today)::date),
			count(*) FILTER (WHERE o.day >= date_trunc('month', z.today)::date),
			count(*),
			count(*) FILTER (WHERE o.day >= date_trunc('month', z.today)::date AND o.paid),
			count(*) FILTER (WHERE o.paid AND o.currency = z.cur),
			coalesce(sum(o.due_cents) FILTER (WHERE o.paid AND o.currency = z.cur), 0)::bigint
		FROM o, z
		GROUP BY o.state`
	sqlCountRevenue = countCTE + `
		SELECT z.time_zone, z.cur, coalesce((SELECT sum(m.cents) FROM m), 0)::bigint
		FROM z`
	sqlCountDays = countCTE + `
		SELECT y.day, sum(y.orders)::bigint, sum(y.paid)::bigint, sum(y.revenue)::bigint
		FROM (
			SELECT o.day, 1 AS orders, o.paid::int AS paid, 0::bigint AS revenue FROM o
			UNION ALL
			SELECT m.day, 0, 0, m.cents FROM m) y, z
		WHERE y.day > z.today - $3::int AND y.day <= z.today
		GROUP BY y.day
		HAVING (sum(y.orders), sum(y.paid), sum(y.revenue)) <> (0, 0, 0)
		ORDER BY y.day`
)

// OrderStats reads a tenant's figures from its roll-up. If the tenant was not counted yet, it counts them in the
// tables; see app.Store.
func (db *DB) OrderStats(ctx context.Context, t tenant.ID, now time.Time) (app.OrderStats, error) {
	s, err := db.stats(ctx, t, now, sqlFigures, sqlFigureRevenue, sqlFigureDays)
	if err == nil && s.TimeZone == "" {
		return db.CountOrderStats(ctx, t, now)
	}
	return s, err
}

// CountOrderStats counts a tenant's figures in the tables. It reads all orders of the tenant.
func (db *DB) CountOrderStats(ctx context.Context, t tenant.ID, now time.Time) (app.OrderStats, error) {
	return db.stats(ctx, t, now, sqlCount, sqlCountRevenue, sqlCountDays)
}

func (db *DB) stats(
	ctx context.Context, t tenant.ID, now time.Time, counts, revenue, days string,
) (app.OrderStats, error) {
	s := app.OrderStats{AsOf: moment(now), ByState: map[order.State]int{}}
	var paidMonth, paid int
	var due int64
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(counts, uid(t), stamp(now)), func(r pgx.Rows) error {
			var state order.State
			var today, week, month, all, monthPaid, counted int
			var sum int64
			err := r.Scan(&state, &today, &week, &month, &all, &monthPaid, &counted, &sum)
			s.Today, s.Week, s.Month, s.ByState[state] = s.Today+today, s.Week+week, s.Month+month, all
			paidMonth, paid, due = paidMonth+monthPaid, paid+counted, due+sum
			return err
		})
		each(b.Queue(revenue, uid(t), stamp(now)), func(r pgx.Rows) error {
			return r.Scan(&s.TimeZone, &s.Currency, &s.Revenue)
		})
		each(b.Queue(days, uid(t), stamp(now), app.StatsDays), func(r pgx.Rows) error {
			var d app.DayStats
			err := r.Scan(&d.Day, &d.Orders, &d.Paid, &d.Revenue)
			s.Days = append(s.Days, d)
			return err
		})
	})
	if err != nil {
		return app.OrderStats{}, faultOr(err, "read the figures of tenant %s", t)
	}
	if paid > 0 {
		if s.Average, err = money.Round(big.NewRat(due, int64(paid))); err != nil {
			return app.OrderStats{}, faultOr(err, "average the orders of tenant %s", t)
		}
	}
	if s.Month > 0 {
		s.Conversion = float64(paidMonth) / float64(s.Month)
	}
	return s, nil
}
