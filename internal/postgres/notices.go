package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	sqlIncidentAdd = `
		INSERT INTO operator_incident (tenant_id, cause, subject, order_id, at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`
	// The subject is made of the endpoint's version, which never repeats, so that each failure is an incident of
	// its own.
	sqlIncidentAddFailing = `
		INSERT INTO operator_incident (tenant_id, cause, subject, endpoint_id, at, last_status, last_result)
		VALUES ($1, 'webhook-failing', md5($2::uuid::text || $3::int::text)::uuid, $2, $4, $5, $6)
		ON CONFLICT DO NOTHING`
	// A payment is overdue when half of the tenant's present days to pay are left. A new deadline (a restored order, a
	// reverted payment) is a new incident.
	sqlIncidentsAddOverdue = `
		INSERT INTO operator_incident (tenant_id, cause, subject, order_id, at)
		SELECT o.tenant_id, 'payment-overdue', md5(o.id::text || extract(epoch FROM o.expires_at)::text)::uuid,
			o.id, $2
		FROM orders o
		LEFT JOIN settings s ON s.tenant_id = o.tenant_id
		WHERE o.tenant_id = ANY ($1::uuid[])
			AND o.state = ` + orderPendingPayment + `
			AND o.expires_at > $2
			AND o.expires_at <= $2 + make_interval(hours => 12 * coalesce((s.body ->> 'payment_due_days')::int, $3))
		ON CONFLICT DO NOTHING`
	sqlNoticesDue = `
		SELECT i.tenant_id, i.cause
		FROM operator_incident i
		LEFT JOIN operator_notice n ON n.tenant_id = i.tenant_id AND n.cause = i.cause
		WHERE i.tenant_id = ANY ($1::uuid[])
			AND NOT i.told
			AND (n.told_at IS NULL OR n.told_at <= $3)
			AND (n.held_until IS NULL OR n.held_until <= $2)
		GROUP BY i.tenant_id, i.cause
		ORDER BY i.tenant_id, i.cause`

	sqlNoticeMake = `
		INSERT INTO operator_notice (tenant_id, cause, n)
		VALUES ($1, $2, 0)
		ON CONFLICT DO NOTHING`
	// The row is the lock between workers. A worker that does not hold it takes no incident.
	sqlNoticeClaim = `
		UPDATE operator_notice
		SET holder = $5, held_until = $6
		WHERE tenant_id = $1
			AND cause = $2
			AND (told_at IS NULL OR told_at <= $4)
			AND (held_until IS NULL OR held_until <= $3)
		RETURNING n + 1`
	sqlIncidentsTake = `
		UPDATE operator_incident i
		SET notice = n.n + 1
		FROM operator_notice n
		WHERE i.tenant_id = $1 AND i.cause = $2 AND NOT i.told
			AND n.tenant_id = $1 AND n.cause = $2 AND n.holder = $3`
	sqlIncidentsCount = `
		SELECT count(*), min(i.at), count(DISTINCT i.order_id), count(DISTINCT i.endpoint_id)
		FROM operator_incident i
		JOIN operator_notice n ON n.tenant_id = i.tenant_id AND n.cause = i.cause
		WHERE i.tenant_id = $1 AND i.cause = $2 AND NOT i.told AND n.holder = $3`
	sqlIncidentOrders = `
		SELECT o.number
		FROM operator_incident i
		JOIN operator_notice n ON n.tenant_id = i.tenant_id AND n.cause = i.cause
		JOIN orders o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
		WHERE i.tenant_id = $1 AND i.cause = $2 AND NOT i.told AND n.holder = $3
		GROUP BY o.id, o.number
		ORDER BY max(i.at) DESC, o.id
		LIMIT 10`
	sqlIncidentWebhookEndpoints = `
		SELECT e.id, e.url, f.at, f.last_status, f.last_result
		FROM (
			SELECT DISTINCT ON (i.endpoint_id) i.endpoint_id, i.at, i.last_status, i.last_result
			FROM operator_incident i
			JOIN operator_notice n ON n.tenant_id = i.tenant_id AND n.cause = i.cause
			WHERE i.tenant_id = $1 AND i.cause = $2 AND NOT i.told AND n.holder = $3
			ORDER BY i.endpoint_id, i.at DESC) f
		JOIN webhook_endpoint e ON e.tenant_id = $1 AND e.id = f.endpoint_id
		ORDER BY f.at DESC, e.id
		LIMIT 10`
	sqlRecipients = `
		SELECT ` + memberColumns + `
		FROM members
		WHERE tenant_id = $1 AND role = ANY ($2::smallint[]) AND revoked_at IS NULL AND email <> ''
		ORDER BY id
		LIMIT 20`

	sqlNoticeFinish = `
		WITH mine AS (
			UPDATE operator_notice
			SET n = $4, told_at = $5, holder = NULL, held_until = NULL
			WHERE tenant_id = $1 AND cause = $2 AND holder = $3
			RETURNING 1)
		UPDATE operator_incident
		SET told = true
		WHERE tenant_id = $1 AND cause = $2 AND NOT told AND notice = $4 AND EXISTS (SELECT FROM mine)`
)

// saveIncidents queues the incidents that operators are notified of.
func (x *tx) saveIncidents(agg *app.Aggregate) {
	for _, i := range agg.Added.Incidents {
		x.queue(sqlIncidentAdd, uid(x.tenant), string(i.Cause), pgtype.UUID{Bytes: i.Subject, Valid: true},
			uid(agg.Order.ID), stamp(i.At))
	}
}

