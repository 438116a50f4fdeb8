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

// projectionMost is how many events one transaction takes in (ADR 0020); of tenants it is maxTenants.
const projectionMost = 2000

// mustMarks is what must raises when an event was parked, or let by, while its mark was moved.
const mustMarks = "marks were moved meanwhile"

const (
	// In the order of their ids, so that two transactions do not wait for each other.
	sqlRollupLock = `SELECT tenant_id FROM rollup WHERE tenant_id = ANY ($1::uuid[]) ORDER BY tenant_id FOR NO KEY UPDATE`
	// LATERAL and LIMIT keep to the keys: joined, each batch would read all of a tenant's rows.
	sqlFolds = `
		SELECT k.tenant_id, k.order_id, f.state IS NOT NULL OR EXISTS (SELECT FROM orders o WHERE o.tenant_id = k.tenant_id
		AND o.id = k.order_id), coalesce(m.seq, 0), m.parked_seq, m.blocked_to, coalesce(m.blocked, 0), m.redrive_seq,
			f.created_at, coalesce(f.state, 0), coalesce(f.currency, ''), coalesce(f.due_cents, 0), coalesce(f.payments, 0)
		FROM unnest($1::uuid[], $2::uuid[]) k (tenant_id, order_id)
		LEFT JOIN LATERAL (SELECT m.* FROM inbox m WHERE m.tenant_id = k.tenant_id AND m.order_id = k.order_id
		AND m.consumer = $3 LIMIT 1) m ON true
		LEFT JOIN LATERAL (SELECT f.* FROM order_projection f WHERE f.tenant_id = k.tenant_id
		AND f.order_id = k.order_id LIMIT 1) f ON true`
	sqlRefundFolds = `
		SELECT r.refund_id, r.accepted_at, r.counts FROM unnest($1::uuid[], $2::uuid[]) k (tenant_id, refund_id)
		CROSS JOIN LATERAL (SELECT r.* FROM refund_projection r WHERE r.tenant_id = k.tenant_id
		AND r.refund_id = k.refund_id LIMIT 1) r`
	// Who parks an event, or tries it again, locks the mark alone and not the tenant: what is parked must be as
	// it was read, and who passes over an event is not set back.
	sqlCheckpointsPut = `
		WITH moved AS (
			INSERT INTO inbox AS m (tenant_id, order_id, consumer, seq, parked_seq, blocked_to, blocked, redrive_seq)
			SELECT v.tenant_id, v.order_id, $3, v.seq, v.parked, v.blocked_to, v.blocked, v.redrive
			FROM unnest($1::uuid[], $2::uuid[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[]) v (tenant_id, order_id, seq, parked, blocked_to, blocked, redrive)
			ON CONFLICT (tenant_id, order_id, consumer) DO UPDATE SET seq = greatest(m.seq, excluded.seq), blocked_to = excluded.blocked_to, blocked = excluded.blocked
			WHERE m.parked_seq IS NOT DISTINCT FROM excluded.parked_seq AND m.redrive_seq IS NOT DISTINCT FROM excluded.redrive_seq RETURNING 1)
		SELECT must((SELECT count(*) FROM moved) = cardinality($1::uuid[]), '` + mustMarks + `')`
	sqlFoldsPut = `
		INSERT INTO order_projection (tenant_id, order_id, created_at, state, currency, due_cents, payments)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::smallint[], $5::text[], $6::bigint[], $7::int[])
		ON CONFLICT (tenant_id, order_id) DO UPDATE SET state = excluded.state, currency = excluded.currency,
		due_cents = excluded.due_cents, payments = excluded.payments`
	sqlRefundFoldsPut = `
		INSERT INTO refund_projection (tenant_id, refund_id, accepted_at, counts) SELECT *
		FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::boolean[])
		ON CONFLICT (tenant_id, refund_id) DO UPDATE SET counts = excluded.counts`
	// The days are PostgreSQL's, here as in a recount: two tables of time zones could differ.
	sqlOrderDailyAdd = `
		INSERT INTO order_daily (tenant_id, day, state, currency, orders, paid, paid_due_cents)
		SELECT c.tenant_id, (c.at AT TIME ZONE z.time_zone)::date AS day, c.state, c.currency, sum(c.orders), sum(c.paid),
		sum(c.due)
		FROM unnest($1::uuid[], $2::timestamptz[], $3::smallint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) c
		(tenant_id, at, state, currency, orders, paid, due)
		JOIN rollup z ON z.tenant_id = c.tenant_id
		GROUP BY c.tenant_id, day, c.state, c.currency HAVING (sum(c.orders), sum(c.paid), sum(c.due)) <> (0, 0, 0)
		ON CONFLICT (tenant_id, day, state, currency) DO UPDATE SET
			orders = order_daily.orders + excluded.orders, paid = order_daily.paid + excluded.paid,
			paid_due_cents = order_daily.paid_due_cents + excluded.paid_due_cents`
	sqlRevenueDailyAdd = `
		INSERT INTO revenue_daily (tenant_id, day, currency, captured_cents, refunded_cents)
		SELECT c.tenant_id, (c.at AT TIME ZONE z.time_zone)::date AS day, c.currency, sum(c.captured), sum(c.refunded)
		FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::bigint[], $5::bigint[]) c (tenant_id, at, currency,
		captured, refunded)
		JOIN rollup z ON z.tenant_id = c.tenant_id
		GROUP BY c.tenant_id, day, c.currency
		ON CONFLICT (tenant_id, day, currency) DO UPDATE SET
			captured_cents = revenue_daily.captured_cents + excluded.captured_cents,
			refunded_cents = revenue_daily.refunded_cents + excluded.refunded_cents`
)

