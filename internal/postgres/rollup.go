package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/analytics"
	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// maxProjected bounds how many events one transaction projects (ADR 0020); maxTenants bounds their tenants.
const maxProjected = 2000

// mustCheckpoints is the message that the function must raises when an event was parked or redriven while its
// checkpoint was moved.
const mustCheckpoints = "checkpoints were moved meanwhile"

const (
	// In the order of their ids, so that two transactions cannot deadlock.
	sqlRollupLock = `
		SELECT tenant_id
		FROM rollup
		WHERE tenant_id = ANY ($1::uuid[])
		ORDER BY tenant_id
		FOR NO KEY UPDATE`
	// LATERAL and LIMIT make the plan use the keys: with joins, each batch would read all rows of a tenant.
	sqlProjections = `
		SELECT k.tenant_id, k.order_id,
			f.state IS NOT NULL OR EXISTS (
				SELECT FROM orders o WHERE o.tenant_id = k.tenant_id AND o.id = k.order_id),
			coalesce(m.seq, 0), m.parked_seq, m.blocked_to, coalesce(m.blocked, 0), m.redrive_seq,
			f.created_at, coalesce(f.state, 0), coalesce(f.currency, ''), coalesce(f.due_cents, 0),
			coalesce(f.payments, 0)
		FROM unnest($1::uuid[], $2::uuid[]) k (tenant_id, order_id)
		LEFT JOIN LATERAL (
			SELECT m.*
			FROM inbox m
			WHERE m.tenant_id = k.tenant_id AND m.order_id = k.order_id AND m.consumer = $3
			LIMIT 1) m ON true
		LEFT JOIN LATERAL (
			SELECT f.*
			FROM order_projection f
			WHERE f.tenant_id = k.tenant_id AND f.order_id = k.order_id
			LIMIT 1) f ON true`
	sqlRefundProjections = `
		SELECT r.refund_id, r.accepted_at, r.counts
		FROM unnest($1::uuid[], $2::uuid[]) k (tenant_id, refund_id)
		CROSS JOIN LATERAL (
			SELECT r.*
			FROM refund_projection r
			WHERE r.tenant_id = k.tenant_id AND r.refund_id = k.refund_id
			LIMIT 1) r`
	// A transaction that parks or redrives an event locks only the checkpoint, not the tenant. Therefore the
	// parked event must be the one that was read, and a checkpoint never moves back.
	sqlCheckpointsPut = `
		WITH moved AS (
			INSERT INTO inbox AS m (tenant_id, order_id, consumer, seq, parked_seq, blocked_to, blocked, redrive_seq)
			SELECT v.tenant_id, v.order_id, $3, v.seq, v.parked, v.blocked_to, v.blocked, v.redrive
			FROM unnest($1::uuid[], $2::uuid[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[])
				v (tenant_id, order_id, seq, parked, blocked_to, blocked, redrive)
			ON CONFLICT (tenant_id, order_id, consumer) DO UPDATE
			SET seq = greatest(m.seq, excluded.seq),
				blocked_to = excluded.blocked_to,
				blocked = excluded.blocked
			WHERE m.parked_seq IS NOT DISTINCT FROM excluded.parked_seq
				AND m.redrive_seq IS NOT DISTINCT FROM excluded.redrive_seq
			RETURNING 1)
		SELECT must((SELECT count(*) FROM moved) = cardinality($1::uuid[]), '` + mustCheckpoints + `')`
	sqlProjectionsPut = `
		INSERT INTO order_projection (tenant_id, order_id, created_at, state, currency, due_cents, payments)
		SELECT *
		FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::smallint[], $5::text[], $6::bigint[], $7::int[])
		ON CONFLICT (tenant_id, order_id) DO UPDATE
		SET state = excluded.state, currency = excluded.currency, due_cents = excluded.due_cents,
			payments = excluded.payments`
	sqlRefundProjectionsPut = `
		INSERT INTO refund_projection (tenant_id, refund_id, accepted_at, counts)
		SELECT *
		FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::boolean[])
		ON CONFLICT (tenant_id, refund_id) DO UPDATE
		SET counts = excluded.counts`
	// PostgreSQL computes the days, here and in a recount, because Go's time zone tables could differ from its own.
	sqlOrderDailyAdd = `
		INSERT INTO order_daily (tenant_id, day, state, currency, orders, paid, paid_due_cents)
		SELECT c.tenant_id, (c.at AT TIME ZONE z.time_zone)::date AS day, c.state, c.currency,
			sum(c.orders), sum(c.paid), sum(c.due)
		FROM unnest($1::uuid[], $2::timestamptz[], $3::smallint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
			c (tenant_id, at, state, currency, orders, paid, due)
		JOIN rollup z ON z.tenant_id = c.tenant_id
		GROUP BY c.tenant_id, day, c.state, c.currency
		HAVING (sum(c.orders), sum(c.paid), sum(c.due)) <> (0, 0, 0)
		ON CONFLICT (tenant_id, day, state, currency) DO UPDATE
		SET orders = order_daily.orders + excluded.orders,
			paid = order_daily.paid + excluded.paid,
			paid_due_cents = order_daily.paid_due_cents + excluded.paid_due_cents`
	sqlRevenueDailyAdd = `
		INSERT INTO revenue_daily (tenant_id, day, currency, captured_cents, refunded_cents)
		SELECT c.tenant_id, (c.at AT TIME ZONE z.time_zone)::date AS day, c.currency,
			sum(c.captured), sum(c.refunded)
		FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::bigint[], $5::bigint[])
			c (tenant_id, at, currency, captured, refunded)
		JOIN rollup z ON z.tenant_id = c.tenant_id
		GROUP BY c.tenant_id, day, c.currency
		ON CONFLICT (tenant_id, day, currency) DO UPDATE
		SET captured_cents = revenue_daily.captured_cents + excluded.captured_cents,
			refunded_cents = revenue_daily.refunded_cents + excluded.refunded_cents`
)

