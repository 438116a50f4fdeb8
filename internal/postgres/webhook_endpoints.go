package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	webhookEndpointColumns = `e.id, e.version, e.url, e.description, e.types, e.state, e.why, e.since, e.failures,
		e.resting_until, e.created_at, e.updated_at`
	sqlWebhookEndpoints = `
		SELECT ` + webhookEndpointColumns + `
		FROM webhook_endpoint e
		WHERE e.tenant_id = $1 AND e.deleted_at IS NULL`
	sqlWebhookEndpoint = sqlWebhookEndpoints + ` AND e.id = $2`
	// Only one transaction at a time adds to a tenant's list, so that its limit holds.
	sqlWebhookEndpointsLock = `SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || $1, 0))`
	// A shared lock: many events are handled at once, but none while the state of an endpoint changes.
	sqlWebhookEndpointsSubscribed = sqlWebhookEndpoints + ` AND e.state <> ` + webhookEndpointDisabled + `
		ORDER BY e.id
		FOR SHARE`
	sqlWebhookEndpointPut = `
		INSERT INTO webhook_endpoint (tenant_id, id, version, url, description, types, state, why, since,
			failures, resting_until, created_at, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
			$10, $11, $12, $13, $14)
		ON CONFLICT (tenant_id, id) DO UPDATE
		SET version = excluded.version, url = excluded.url, description = excluded.description,
			types = excluded.types, state = excluded.state, why = excluded.why, since = excluded.since,
			failures = excluded.failures, resting_until = excluded.resting_until,
			updated_at = excluded.updated_at, deleted_at = excluded.deleted_at`
	// The columns that a worker may change.
	sqlWebhookEndpointMove = `
		UPDATE webhook_endpoint
		SET version = $3, state = $4, why = $5, since = $6, failures = $7, resting_until = $8, updated_at = $9
		WHERE tenant_id = $1 AND id = $2`

	sqlSecretInfo = `
		SELECT s.endpoint_id, s.created_at, s.expires_at
		FROM webhook_secret s
		WHERE s.tenant_id = $1
			AND ($2::uuid IS NULL OR s.endpoint_id = $2)
			AND (s.expires_at IS NULL OR s.expires_at > $3)
		ORDER BY s.id DESC`
	sqlSecretAdd = `
		INSERT INTO webhook_secret (tenant_id, id, endpoint_id, wrapped, sealed, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`
	// Secrets that have an expiry end now, so that at most two are valid. Their values are destroyed.
	sqlSecretsEnd = `
		UPDATE webhook_secret
		SET wrapped = NULL, sealed = NULL, expires_at = least(expires_at, $3)
		WHERE tenant_id = $1 AND endpoint_id = $2 AND (expires_at IS NOT NULL OR $4)`
	sqlSecretsExpire = `
		UPDATE webhook_secret
		SET expires_at = $3
		WHERE tenant_id = $1 AND endpoint_id = $2 AND expires_at IS NULL`
	// The valid secrets with their sealed values, for the worker only.
	sqlSecretsSealed = `
		SELECT s.id, s.wrapped, s.sealed
		FROM webhook_secret s
		WHERE s.tenant_id = $1
			AND s.endpoint_id = (SELECT d.endpoint_id FROM webhook_delivery d WHERE d.tenant_id = $1 AND d.id = $2)
			AND s.sealed IS NOT NULL
			AND (s.expires_at IS NULL OR s.expires_at > $3)
		ORDER BY s.id DESC`
)

func scanWebhookEndpoint(r pgx.Rows) (app.WebhookEndpoint, error) {
	var e app.WebhookEndpoint
	err := r.Scan(intoID(&e.ID), &e.Version, &e.URL, &e.Description, &e.Types, &e.State, &e.Why, intoTime(&e.Since),
		&e.Failures, intoTime(&e.RestingUntil), intoTime(&e.CreatedAt), intoTime(&e.UpdatedAt))
	if err != nil {
		return e, fmt.Errorf("read webhook endpoint: %w", err)
	}
	return e, nil
}

