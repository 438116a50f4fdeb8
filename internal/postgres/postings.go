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
	postingColumns = `d.id, d.endpoint_id, d.order_id, d.seq, d.event_id, d.type, d.state, d.calls, d.last_status, d.last_result, d.created_at, d.next_at, d.done_at`
	sqlPostings    = `SELECT ` + postingColumns + ` FROM webhook_delivery d`
	sqlPosting     = sqlPostings + ` WHERE d.tenant_id = $1 AND d.endpoint_id = $2 AND d.id = $3`
	sqlPostingUnit = `
		SELECT ` + unitColumns + ` FROM saga_units WHERE tenant_id = $1 AND id = $2 AND kind = ` + taskWebhook
	sqlPostingLog = `SELECT n, at, status, result, took_ms, excerpt FROM webhook_call WHERE tenant_id = $1 AND delivery_id = $2 ORDER BY n DESC LIMIT 100`

	sqlPostingAdd = `
		INSERT INTO webhook_delivery (tenant_id, id, endpoint_id, order_id, seq, event_id, type, state, calls, last_result, created_at, next_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, ` + webhookDeliveryPending + `, 0, '', $8, $9)`
	sqlPostingSave = `
		UPDATE webhook_delivery SET state = $3, calls = $4, last_status = $5, last_result = $6, next_at = $7, done_at = $8 WHERE tenant_id = $1 AND id = $2`
	sqlPostingCall = `INSERT INTO webhook_call (tenant_id, delivery_id, n, at, status, result, took_ms, excerpt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	// The fence once more; the endpoint's lock is held.
	sqlPostingUnitSave = `
		WITH hit AS (
			UPDATE saga_units SET state = $4, try = $5, epoch = $3 + 1, next_at = $6, detail = $7
			WHERE tenant_id = $1 AND id = $2 AND kind = ` + taskWebhook + ` AND epoch = $3 RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = 1, 'unit moved under the lock of its endpoint')`

	// The units of what is pending at an endpoint. A job that one of them has finds it not due and ends.
	// Held ones are stuck, so that the feeder never looks at them.
	setPosting        = `UPDATE saga_units u SET state = `
	ofPendingPostings = `
		FROM webhook_delivery d
		WHERE d.tenant_id = $1 AND d.endpoint_id = $2 AND d.state = ` + webhookDeliveryPending + `
			AND u.tenant_id = d.tenant_id AND u.id = d.id AND u.state <> ` + taskClosed
	sqlPostingsHold    = setPosting + taskStuck + `, next_at = NULL` + ofPendingPostings
	sqlPostingsRest    = setPosting + taskQueued + `, next_at = $3` + ofPendingPostings + ` AND u.next_at < $3`
	sqlPostingsRelease = setPosting + taskQueued + `, next_at = greatest(d.next_at, $3)` + ofPendingPostings
	sqlPostingsDrop    = `
		WITH dropped AS (
			UPDATE webhook_delivery SET state = ` + webhookDeliveryDropped + `, next_at = NULL, done_at = $3
			WHERE tenant_id = $1 AND endpoint_id = $2 AND state = ` + webhookDeliveryPending + ` RETURNING id)
		UPDATE saga_units u SET state = ` + taskClosed + `, epoch = u.epoch + 1
		FROM dropped WHERE u.tenant_id = $1 AND u.id = dropped.id`
)

const cursorPostings = 'h'

func scanPosting(r pgx.Rows) (app.Posting, error) {
	var p app.Posting
	var status pgtype.Int2
	err := r.Scan(intoID(&p.ID), intoID(&p.Endpoint), intoID(&p.Order), &p.Seq, intoID(&p.Event), &p.Type, &p.State, &p.Calls, &status, &p.LastResult, intoTime(&p.CreatedAt), intoTime(&p.NextAt), intoTime(&p.DoneAt))
	if err != nil {
		return p, fmt.Errorf("read webhook delivery: %w", err)
	}
	p.LastStatus = int(status.Int16)
	return p, nil
}

// Postings reads a page of an endpoint's deliveries, newest first.
func (db *DB) Postings(ctx context.Context, t tenant.ID, e app.EndpointID, f app.PostingFilter) (app.Page[app.Posting], error) {
	after, err := parseCursor[app.Posting](cursorPostings, f.Cursor)
	if err != nil {
		return app.Page[app.Posting]{}, err
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
	var known endpointList
	var p app.Page[app.Posting]
	err = db.readTenant(ctx, t, func(b *pgx.Batch) {
		known.queueOne(b, sqlEndpoint, t, e, db.now())
		each(b.Queue(sqlPostings+c.where()+fmt.Sprintf(` ORDER BY d.id DESC LIMIT %d`, n+1), c.args...), func(r pgx.Rows) error {
			d, err := scanPosting(r)
			p.Data = append(p.Data, d)
			return err
		})
	})
	if err != nil {
		return app.Page[app.Posting]{}, faultOr(err, "list the deliveries of webhook endpoint %s", e)
	}
	if len(known) == 0 {
		return app.Page[app.Posting]{}, fault.Absent()
	}
	if len(p.Data) > n {
		p.Data = p.Data[:n]
		p.Next = cursorOf(cursorPostings, p.Data[n-1].ID)
	}
	return p, nil
}

// Posting reads one delivery of an endpoint with its log.
func (db *DB) Posting(ctx context.Context, t tenant.ID, e app.EndpointID, id app.PostingID) (app.Posting, error) {
	var known endpointList
	var got *app.Posting
	var log []app.PostingCall
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		known.queueOne(b, sqlEndpoint, t, e, db.now())
		each(b.Queue(sqlPosting, uid(t), uid(e), uid(id)), func(r pgx.Rows) error {
			p, err := scanPosting(r)
			got = &p
			return err
		})
		each(b.Queue(sqlPostingLog, uid(t), uid(id)), func(r pgx.Rows) error {
			c, err := scanCall(r)
			log = append(log, c)
			return err
		})
	})
	if err != nil {
		return app.Posting{}, faultOr(err, "read webhook delivery %s", id)
	}
	if len(known) == 0 || got == nil {
		return app.Posting{}, fault.Absent()
	}
	got.Log = log
	return *got, nil
}

func scanCall(r pgx.Rows) (app.PostingCall, error) {
	var c app.PostingCall
	var status pgtype.Int2
	var took int64
	if err := r.Scan(&c.N, intoTime(&c.At), &status, &c.Result, &took, &c.Excerpt); err != nil {
		return c, fmt.Errorf("read webhook call: %w", err)
	}
	c.Status, c.Took = int(status.Int16), time.Duration(took)*time.Millisecond
	return c, nil
}

const (
	sqlPostingOf       = sqlPostings + ` WHERE d.tenant_id = $1 AND d.id = $2`
	sqlPostingEndpoint = `
		SELECT ` + endpointColumns + ` FROM webhook_delivery d JOIN webhook_endpoint e ON e.tenant_id = d.tenant_id AND e.id = d.endpoint_id
		WHERE d.tenant_id = $1 AND d.id = $2 AND e.deleted_at IS NULL`
	sqlWebhooksPurge = `SELECT purge_webhooks($1, $2, $3)`
	sqlPostingEvent  = `
		SELECT v.at, v.data FROM webhook_delivery d JOIN order_event v ON v.tenant_id = d.tenant_id AND v.order_id = d.order_id AND v.seq = d.seq
		WHERE d.tenant_id = $1 AND d.id = $2`
)

// PostingJob reads a unit's delivery with all it takes to post it: for the worker.
func (db *DB) PostingJob(ctx context.Context, t tenant.ID, u fulfil.UnitID) (app.PostingJob, error) {
	var job app.PostingJob
	rows := 0
	one := func(b *pgx.Batch, sql string, scan func(r pgx.Rows) error) {
		each(b.Queue(sql, uid(t), uid(u)), func(r pgx.Rows) error {
			rows++
			return scan(r)
		})
	}
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		one(b, sqlPostingUnit, func(r pgx.Rows) (err error) { job.Unit, err = scanUnit(r); return err })
		one(b, sqlPostingOf, func(r pgx.Rows) (err error) { job.Posting, err = scanPosting(r); return err })
		one(b, sqlPostingEndpoint, func(r pgx.Rows) (err error) { job.Endpoint, err = scanEndpoint(r); return err })
		one(b, sqlPostingEvent, func(r pgx.Rows) error { return r.Scan(intoTime(&job.At), &job.Data) })
		each(b.Queue(sqlSecretsSealed, uid(t), uid(u), stamp(db.now())), func(r pgx.Rows) error {
			s, err := scanSealedSecret(r)
			job.Secrets = append(job.Secrets, s)
			return err
		})
	})
	if err != nil {
		return app.PostingJob{}, faultOr(err, "read webhook delivery of unit %s", u)
	}
	if rows < 4 {
		return app.PostingJob{}, fault.Absent()
	}
	job.Unit.Tenant = t
	return job, nil
}

// PurgeWebhooks clears away what is over: for the worker; see app.PostingJobs. The closed units of what it
// removes stay: each would be looked for in the whole log of its tenant's saga.
func (db *DB) PurgeWebhooks(ctx context.Context, now, before time.Time, n int) (purged int, err error) {
	err = db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlWebhooksPurge, stamp(now), stamp(before), n).QueryRow(func(row pgx.Row) error { return row.Scan(&purged) })
	})
	if err != nil {
		return 0, faultOr(err, "purge what is over of webhooks")
	}
	return purged, nil
}

// AddPosting queues a delivery and its unit. An event comes once to each endpoint: the inbox sees to it,
// and the table's own key, which would end the transaction.
func (x *tx) AddPosting(p app.Posting, u fulfil.Unit) {
	x.queue(sqlPostingAdd, uid(x.tenant), uid(p.ID), uid(p.Endpoint), uid(p.Order), p.Seq, uid(p.Event), string(p.Type), stamp(p.CreatedAt), stamp(p.NextAt))
	x.AddUnit(u)
}

// SavePosting queues what a call, or a person, changed of a delivery; see app.EndpointTx.
func (x *tx) SavePosting(p app.Posting, u fulfil.Unit, call *app.PostingCall) {
	x.queue(sqlPostingSave, uid(x.tenant), uid(p.ID), int16(p.State), p.Calls, smallOr(p.LastStatus), string(p.LastResult), stamp(p.NextAt), stamp(p.DoneAt))
	x.queue(sqlPostingUnitSave, uid(x.tenant), uid(u.ID), u.Epoch-1, int16(u.State), int16(u.Try), stamp(u.NextAt), u.Detail)
	if call != nil {
		x.queue(sqlPostingCall, uid(x.tenant), uid(p.ID), call.N, stamp(call.At), smallOr(call.Status), string(call.Result), call.Took.Milliseconds(), call.Excerpt)
	}
}

// HoldPostings queues that nothing of an endpoint is due; see app.EndpointTx.
func (x *tx) HoldPostings(e app.EndpointID) { x.queue(sqlPostingsHold, uid(x.tenant), uid(e)) }

// RestPostings queues that nothing of it is due before a moment; what is held stays so.
func (x *tx) RestPostings(e app.EndpointID, until time.Time) {
	x.queue(sqlPostingsRest, uid(x.tenant), uid(e), stamp(until))
}

// ReleasePostings queues that everything of it is due by its own schedule again.
func (x *tx) ReleasePostings(e app.EndpointID) {
	x.queue(sqlPostingsRelease, uid(x.tenant), uid(e), stamp(x.now))
}

// DropPostings queues that what is pending at an endpoint never goes.
func (x *tx) DropPostings(e app.EndpointID) {
	x.queue(sqlPostingsDrop, uid(x.tenant), uid(e), stamp(x.now))
}
