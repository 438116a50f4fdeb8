package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	webhookDeliveryColumns = `d.id, d.endpoint_id, d.order_id, d.seq, d.event_id, d.type, d.state, d.calls,
		d.last_status, d.last_result, d.created_at, d.next_at, d.done_at`
	sqlWebhookDeliveries   = `SELECT ` + webhookDeliveryColumns + ` FROM webhook_delivery d`
	sqlWebhookDelivery     = sqlWebhookDeliveries + ` WHERE d.tenant_id = $1 AND d.endpoint_id = $2 AND d.id = $3`
	sqlWebhookDeliveryTask = `
		SELECT ` + taskColumns + `
		FROM saga_tasks
		WHERE tenant_id = $1 AND id = $2 AND kind = ` + taskWebhook
	sqlWebhookDeliveryLog = `
		SELECT n, at, status, result, took_ms, excerpt
		FROM webhook_call
		WHERE tenant_id = $1 AND delivery_id = $2
		ORDER BY n DESC
		LIMIT 100`

	sqlWebhookDeliveryAdd = `
		INSERT INTO webhook_delivery (tenant_id, id, endpoint_id, order_id, seq, event_id, type,
			state, calls, last_result, created_at, next_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7,
			` + webhookDeliveryPending + `, 0, '', $8, $9)`
	sqlWebhookDeliverySave = `
		UPDATE webhook_delivery
		SET state = $3, calls = $4, last_status = $5, last_result = $6, next_at = $7, done_at = $8
		WHERE tenant_id = $1 AND id = $2`
	sqlWebhookDeliveryCall = `
		INSERT INTO webhook_call (tenant_id, delivery_id, n, at, status, result, took_ms, excerpt)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	// The fence is checked again, although the endpoint is locked.
	sqlWebhookDeliveryTaskSave = `
		WITH hit AS (
			UPDATE saga_tasks
			SET state = $4, try = $5, epoch = $3 + 1, next_at = $6, detail = $7
			WHERE tenant_id = $1 AND id = $2 AND kind = ` + taskWebhook + ` AND epoch = $3
			RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = 1, 'task moved under the lock of its endpoint')`

	// These update the tasks of the pending deliveries of an endpoint. If such a task has a job already, the job
	// finds it not due and ends. The tasks of held deliveries are stuck, so that the feeder does not see them.
	setWebhookDelivery         = `UPDATE saga_tasks u SET state = `
	ofPendingWebhookDeliveries = `
		FROM webhook_delivery d
		WHERE d.tenant_id = $1
			AND d.endpoint_id = $2
			AND d.state = ` + webhookDeliveryPending + `
			AND u.tenant_id = d.tenant_id
			AND u.id = d.id
			AND u.state <> ` + taskClosed
	sqlWebhookDeliveriesHold = setWebhookDelivery + taskStuck + `, next_at = NULL` +
		ofPendingWebhookDeliveries
	sqlWebhookDeliveriesRest = setWebhookDelivery + taskQueued + `, next_at = $3` +
		ofPendingWebhookDeliveries + ` AND u.next_at < $3`
	sqlWebhookDeliveriesRelease = setWebhookDelivery + taskQueued + `, next_at = greatest(d.next_at, $3)` +
		ofPendingWebhookDeliveries
	sqlWebhookDeliveriesDrop = `
		WITH dropped AS (
			UPDATE webhook_delivery
			SET state = ` + webhookDeliveryDropped + `, next_at = NULL, done_at = $3
			WHERE tenant_id = $1 AND endpoint_id = $2 AND state = ` + webhookDeliveryPending + `
			RETURNING id)
		UPDATE saga_tasks u
		SET state = ` + taskClosed + `, epoch = u.epoch + 1
		FROM dropped
		WHERE u.tenant_id = $1 AND u.id = dropped.id`
)

const cursorWebhookDeliveries = 'h'

func scanWebhookDelivery(r pgx.Rows) (app.WebhookDelivery, error) {
	var delivery app.WebhookDelivery
	var status pgtype.Int2
	err := r.Scan(intoID(&delivery.ID), intoID(&delivery.WebhookEndpoint), intoID(&delivery.Order), &delivery.Seq,
		intoID(&delivery.Event), &delivery.Type, &delivery.State, &delivery.Calls, &status, &delivery.LastResult,
		intoTime(&delivery.CreatedAt), intoTime(&delivery.NextAt), intoTime(&delivery.DoneAt))
	if err != nil {
		return delivery, fmt.Errorf("read webhook delivery: %w", err)
	}
	delivery.LastStatus = int(status.Int16)
	return delivery, nil
}

// WebhookDeliveries reads a page of an endpoint's deliveries, newest first.
func (db *DB) WebhookDeliveries(
	ctx context.Context, t tenant.ID, e app.WebhookEndpointID, f app.WebhookDeliveryFilter,
) (app.Page[app.WebhookDelivery], error) {
	after, err := parseCursor[app.WebhookDelivery](cursorWebhookDeliveries, f.Cursor)
	if err != nil {
		return app.Page[app.WebhookDelivery]{}, err
	}
	c := &conditions{}
	c.add(`d.tenant_id = ?`, uid(t))
	c.add(`d.endpoint_id = ?`, uid(e))
	if f.State != nil {
		c.add(`d.state = ?::smallint`, int16(*f.State))
	}
	if !after.IsZero() {
		c.add(`d.id < ?`, uid(after))
	}
	n := pageSize(f.Limit)
	sql := sqlWebhookDeliveries + c.where() + fmt.Sprintf(` ORDER BY d.id DESC LIMIT %d`, n+1)
	var known webhookEndpointList
	var p app.Page[app.WebhookDelivery]
	err = db.readTenant(ctx, t, func(b *pgx.Batch) {
		known.queueOne(b, sqlWebhookEndpoint, t, e, db.now())
		each(b.Queue(sql, c.args...), func(r pgx.Rows) error {
			d, err := scanWebhookDelivery(r)
			p.Data = append(p.Data, d)
			return err
		})
	})
	if err != nil {
		return app.Page[app.WebhookDelivery]{}, faultOr(err, "list the deliveries of webhook endpoint %s", e)
	}
	if len(known) == 0 {
		return app.Page[app.WebhookDelivery]{}, fault.Absent()
	}
	if len(p.Data) > n {
		p.Data = p.Data[:n]
		p.Next = cursorOf(cursorWebhookDeliveries, p.Data[n-1].ID)
	}
	return p, nil
}

// WebhookDelivery reads one delivery of an endpoint with its log.
func (db *DB) WebhookDelivery(
	ctx context.Context, t tenant.ID, e app.WebhookEndpointID, id app.WebhookDeliveryID,
) (app.WebhookDelivery, error) {
	var known webhookEndpointList
	var got *app.WebhookDelivery
	var log []app.WebhookDeliveryCall
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		known.queueOne(b, sqlWebhookEndpoint, t, e, db.now())
		each(b.Queue(sqlWebhookDelivery, uid(t), uid(e), uid(id)), func(r pgx.Rows) error {
			delivery, err := scanWebhookDelivery(r)
			got = &delivery
			return err
		})
		each(b.Queue(sqlWebhookDeliveryLog, uid(t), uid(id)), func(r pgx.Rows) error {
			c, err := scanCall(r)
			log = append(log, c)
			return err
		})
	})
	if err != nil {
		return app.WebhookDelivery{}, faultOr(err, "read webhook delivery %s", id)
	}
	if len(known) == 0 || got == nil {
		return app.WebhookDelivery{}, fault.Absent()
	}
	got.Log = log
	return *got, nil
}

func scanCall(r pgx.Rows) (app.WebhookDeliveryCall, error) {
	var c app.WebhookDeliveryCall
	var status pgtype.Int2
	var took int64
	if err := r.Scan(&c.N, intoTime(&c.At), &status, &c.Result, &took, &c.Excerpt); err != nil {
		return c, fmt.Errorf("read webhook call: %w", err)
	}
	c.Status, c.Took = int(status.Int16), time.Duration(took)*time.Millisecond
	return c, nil
}

const (
	sqlWebhookDeliveryOf       = sqlWebhookDeliveries + ` WHERE d.tenant_id = $1 AND d.id = $2`
	sqlWebhookDeliveryEndpoint = `
		SELECT ` + webhookEndpointColumns + `
		FROM webhook_delivery d
		JOIN webhook_endpoint e ON e.tenant_id = d.tenant_id AND e.id = d.endpoint_id
		WHERE d.tenant_id = $1 AND d.id = $2 AND e.deleted_at IS NULL`
	sqlWebhookDeliveryEvent = `
		SELECT v.at, v.data
		FROM webhook_delivery d
		JOIN order_event v ON v.tenant_id = d.tenant_id AND v.order_id = d.order_id AND v.seq = d.seq
		WHERE d.tenant_id = $1 AND d.id = $2`
	sqlWebhooksPurge = `SELECT purge_webhooks($1, $2, $3)`
)

// WebhookDeliveryJob reads the delivery of a task with everything that is needed to post it, for the worker.
func (db *DB) WebhookDeliveryJob(
	ctx context.Context, t tenant.ID, taskID fulfil.TaskID,
) (app.WebhookDeliveryJob, error) {
	var job app.WebhookDeliveryJob
	rows := 0 // of the four queries below
	queueRow := func(b *pgx.Batch, sql string, scan func(r pgx.Rows) error) {
		each(b.Queue(sql, uid(t), uid(taskID)), func(r pgx.Rows) error {
			rows++
			return scan(r)
		})
	}
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		queueRow(b, sqlWebhookDeliveryTask, func(r pgx.Rows) (err error) {
			job.Task, err = scanTask(r)
			return err
		})
		queueRow(b, sqlWebhookDeliveryOf, func(r pgx.Rows) (err error) {
			job.WebhookDelivery, err = scanWebhookDelivery(r)
			return err
		})
		queueRow(b, sqlWebhookDeliveryEndpoint, func(r pgx.Rows) (err error) {
			job.WebhookEndpoint, err = scanWebhookEndpoint(r)
			return err
		})
		queueRow(b, sqlWebhookDeliveryEvent, func(r pgx.Rows) error {
			return r.Scan(intoTime(&job.At), &job.Data)
		})
		each(b.Queue(sqlSecretsSealed, uid(t), uid(taskID), stamp(db.now())), func(r pgx.Rows) error {
			s, err := scanSealedSecret(r)
			job.Secrets = append(job.Secrets, s)
			return err
		})
	})
	if err != nil {
		return app.WebhookDeliveryJob{}, faultOr(err, "read webhook delivery of task %s", taskID)
	}
	if rows < 4 {
		return app.WebhookDeliveryJob{}, fault.Absent()
	}
	job.Task.Tenant = t
	return job, nil
}

// PurgeWebhooks removes expired secrets and old deliveries, for the worker; see app.WebhookDeliveryJobs. The
// closed tasks of the deliveries stay, because removing one would search its tenant's whole saga log.
func (db *DB) PurgeWebhooks(ctx context.Context, now, before time.Time, n int) (purged int, err error) {
	err = db.inSystem(ctx, func(b *pgx.Batch) {
		purge := b.Queue(sqlWebhooksPurge, stamp(now), stamp(before), n)
		purge.QueryRow(func(row pgx.Row) error { return row.Scan(&purged) })
	})
	if err != nil {
		return 0, faultOr(err, "purge webhooks")
	}
	return purged, nil
}

// AddWebhookDelivery queues a delivery and its task. The inbox ensures that each endpoint gets an event once; the
// table's unique key would fail the transaction otherwise.
func (x *tx) AddWebhookDelivery(delivery app.WebhookDelivery, task fulfil.Task) {
	x.queue(sqlWebhookDeliveryAdd, uid(x.tenant), uid(delivery.ID), uid(delivery.WebhookEndpoint), uid(delivery.Order),
		delivery.Seq, uid(delivery.Event), string(delivery.Type), stamp(delivery.CreatedAt), stamp(delivery.NextAt))
	x.AddTask(task)
}

// SaveWebhookDelivery queues the changes that a call or a person made to a delivery; see app.WebhookEndpointTx.
func (x *tx) SaveWebhookDelivery(delivery app.WebhookDelivery, task fulfil.Task, call *app.WebhookDeliveryCall) {
	x.queue(sqlWebhookDeliverySave, uid(x.tenant), uid(delivery.ID), int16(delivery.State), delivery.Calls,
		smallOr(delivery.LastStatus), string(delivery.LastResult), stamp(delivery.NextAt), stamp(delivery.DoneAt))
	x.queue(sqlWebhookDeliveryTaskSave, uid(x.tenant), uid(task.ID), task.Epoch-1, int16(task.State), int16(task.Try),
		stamp(task.NextAt), task.Detail)
	if call != nil {
		x.queue(sqlWebhookDeliveryCall, uid(x.tenant), uid(delivery.ID), call.N, stamp(call.At), smallOr(call.Status),
			string(call.Result), call.Took.Milliseconds(), call.Excerpt)
	}
}

// HoldWebhookDeliveries queues the hold of an endpoint's pending deliveries: none of them is due any more. See
// app.WebhookEndpointTx.
func (x *tx) HoldWebhookDeliveries(e app.WebhookEndpointID) {
	x.queue(sqlWebhookDeliveriesHold, uid(x.tenant), uid(e))
}

// RestWebhookDeliveries queues that no pending delivery of an endpoint is due before until. Held ones stay held.
func (x *tx) RestWebhookDeliveries(e app.WebhookEndpointID, until time.Time) {
	x.queue(sqlWebhookDeliveriesRest, uid(x.tenant), uid(e), stamp(until))
}

// ReleaseWebhookDeliveries queues that an endpoint's pending deliveries are due by their own schedules again.
func (x *tx) ReleaseWebhookDeliveries(e app.WebhookEndpointID) {
	x.queue(sqlWebhookDeliveriesRelease, uid(x.tenant), uid(e), stamp(x.now))
}

// DropWebhookDeliveries queues that an endpoint's pending deliveries are never sent.
func (x *tx) DropWebhookDeliveries(e app.WebhookEndpointID) {
	x.queue(sqlWebhookDeliveriesDrop, uid(x.tenant), uid(e), stamp(x.now))
}