// NoteFailing queues an incident for a failing webhook endpoint; see app.WebhookEndpointTx.
func (x *tx) NoteFailing(e app.WebhookEndpoint, last app.WebhookDeliveryCall) {
	x.queue(sqlIncidentAddFailing, uid(x.tenant), uid(e.ID), e.Version, stamp(e.Since), smallOr(last.Status),
		string(last.Result))
}

// NoteOverdue adds incidents for overdue payments; see app.Notices.
func (db *DB) NoteOverdue(ctx context.Context) (int, error) {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return 0, err
	}
	added := 0
	days := defaults(tenant.ID{}, "").PaymentDueDays
	err = db.inTenants(ctx, idsOf(tenants), func(b *pgx.Batch, chunk []tenant.ID) {
		add := b.Queue(sqlIncidentsAddOverdue, uids(chunk), stamp(db.now()), days)
		add.Exec(func(tag pgconn.CommandTag) error {
			added += int(tag.RowsAffected())
			return nil
		})
	})
	if err != nil {
		return 0, faultOr(err, "add incidents for overdue payments")
	}
	return added, nil
}

// DueNotices lists the notices that are due now; see app.Notices.
func (db *DB) DueNotices(ctx context.Context, quiet time.Duration) ([]app.NoticeRef, error) {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var due []app.NoticeRef
	now := db.now()
	err = db.inTenants(ctx, idsOf(tenants), func(b *pgx.Batch, chunk []tenant.ID) {
		each(b.Queue(sqlNoticesDue, uids(chunk), stamp(now), stamp(now.Add(-quiet))), func(r pgx.Rows) error {
			var n app.NoticeRef
			err := r.Scan(intoID(&n.Tenant), &n.Cause)
			due = append(due, n)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "look for notices that are due")
	}
	return due, nil
}

// ClaimNotice claims the due incidents of a cause; see app.Notices.
func (db *DB) ClaimNotice(
	ctx context.Context, r app.NoticeRef, quiet time.Duration, holder [16]byte, until time.Time,
) (app.OperatorNotice, bool, error) {
	n, now := app.OperatorNotice{NoticeRef: r, Holder: holder}, db.now()
	holderID := pgtype.UUID{Bytes: holder, Valid: true}
	claimed := false
	err := db.writeTenant(ctx, r.Tenant, func(b *pgx.Batch) {
		t, cause := uid(r.Tenant), string(r.Cause)
		b.Queue(sqlNoticeMake, t, cause)
		claim := b.Queue(sqlNoticeClaim, t, cause, stamp(now), stamp(now.Add(-quiet)), holderID, stamp(until))
		each(claim, func(rows pgx.Rows) error {
			claimed = true
			return rows.Scan(&n.Number)
		})
		b.Queue(sqlIncidentsTake, t, cause, holderID)
		b.Queue(sqlIncidentsCount, t, cause, holderID).QueryRow(func(row pgx.Row) error {
			var since pgtype.Timestamptz
			err := row.Scan(&n.Count, &since, &n.AllOrders, &n.AllHooks)
			n.Since = since.Time.UTC()
			return err
		})
		each(b.Queue(sqlIncidentOrders, t, cause, holderID), func(rows pgx.Rows) error {
			var number string
			err := rows.Scan(&number)
			n.Orders = append(n.Orders, number)
			return err
		})
		each(b.Queue(sqlIncidentWebhookEndpoints, t, cause, holderID), func(rows pgx.Rows) error {
			e, err := scanFailing(rows)
			n.Failing = append(n.Failing, e)
			return err
		})
		roles := column(r.Roles(), func(role *tenant.Role) int16 { return int16(*role) })
		each(b.Queue(sqlRecipients, t, roles), func(rows pgx.Rows) error {
			m, err := scanMember(rows)
			n.Operators = append(n.Operators, m)
			return err
		})
		queueSettings(b, r.Tenant, func(s app.Settings) { n.Settings = s })
	})
	if err != nil {
		return n, false, faultOr(err, "claim the notice %s of tenant %s", r.Cause, r.Tenant)
	}
	return n, claimed && n.Count > 0, nil
}

func scanFailing(r pgx.Rows) (app.FailingWebhookEndpoint, error) {
	var e app.FailingWebhookEndpoint
	var status pgtype.Int2
	if err := r.Scan(intoID(&e.ID), &e.URL, intoTime(&e.Since), &status, &e.LastResult); err != nil {
		return e, fmt.Errorf("read failing webhook endpoint: %w", err)
	}
	e.LastStatus = int(status.Int16)
	return e, nil
}

// FinishNotice records that the operators were notified; see app.Notices.
func (db *DB) FinishNotice(ctx context.Context, n app.OperatorNotice) error {
	err := db.writeTenant(ctx, n.Tenant, func(b *pgx.Batch) {
		b.Queue(sqlNoticeFinish, uid(n.Tenant), string(n.Cause), pgtype.UUID{Bytes: n.Holder, Valid: true}, n.Number,
			stamp(db.now()))
	})
	if err != nil {
		return faultOr(err, "finish the notice %s of tenant %s", n.Cause, n.Tenant)
	}
	return nil
}