// webhookEndpointList collects endpoints with the times of their secrets, without the values.
type webhookEndpointList []app.WebhookEndpoint

// queueAll queues the read of all endpoints of a tenant, the oldest first.
func (l *webhookEndpointList) queueAll(b *pgx.Batch, t tenant.ID, now time.Time) {
	each(b.Queue(sqlWebhookEndpoints+` ORDER BY e.id`, uid(t)), l.scan)
	each(b.Queue(sqlSecretInfo, uid(t), nil, stamp(now)), l.scanSecret)
}

// queueOne queues the read of one endpoint. The parameters of sql are the tenant and the id.
func (l *webhookEndpointList) queueOne(b *pgx.Batch, sql string, t tenant.ID, e app.WebhookEndpointID, now time.Time) {
	each(b.Queue(sql, uid(t), uid(e)), l.scan)
	each(b.Queue(sqlSecretInfo, uid(t), uid(e), stamp(now)), l.scanSecret)
}

func (l *webhookEndpointList) scan(r pgx.Rows) error {
	e, err := scanWebhookEndpoint(r)
	*l = append(*l, e)
	return err
}

func (l *webhookEndpointList) scanSecret(r pgx.Rows) error {
	var of app.WebhookEndpointID
	var s app.SecretInfo
	if err := r.Scan(intoID(&of), intoTime(&s.CreatedAt), intoTime(&s.ExpiresAt)); err != nil {
		return fmt.Errorf("read webhook secret: %w", err)
	}
	for i := range *l {
		if e := &(*l)[i]; e.ID == of {
			e.Secrets = append(e.Secrets, s)
		}
	}
	return nil
}

// WebhookEndpoints reads a tenant's webhook endpoints, the oldest first.
func (db *DB) WebhookEndpoints(ctx context.Context, t tenant.ID) ([]app.WebhookEndpoint, error) {
	var list webhookEndpointList
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		list.queueAll(b, t, db.now())
	})
	if err != nil {
		return nil, faultOr(err, "list webhook endpoints")
	}
	return list, nil
}

// WebhookEndpoint reads one webhook endpoint.
func (db *DB) WebhookEndpoint(ctx context.Context, t tenant.ID, e app.WebhookEndpointID) (app.WebhookEndpoint, error) {
	var list webhookEndpointList
	err := db.readTenant(ctx, t, func(b *pgx.Batch) { list.queueOne(b, sqlWebhookEndpoint, t, e, db.now()) })
	if err != nil {
		return app.WebhookEndpoint{}, faultOr(err, "read webhook endpoint %s", e)
	}
	if len(list) == 0 {
		return app.WebhookEndpoint{}, fault.Absent()
	}
	return list[0], nil
}

// ListWebhookEndpoints reads a tenant's endpoints under a lock that keeps others from adding one; see
// app.WebhookEndpointTx.
func (x *tx) ListWebhookEndpoints(ctx context.Context) ([]app.WebhookEndpoint, app.Settings, error) {
	var list webhookEndpointList
	var settings app.Settings
	err := x.read(ctx, func(b *pgx.Batch) {
		b.Queue(sqlWebhookEndpointsLock, x.tenant.String())
		queueSettings(b, x.tenant, func(s app.Settings) { settings = s })
		list.queueAll(b, x.tenant, x.now)
	}, func() error { return nil })
	if err != nil {
		return nil, settings, faultOr(err, "list webhook endpoints")
	}
	return list, settings, nil
}

// SubscribedWebhookEndpoints reads the endpoints that are not disabled and locks their states; see
// app.WebhookEndpointTx.
func (x *tx) SubscribedWebhookEndpoints(ctx context.Context) ([]app.WebhookEndpoint, error) {
	var list webhookEndpointList
	err := x.read(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlWebhookEndpointsSubscribed, uid(x.tenant)), list.scan)
	}, func() error { return nil })
	if err != nil {
		return nil, faultOr(err, "list subscribed webhook endpoints")
	}
	return list, nil
}