// ProjectEvents takes events into the roll-up; see app.Rollup. For the worker's login.
func (db *DB) ProjectEvents(ctx context.Context, evs []event.Event) (app.Handled, error) {
	var all app.Handled
	for _, some := range projectionBatches(evs) {
		h, err := db.projectBackfilled(ctx, some)
		all.Applied, all.Duplicates, all.Blocked = all.Applied+h.Applied, all.Duplicates+h.Duplicates, all.Blocked+h.Blocked
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// projectionBatches puts the events of some tenants into each transaction. All of a tenant's come in the order in
// which they were given.
func projectionBatches(evs []event.Event) [][]event.Event {
	var tenants []tenant.ID
	of := map[tenant.ID][]event.Event{}
	for _, ev := range evs {
		if of[ev.Tenant] == nil {
			tenants = append(tenants, ev.Tenant)
		}
		of[ev.Tenant] = append(of[ev.Tenant], ev)
	}
	var batches [][]event.Event
	for some := range slices.Chunk(tenants, maxTenants) {
		var batch []event.Event
		for _, t := range some {
			batch = append(batch, of[t]...)
		}
		batches = slices.AppendSeq(batches, slices.Chunk(batch, projectionMost))
	}
	return batches
}

// projectBackfilled folds, and before that counts the tenants that must be counted first.
func (db *DB) projectBackfilled(ctx context.Context, evs []event.Event) (app.Handled, error) {
	h, err := db.projectOnce(ctx, evs)
	var first *uncounted
	if !errors.As(err, &first) {
		return h, err
	}
	for _, t := range first.tenants {
		if err := db.Recount(ctx, t); err != nil {
			return app.Handled{}, err
		}
	}
	return db.projectOnce(ctx, evs)
}

// projectOnce folds, once more when another transaction was in the way.
func (db *DB) projectOnce(ctx context.Context, evs []event.Event) (app.Handled, error) {
	h, err := db.project(ctx, evs)
	var pg *pgconn.PgError
	if repeatable(err) || errors.As(err, &pg) && pg.Code == stateMust && pg.Message == mustMarks {
		h, err = db.project(ctx, evs)
	}
	if err != nil {
		return app.Handled{}, faultOr(explain(ctx, err), "fold %d events", len(evs))
	}
	return h, nil
}

// uncounted says that tenants have to be counted from the tables before their events can be taken in.
type uncounted struct {
	tenants []tenant.ID
	why     string
}

// Error names the first of them.
func (u *uncounted) Error() string { return fmt.Sprintf("tenant %s: %s", u.tenants[0], u.why) }

// fold is one transaction: locks, marks and what was folded before in the first round trip, everything that
// changes with the commit in the second.
func (db *DB) project(ctx context.Context, evs []event.Event) (app.Handled, error) {
	c, err := db.conn(ctx)
	if err != nil {
		return app.Handled{}, err
	}
	defer c.Release()
	f, b := newFolding(evs), &pgx.Batch{}
	b.Queue(sqlBegin)
	f.read(b)
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return app.Handled{}, errors.Join(err, abort(ctx, c))
	}
	h, err := f.take(evs)
	if err != nil {
		return app.Handled{}, errors.Join(err, abort(ctx, c))
	}
	b = &pgx.Batch{}
	f.write(b)
	end := closing(b)
	if err := end.settle(ctx, c, c.SendBatch(ctx, b).Close()); err != nil {
		return app.Handled{}, errors.Join(err, abort(ctx, c))
	}
	return h, nil
}

// projectionKey is an order of a tenant.
type projectionKey struct {
	tenant tenant.ID
	order  order.ID
}

// folded is an order's part of the roll-up.
type folded struct {
	known         bool // the tenant has the order
	was, now      app.Checkpoint
	before, after analytics.Projection
}

// folding is a transaction of the roll-up.
type folding struct {
	tenants []tenant.ID // sorted
	counted map[tenant.ID]bool
	keys    []projectionKey // sorted
	orders  map[projectionKey]*folded

	refundKeys []refundKey
	refunds    map[order.RefundID]analytics.Refund

	moved []analytics.Movement
}

type refundKey struct {
	tenant tenant.ID
	refund order.RefundID
}

func newFolding(evs []event.Event) *folding {
	f := &folding{
		counted: map[tenant.ID]bool{}, orders: map[projectionKey]*folded{}, refunds: map[order.RefundID]analytics.Refund{},
	}
	tenants, refunds := map[tenant.ID]bool{}, map[refundKey]bool{}
	for _, ev := range evs {
		if k := (projectionKey{ev.Tenant, ev.Order}); f.orders[k] == nil {
			f.orders[k] = &folded{}
			f.keys = append(f.keys, k)
		}
		if !tenants[ev.Tenant] {
			tenants[ev.Tenant] = true
			f.tenants = append(f.tenants, ev.Tenant)
		}
		if r := ev.Payload.Refund; r != nil && !refunds[refundKey{ev.Tenant, r.ID}] {
			refunds[refundKey{ev.Tenant, r.ID}] = true
			f.refundKeys = append(f.refundKeys, refundKey{ev.Tenant, r.ID})
		}
	}
	slices.SortFunc(f.tenants, func(a, b tenant.ID) int { return bytes.Compare(a[:], b[:]) })
	slices.SortFunc(f.keys, func(a, b projectionKey) int {
		if d := bytes.Compare(a.tenant[:], b.tenant[:]); d != 0 {
			return d
		}
		return bytes.Compare(a.order[:], b.order[:])
	})
	return f
}

// read locks the tenants and then reads, in statements of their own: only so do they see what was committed
// while the lock was waited for.
func (f *folding) read(b *pgx.Batch) {
	enter(b, f.tenants)
	each(b.Queue(sqlRollupLock, uids(f.tenants)), func(r pgx.Rows) error {
		var t tenant.ID
		err := r.Scan(intoID(&t))
		f.counted[t] = true
		return err
	})
	each(b.Queue(sqlFolds, f.tenantColumn(f.keys), f.orderColumn(f.keys),
		string(app.AnalyticsConsumer)), func(r pgx.Rows) error {
		var k projectionKey
		var o folded
		var parked, heldTo, redo pgtype.Int4
		err := r.Scan(intoID(&k.tenant), intoID(&k.order), &o.known, &o.was.Seq, &parked, &heldTo, &o.was.Blocked, &redo,
			intoTime(&o.before.CreatedAt), &o.before.State, &o.before.Currency, &o.before.Due, &o.before.Payments)
		o.was.Parked, o.was.BlockedTo, o.was.Redrive = int(parked.Int32), int(heldTo.Int32), int(redo.Int32)
		o.before.Tenant, o.before.Order = k.tenant, k.order
		o.now, o.after = o.was, o.before
		f.orders[k] = &o
		return err
	})
	if len(f.refundKeys) == 0 {
		return
	}
	each(b.Queue(sqlRefundFolds, column(f.refundKeys, func(k *refundKey) pgtype.UUID { return uid(k.tenant) }),
		column(f.refundKeys, func(k *refundKey) pgtype.UUID { return uid(k.refund) })),
		func(r pgx.Rows) error {
			var id order.RefundID
			var known analytics.Refund
			err := r.Scan(intoID(&id), intoTime(&known.AcceptedAt), &known.Counts)
			f.refunds[id] = known
			return err
		})
}

// take moves the marks over the events and folds those whose turn it is.
func (f *folding) take(evs []event.Event) (app.Handled, error) {
	var h app.Handled
	for _, ev := range evs {
		o := f.orders[projectionKey{ev.Tenant, ev.Order}]
		switch {
		case !o.known:
			return h, fault.Absent()
		case !f.counted[ev.Tenant]:
			return h, f.uncounted()
		}
		switch o.now.Admit(ev.Seq) {
		case app.Repeated:
			h.Duplicates++
		case app.Waiting:
			h.Blocked++
		case app.Missed:
			return h, &uncounted{
				[]tenant.ID{ev.Tenant}, fmt.Sprintf("of order %s event %d follows event %d, and those between are not there",
					ev.Order, ev.Seq, o.now.Seq),
			}
		case app.Fresh:
			h.Applied++
			moved, err := o.after.Take(ev, f.refunds)
			if err != nil {
				return h, err
			}
			f.moved = append(f.moved, moved...)
		}
	}
	return h, nil
}

func (f *folding) uncounted() error {
	var missing []tenant.ID
	for _, t := range f.tenants {
		if !f.counted[t] {
			missing = append(missing, t)
		}
	}
	return &uncounted{missing, "not counted yet"}
}

// write queues what changed.
func (f *folding) write(b *pgx.Batch) {
	f.writeCheckpoints(b)
	var changed []projectionKey
	var counts []analytics.Count
	for _, k := range f.keys {
		o := f.orders[k]
		if since := o.after.Since(o.before); len(since) > 0 {
			changed, counts = append(changed, k), append(counts, since...)
		}
	}
	if len(changed) > 0 {
		folds := make([]analytics.Projection, len(changed))
		for i, k := range changed {
			folds[i] = f.orders[k].after
		}
		b.Queue(sqlFoldsPut, f.tenantColumn(changed), f.orderColumn(changed),
			column(folds, func(o *analytics.Projection) pgtype.Timestamptz { return stamp(o.CreatedAt) }),
			column(folds, func(o *analytics.Projection) int16 { return int16(o.State) }),
			column(folds, func(o *analytics.Projection) string { return string(o.Currency) }),
			column(folds, func(o *analytics.Projection) int64 { return int64(o.Due) }),
			column(folds, func(o *analytics.Projection) int32 { return int32(o.Payments) }))
		queueCounts(b, counts)
	}
	if len(f.moved) > 0 {
		f.writeRefunds(b)
		queueMovements(b, f.moved)
	}
}

func (f *folding) writeCheckpoints(b *pgx.Batch) {
	var moved []projectionKey
	var marks []app.Checkpoint
	for _, k := range f.keys {
		if o := f.orders[k]; o.now != o.was {
			moved, marks = append(moved, k), append(marks, o.now)
		}
	}
	if len(moved) == 0 {
		return
	}
	b.Queue(sqlCheckpointsPut, f.tenantColumn(moved), f.orderColumn(moved), string(app.AnalyticsConsumer),
		column(marks, func(cp *app.Checkpoint) int32 { return int32(cp.Seq) }),
		column(marks, func(cp *app.Checkpoint) pgtype.Int4 { return number(cp.Parked) }),
		column(marks, func(cp *app.Checkpoint) pgtype.Int4 { return number(cp.BlockedTo) }),
		column(marks, func(cp *app.Checkpoint) int32 { return int32(cp.Blocked) }),
		column(marks, func(cp *app.Checkpoint) pgtype.Int4 { return number(cp.Redrive) }))
}

func (f *folding) writeRefunds(b *pgx.Batch) {
	var keys []refundKey
	for _, k := range f.refundKeys {
		if _, ok := f.refunds[k.refund]; ok {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return
	}
	b.Queue(sqlRefundFoldsPut, column(keys, func(k *refundKey) pgtype.UUID { return uid(k.tenant) }),
		column(keys, func(k *refundKey) pgtype.UUID { return uid(k.refund) }),
		column(keys, func(k *refundKey) pgtype.Timestamptz { return stamp(f.refunds[k.refund].AcceptedAt) }),
		column(keys, func(k *refundKey) bool { return f.refunds[k.refund].Counts }))
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

func (*folding) tenantColumn(keys []projectionKey) []pgtype.UUID {
	return column(keys, func(k *projectionKey) pgtype.UUID { return uid(k.tenant) })
}

func (*folding) orderColumn(keys []projectionKey) []pgtype.UUID {
	return column(keys, func(k *projectionKey) pgtype.UUID { return uid(k.order) })
}