// ProjectEvents projects events into the roll-up, for the worker's login; see app.Rollup.
func (db *DB) ProjectEvents(ctx context.Context, evs []event.Event) (app.Handled, error) {
	var all app.Handled
	for _, batch := range projectionBatches(evs) {
		h, err := db.projectBackfilled(ctx, batch)
		all.Applied += h.Applied
		all.Duplicates += h.Duplicates
		all.Blocked += h.Blocked
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// projectionBatches splits events into the batches of one transaction each. The events of a tenant keep their
// order.
func projectionBatches(evs []event.Event) [][]event.Event {
	var tenants []tenant.ID
	byTenant := map[tenant.ID][]event.Event{}
	for _, ev := range evs {
		if byTenant[ev.Tenant] == nil {
			tenants = append(tenants, ev.Tenant)
		}
		byTenant[ev.Tenant] = append(byTenant[ev.Tenant], ev)
	}
	var batches [][]event.Event
	for chunk := range slices.Chunk(tenants, maxTenants) {
		var batch []event.Event
		for _, t := range chunk {
			batch = append(batch, byTenant[t]...)
		}
		batches = slices.AppendSeq(batches, slices.Chunk(batch, maxProjected))
	}
	return batches
}

// projectBackfilled projects events. If some of their tenants must be counted from the tables first, it counts
// them and projects again.
func (db *DB) projectBackfilled(ctx context.Context, evs []event.Event) (app.Handled, error) {
	h, err := db.projectRetrying(ctx, evs)
	var missing *uncountedError
	if !errors.As(err, &missing) {
		return h, err
	}
	for _, t := range missing.tenants {
		if err := db.Recount(ctx, t); err != nil {
			return app.Handled{}, err
		}
	}
	return db.projectRetrying(ctx, evs)
}

// projectRetrying projects events, and once more after a conflict with a concurrent transaction.
func (db *DB) projectRetrying(ctx context.Context, evs []event.Event) (app.Handled, error) {
	h, err := db.project(ctx, evs)
	var pg *pgconn.PgError
	if repeatable(err) || errors.As(err, &pg) && pg.Code == stateMust && pg.Message == mustCheckpoints {
		h, err = db.project(ctx, evs)
	}
	if err != nil {
		return app.Handled{}, faultOr(explain(ctx, err), "project %d events", len(evs))
	}
	return h, nil
}

// uncountedError reports that tenants must be counted from the tables before their events can be projected.
type uncountedError struct {
	tenants []tenant.ID
	why     string
}

// Error names the first tenant and the reason.
func (u *uncountedError) Error() string { return fmt.Sprintf("tenant %s: %s", u.tenants[0], u.why) }

// project runs one transaction. The first round trip takes the locks and reads checkpoints and projections; the
// second writes the changes and commits.
func (db *DB) project(ctx context.Context, evs []event.Event) (app.Handled, error) {
	c, err := db.conn(ctx)
	if err != nil {
		return app.Handled{}, err
	}
	defer c.Release()
	p, b := newProjector(evs), &pgx.Batch{}
	b.Queue(sqlBegin)
	p.read(b)
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return app.Handled{}, errors.Join(err, abort(ctx, c))
	}
	h, err := p.apply(evs)
	if err != nil {
		return app.Handled{}, errors.Join(err, abort(ctx, c))
	}
	b = &pgx.Batch{}
	p.write(b)
	end := queueCommit(b)
	if err := end.settle(ctx, c, c.SendBatch(ctx, b).Close()); err != nil {
		return app.Handled{}, errors.Join(err, abort(ctx, c))
	}
	return h, nil
}

// projectionKey identifies an order of a tenant.
type projectionKey struct {
	tenant tenant.ID
	order  order.ID
}

// projectedOrder is an order's checkpoint and projection, before and after the transaction.
type projectedOrder struct {
	known         bool // the tenant has the order
	was, now      app.Checkpoint
	before, after analytics.Projection
}

// projector projects the events of one transaction.
type projector struct {
	tenants []tenant.ID // sorted
	counted map[tenant.ID]bool
	keys    []projectionKey // sorted
	orders  map[projectionKey]*projectedOrder

	refundKeys []refundKey
	refunds    map[order.RefundID]analytics.Refund

	movements []analytics.Movement
}

type refundKey struct {
	tenant tenant.ID
	refund order.RefundID
}

func newProjector(evs []event.Event) *projector {
	p := &projector{
		counted: map[tenant.ID]bool{}, orders: map[projectionKey]*projectedOrder{},
		refunds: map[order.RefundID]analytics.Refund{},
	}
	tenants, refunds := map[tenant.ID]bool{}, map[refundKey]bool{}
	for _, ev := range evs {
		if k := (projectionKey{ev.Tenant, ev.Order}); p.orders[k] == nil {
			p.orders[k] = &projectedOrder{}
			p.keys = append(p.keys, k)
		}
		if !tenants[ev.Tenant] {
			tenants[ev.Tenant] = true
			p.tenants = append(p.tenants, ev.Tenant)
		}
		if r := ev.Payload.Refund; r != nil && !refunds[refundKey{ev.Tenant, r.ID}] {
			refunds[refundKey{ev.Tenant, r.ID}] = true
			p.refundKeys = append(p.refundKeys, refundKey{ev.Tenant, r.ID})
		}
	}
	slices.SortFunc(p.tenants, func(a, b tenant.ID) int { return bytes.Compare(a[:], b[:]) })
	slices.SortFunc(p.keys, func(a, b projectionKey) int {
		if d := bytes.Compare(a.tenant[:], b.tenant[:]); d != 0 {
			return d
		}
		return bytes.Compare(a.order[:], b.order[:])
	})
	return p
}

// read queues the locks of the tenants and then the reads. The reads are separate statements, so that they see
// what was committed while the lock was awaited.
func (p *projector) read(b *pgx.Batch) {
	setTenants(b, p.tenants)
	each(b.Queue(sqlRollupLock, uids(p.tenants)), func(r pgx.Rows) error {
		var t tenant.ID
		err := r.Scan(intoID(&t))
		p.counted[t] = true
		return err
	})
	projections := b.Queue(sqlProjections, tenantColumn(p.keys), orderColumn(p.keys), string(app.AnalyticsConsumer))
	each(projections, func(r pgx.Rows) error {
		var k projectionKey
		var o projectedOrder
		var parked, blockedTo, redrive pgtype.Int4
		err := r.Scan(intoID(&k.tenant), intoID(&k.order), &o.known, &o.was.Seq, &parked, &blockedTo, &o.was.Blocked,
			&redrive, intoTime(&o.before.CreatedAt), &o.before.State, &o.before.Currency, &o.before.Due,
			&o.before.Payments)
		o.was.Parked, o.was.BlockedTo, o.was.Redrive = int(parked.Int32), int(blockedTo.Int32), int(redrive.Int32)
		o.before.Tenant, o.before.Order = k.tenant, k.order
		o.now, o.after = o.was, o.before
		p.orders[k] = &o
		return err
	})
	if len(p.refundKeys) == 0 {
		return
	}
	refunds := b.Queue(sqlRefundProjections,
		column(p.refundKeys, func(k *refundKey) pgtype.UUID { return uid(k.tenant) }),
		column(p.refundKeys, func(k *refundKey) pgtype.UUID { return uid(k.refund) }))
	each(refunds, func(r pgx.Rows) error {
		var id order.RefundID
		var known analytics.Refund
		err := r.Scan(intoID(&id), intoTime(&known.AcceptedAt), &known.Counts)
		p.refunds[id] = known
		return err
	})
}

// apply moves the checkpoints over the events and projects the events that they admit.
func (p *projector) apply(evs []event.Event) (app.Handled, error) {
	var h app.Handled
	for _, ev := range evs {
		o := p.orders[projectionKey{ev.Tenant, ev.Order}]
		switch {
		case !o.known:
			return h, fault.Absent()
		case !p.counted[ev.Tenant]:
			return h, p.uncounted()
		}
		switch o.now.Admit(ev.Seq) {
		case app.Repeated:
			h.Duplicates++
		case app.Waiting:
			h.Blocked++
		case app.Missed:
			return h, &uncountedError{[]tenant.ID{ev.Tenant}, fmt.Sprintf(
				"event %d of order %s follows event %d, and the events between are missing", ev.Seq, ev.Order, o.now.Seq)}
		case app.Fresh:
			h.Applied++
			movements, err := o.after.Apply(ev, p.refunds)
			if err != nil {
				return h, err
			}
			p.movements = append(p.movements, movements...)
		}
	}
	return h, nil
}

func (p *projector) uncounted() error {
	var missing []tenant.ID
	for _, t := range p.tenants {
		if !p.counted[t] {
			missing = append(missing, t)
		}
	}
	return &uncountedError{missing, "not counted yet"}
}

// write queues the changes.
func (p *projector) write(b *pgx.Batch) {
	p.writeCheckpoints(b)
	var changed []projectionKey
	var counts []analytics.Count
	for _, k := range p.keys {
		o := p.orders[k]
		if since := o.after.CountsSince(o.before); len(since) > 0 {
			changed, counts = append(changed, k), append(counts, since...)
		}
	}
	if len(changed) > 0 {
		projections := make([]analytics.Projection, len(changed))
		for i, k := range changed {
			projections[i] = p.orders[k].after
		}
		b.Queue(sqlProjectionsPut, tenantColumn(changed), orderColumn(changed),
			column(projections, func(o *analytics.Projection) pgtype.Timestamptz { return stamp(o.CreatedAt) }),
			column(projections, func(o *analytics.Projection) int16 { return int16(o.State) }),
			column(projections, func(o *analytics.Projection) string { return string(o.Currency) }),
			column(projections, func(o *analytics.Projection) int64 { return int64(o.Due) }),
			column(projections, func(o *analytics.Projection) int32 { return int32(o.Payments) }))
		queueCounts(b, counts)
	}
	if len(p.movements) > 0 {
		p.writeRefunds(b)
		queueMovements(b, p.movements)
	}
}

func (p *projector) writeCheckpoints(b *pgx.Batch) {
	var moved []projectionKey
	var checkpoints []app.Checkpoint
	for _, k := range p.keys {
		if o := p.orders[k]; o.now != o.was {
			moved, checkpoints = append(moved, k), append(checkpoints, o.now)
		}
	}
	if len(moved) == 0 {
		return
	}
	b.Queue(sqlCheckpointsPut, tenantColumn(moved), orderColumn(moved), string(app.AnalyticsConsumer),
		column(checkpoints, func(cp *app.Checkpoint) int32 { return int32(cp.Seq) }),
		column(checkpoints, func(cp *app.Checkpoint) pgtype.Int4 { return number(cp.Parked) }),
		column(checkpoints, func(cp *app.Checkpoint) pgtype.Int4 { return number(cp.BlockedTo) }),
		column(checkpoints, func(cp *app.Checkpoint) int32 { return int32(cp.Blocked) }),
		column(checkpoints, func(cp *app.Checkpoint) pgtype.Int4 { return number(cp.Redrive) }))
}

func (p *projector) writeRefunds(b *pgx.Batch) {
	var keys []refundKey
	for _, k := range p.refundKeys {
		if _, ok := p.refunds[k.refund]; ok {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return
	}
	b.Queue(sqlRefundProjectionsPut,
		column(keys, func(k *refundKey) pgtype.UUID { return uid(k.tenant) }),
		column(keys, func(k *refundKey) pgtype.UUID { return uid(k.refund) }),
		column(keys, func(k *refundKey) pgtype.Timestamptz { return stamp(p.refunds[k.refund].AcceptedAt) }),
		column(keys, func(k *refundKey) bool { return p.refunds[k.refund].Counts }))
}

func queueCounts(b *pgx.Batch, all []analytics.Count) {
	b.Queue(sqlOrderDailyAdd,
		column(all, func(c *analytics.Count) pgtype.UUID { return uid(c.Tenant) }),
		column(all, func(c *analytics.Count) pgtype.Timestamptz { return stamp(c.At) }),
		column(all, func(c *analytics.Count) int16 { return int16(c.State) }),
		column(all, func(c *analytics.Count) string { return string(c.Currency) }),
		column(all, func(c *analytics.Count) int64 { return int64(c.Orders) }),
		column(all, func(c *analytics.Count) int64 { return int64(c.Paid) }),
		column(all, func(c *analytics.Count) int64 { return int64(c.PaidDue) }))
}

func queueMovements(b *pgx.Batch, all []analytics.Movement) {
	cents := func(pick func(m *analytics.Movement) money.Cents) func(*analytics.Movement) int64 {
		return func(m *analytics.Movement) int64 { return int64(pick(m)) }
	}
	b.Queue(sqlRevenueDailyAdd,
		column(all, func(m *analytics.Movement) pgtype.UUID { return uid(m.Tenant) }),
		column(all, func(m *analytics.Movement) pgtype.Timestamptz { return stamp(m.At) }),
		column(all, func(m *analytics.Movement) string { return string(m.Currency) }),
		column(all, cents(func(m *analytics.Movement) money.Cents { return m.Captured })),
		column(all, cents(func(m *analytics.Movement) money.Cents { return m.Refunded })))
}

func tenantColumn(keys []projectionKey) []pgtype.UUID {
	return column(keys, func(k *projectionKey) pgtype.UUID { return uid(k.tenant) })
}

func orderColumn(keys []projectionKey) []pgtype.UUID {
	return column(keys, func(k *projectionKey) pgtype.UUID { return uid(k.order) })
}