// LockWebhookEndpoint locks an endpoint and, if also is set, reads one of its deliveries; see
// app.WebhookEndpointTx.
func (x *tx) LockWebhookEndpoint(
	ctx context.Context, e app.WebhookEndpointID, also app.WebhookDeliveryID,
) (app.LockedWebhookEndpoint, error) {
	var list webhookEndpointList
	var f app.LockedWebhookEndpoint
	found := also.IsZero()
	err := x.read(ctx, func(b *pgx.Batch) {
		list.queueOne(b, sqlWebhookEndpoint+` FOR NO KEY UPDATE`, x.tenant, e, x.now)
		queueSettings(b, x.tenant, func(s app.Settings) { f.Settings = s })
		if also.IsZero() {
			return
		}
		// The delivery is locked too, because a purge does not take the endpoint's lock.
		delivery := b.Queue(sqlWebhookDelivery+` FOR NO KEY UPDATE`, uid(x.tenant), uid(e), uid(also))
		each(delivery, func(r pgx.Rows) (err error) {
			found = true
			f.WebhookDelivery, err = scanWebhookDelivery(r)
			return err
		})
		each(b.Queue(sqlWebhookDeliveryTask, uid(x.tenant), uid(also)), func(r pgx.Rows) (err error) {
			f.Task, err = scanTask(r)
			f.Task.Tenant = x.tenant
			return err
		})
	}, func() error {
		if len(list) == 0 || !found {
			return fault.Absent()
		}
		return nil
	})
	if err != nil {
		return app.LockedWebhookEndpoint{}, faultOr(err, "lock webhook endpoint %s", e)
	}
	f.WebhookEndpoint = list[0]
	return f, nil
}

// MoveWebhookEndpoint queues the state and the failure record of an endpoint.
func (x *tx) MoveWebhookEndpoint(e app.WebhookEndpoint) {
	x.queue(sqlWebhookEndpointMove, uid(x.tenant), uid(e.ID), e.Version, int16(e.State), string(e.Why), stamp(e.Since),
		e.Failures, stamp(e.RestingUntil), stamp(e.UpdatedAt))
}

// PutWebhookEndpoint queues a new or changed endpoint.
func (x *tx) PutWebhookEndpoint(e app.WebhookEndpoint) {
	types := e.Types
	if types == nil {
		types = []event.Type{}
	}
	x.queue(sqlWebhookEndpointPut, uid(x.tenant), uid(e.ID), e.Version, e.URL, e.Description, types, int16(e.State),
		string(e.Why), stamp(e.Since), e.Failures, stamp(e.RestingUntil), stamp(e.CreatedAt), stamp(e.UpdatedAt),
		stamp(e.DeletedAt))
}

// AddSecret queues a new current secret. The previous one remains valid until the given time; see
// app.WebhookEndpointTx.
func (x *tx) AddSecret(e app.WebhookEndpointID, s app.SealedSecret, until time.Time) {
	x.queue(sqlSecretsEnd, uid(x.tenant), uid(e), stamp(x.now), !until.After(x.now))
	x.queue(sqlSecretsExpire, uid(x.tenant), uid(e), stamp(until))
	x.queue(sqlSecretAdd, uid(x.tenant), uid(s.ID), uid(e), s.Wrapped, s.Sealed, stamp(x.now))
}

// DropSecrets queues the end of all secrets of an endpoint.
func (x *tx) DropSecrets(e app.WebhookEndpointID) {
	x.queue(sqlSecretsEnd, uid(x.tenant), uid(e), stamp(x.now), true)
}

func scanSealedSecret(r pgx.Rows) (app.SealedSecret, error) {
	var s app.SealedSecret
	if err := r.Scan(intoID(&s.ID), &s.Wrapped, &s.Sealed); err != nil {
		return s, fmt.Errorf("read sealed webhook secret: %w", err)
	}
	return s, nil
}

// smallOr returns a number as a column value; zero is null.
func smallOr(n int) pgtype.Int2 { return pgtype.Int2{Int16: int16(n), Valid: n != 0} }
