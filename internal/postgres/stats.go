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

const (
	// The beginnings of today, of this ISO week and of this month, in the tenant's time zone. An order
	// counts as paid when it has a payment that was not reverted (D25).
	sqlStats = `
		WITH zone AS (SELECT coalesce((SELECT s.body ->> 'time_zone' FROM settings s WHERE s.tenant_id = $1), 'UTC') AS z,
				coalesce((SELECT s.body ->> 'currency' FROM settings s WHERE s.tenant_id = $1), 'EUR') AS cur),
		began AS (
			SELECT date_trunc('day', $2::timestamptz AT TIME ZONE z) AT TIME ZONE z AS today, date_trunc('week', $2::timestamptz AT TIME ZONE z) AT TIME ZONE z AS week,
				date_trunc('month', $2::timestamptz AT TIME ZONE z) AT TIME ZONE z AS month, cur FROM zone),
		o AS (
			SELECT x.state, x.created_at, x.due_cents, x.currency, EXISTS (SELECT FROM payments p WHERE p.tenant_id = $1 AND p.order_id = x.id AND p.state <> 2) AS paid
			FROM orders x WHERE x.tenant_id = $1)
		SELECT state, count(*) FILTER (WHERE created_at >= today), count(*) FILTER (WHERE created_at >= week), count(*) FILTER (WHERE created_at >= month), count(*),
			count(*) FILTER (WHERE created_at >= month AND paid), count(*) FILTER (WHERE paid AND currency = cur),
			coalesce(sum(due_cents) FILTER (WHERE paid AND currency = cur), 0)::bigint
		FROM o, began GROUP BY state`
	// A reverted payment counts on neither side (D11); a refund counts once it was accepted (D25).
	sqlRevenue = `
		SELECT
			cur, coalesce((SELECT sum(p.paid_cents) FROM payments p WHERE p.tenant_id = $1 AND p.state <> 2 AND p.currency = cur), 0)::bigint -
			coalesce((SELECT sum(r.cents) FROM refunds r JOIN payments p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id
				WHERE r.tenant_id = $1 AND r.state IN (2, 3) AND p.state <> 2 AND r.currency = cur), 0)::bigint
		FROM (SELECT coalesce((SELECT s.body ->> 'currency' FROM settings s WHERE s.tenant_id = $1), 'EUR') AS cur) c`
)

// OrderStats recounts a tenant's figures (D25), in the tenant's currency and time zone. It reads all of
// the tenant's orders: app keeps what it answers for five minutes.
func (db *DB) OrderStats(ctx context.Context, t tenant.ID, now time.Time) (app.OrderStats, error) {
	s := app.OrderStats{AsOf: moment(now), ByState: map[order.State]int{}}
	var paidMonth, paid int
	var due int64
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sqlStats, uid(t), stamp(now)), func(r pgx.Rows) error {
			var state order.State
			var today, week, month, all, monthPaid, counted int
			var sum int64
			err := r.Scan(&state, &today, &week, &month, &all, &monthPaid, &counted, &sum)
			s.Today, s.Week, s.Month, s.ByState[state] = s.Today+today, s.Week+week, s.Month+month, all
			paidMonth, paid, due = paidMonth+monthPaid, paid+counted, due+sum
			return err
		})
		b.Queue(sqlRevenue, uid(t)).QueryRow(func(r pgx.Row) error { return r.Scan(&s.Currency, &s.Revenue) })
	})
	if err != nil {
		return app.OrderStats{}, faultOr(err, "count the orders of tenant %s", t)
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
