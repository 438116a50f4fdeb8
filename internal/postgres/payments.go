package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

const (
	sqlPayments = `
		SELECT order_id, id, state, provider, reference, method, due_cents, paid_cents, currency, paid_at
		FROM payments
		WHERE tenant_id = $1 AND order_id = ANY ($2::uuid[])
		ORDER BY order_id, id`
	sqlAllocations = `
		SELECT a.payment_id, a.item_id, a.cents
		FROM payments p
		JOIN allocations a ON a.tenant_id = p.tenant_id AND a.payment_id = p.id
		JOIN order_items i ON i.tenant_id = a.tenant_id AND i.id = a.item_id
		WHERE p.tenant_id = $1 AND p.order_id = ANY ($2::uuid[])
		ORDER BY a.payment_id, i.line, i.id`
	sqlKnownPayments = `
		SELECT order_id, id, state, provider
		FROM payments
		WHERE tenant_id = $1 AND provider = ANY ($2::text[]) AND reference = $3`
	sqlPaymentInsert = `
		INSERT INTO payments (tenant_id, id, order_id, state, provider, reference, method, due_cents, paid_cents,
			currency, paid_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
			$10, $11)`
	sqlAllocationsInsert = `
		INSERT INTO allocations (tenant_id, payment_id, item_id, cents)
		SELECT $1, $2, x.item_id, x.cents
		FROM unnest($3::uuid[], $4::bigint[]) AS x(item_id, cents)`
	// Only the state of a payment may change (D12), and only from the state that was read.
	sqlPaymentState = `
		WITH hit AS (
			UPDATE payments
			SET state = $4
			WHERE tenant_id = $1 AND id = $2 AND state = $3
			RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = 1, 'payment moved under its lock')`
)

func (l *loader) scanPayment(r pgx.Rows) error {
	var o order.ID
	var p order.Payment
	err := r.Scan(intoID(&o), intoID(&p.ID), &p.State, &p.Provider, &p.Reference, &p.Method, &p.Due, &p.Paid,
		&p.Currency, intoTime(&p.PaidAt))
	if err != nil {
		return fmt.Errorf("read payment: %w", err)
	}
	if agg := l.byOrder[o]; agg != nil {
		agg.Order.Payments = append(agg.Order.Payments, p)
		l.loaded[agg].payments[p.ID] = p.State
	}
	return nil
}

// indexPayments indexes the payments by id. It is called when their slices do not grow any more.
func (l *loader) indexPayments() {
	for _, agg := range l.aggregates {
		for i := range agg.Order.Payments {
			l.payments[agg.Order.Payments[i].ID] = &agg.Order.Payments[i]
		}
	}
}

func (l *loader) scanAllocation(r pgx.Rows) error {
	var p order.PaymentID
	var a order.Allocation
	if err := r.Scan(intoID(&p), intoID(&a.Item), &a.Cents); err != nil {
		return fmt.Errorf("read allocation: %w", err)
	}
	if pay := l.payments[p]; pay != nil {
		pay.Allocations = append(pay.Allocations, a)
	}
	return nil
}

func (l *loader) scanKnownPayment(r pgx.Rows) error {
	var k app.KnownPayment
	if err := r.Scan(intoID(&k.Order), intoID(&k.Payment), &k.State, &k.Provider); err != nil {
		return fmt.Errorf("read the payment of a reference: %w", err)
	}
	for _, agg := range l.aggregates {
		agg.KnownPayments = append(agg.KnownPayments, k)
	}
	return nil
}

// savePayments queues changed states before new payments, because an order may have only one live payment.
func (x *tx) savePayments(agg *app.Aggregate) {
	was := x.loaded[agg].payments
	for _, p := range agg.Order.Payments {
		if old, known := was[p.ID]; known && old != p.State {
			x.queue(sqlPaymentState, uid(x.tenant), uid(p.ID), int16(old), int16(p.State))
		}
	}
	for _, p := range agg.Order.Payments {
		if _, known := was[p.ID]; known {
			continue
		}
		x.queue(sqlPaymentInsert, uid(x.tenant), uid(p.ID), uid(agg.Order.ID), int16(p.State), p.Provider,
			p.Reference, p.Method, int64(p.Due), int64(p.Paid), string(p.Currency), stamp(p.PaidAt))
		x.queue(sqlAllocationsInsert, uid(x.tenant), uid(p.ID),
			column(p.Allocations, func(a *order.Allocation) pgtype.UUID { return uid(a.Item) }),
			column(p.Allocations, func(a *order.Allocation) int64 { return int64(a.Cents) }))
	}
}

const (
	sqlRefunds = `
		SELECT order_id, id, payment_id, item_id, state, reference, cents, currency, accepted_at
		FROM refunds
		WHERE tenant_id = $1 AND order_id = ANY ($2::uuid[])
		ORDER BY order_id, id`
	sqlRefundsInsert = `
		INSERT INTO refunds (tenant_id, order_id,
			id, payment_id, item_id, state, reference, cents, currency, accepted_at)
		SELECT $1, $2,
			x.id, x.payment_id, x.item_id, x.state, x.reference, x.cents, x.currency, x.accepted_at
		FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::smallint[], $7::text[], $8::bigint[], $9::text[],
				$10::timestamptz[])
			AS x(id, payment_id, item_id, state, reference, cents, currency, accepted_at)`
	sqlRefundsUpdate = `
		WITH hit AS (
			UPDATE refunds r
			SET state = x.state, reference = x.reference, accepted_at = x.accepted_at
			FROM unnest($3::uuid[], $4::smallint[], $5::text[], $6::timestamptz[])
				AS x(id, state, reference, accepted_at)
			WHERE r.tenant_id = $1 AND r.order_id = $2 AND r.id = x.id
			RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = cardinality($3::uuid[]), 'refund is not there')`
)

// refundRow is a refund as it is stored. It is comparable.
type refundRow struct {
	id, payment, item pgtype.UUID
	state             int16
	reference         string
	cents             int64
	currency          money.Currency
	accepted          pgtype.Timestamptz
}

func refundRowOf(r *order.Refund) refundRow {
	return refundRow{
		id: uid(r.ID), payment: uid(r.Payment), item: uid(r.Item), state: int16(r.State), reference: r.Reference,
		cents: int64(r.Cents), currency: r.Currency, accepted: stampOf(r.AcceptedAt),
	}
}

func (l *loader) scanRefund(r pgx.Rows) error {
	var o order.ID
	var f order.Refund
	err := r.Scan(intoID(&o), intoID(&f.ID), intoID(&f.Payment), intoID(&f.Item), &f.State, &f.Reference, &f.Cents,
		&f.Currency, intoTimePtr(&f.AcceptedAt))
	if err != nil {
		return fmt.Errorf("read refund: %w", err)
	}
	if agg := l.byOrder[o]; agg != nil {
		agg.Order.Refunds = append(agg.Order.Refunds, f)
		l.loaded[agg].refunds[f.ID] = refundRowOf(&f)
	}
	return nil
}

func (x *tx) saveRefunds(agg *app.Aggregate) {
	was := x.loaded[agg].refunds
	var added, changed []refundRow
	for i := range agg.Order.Refunds {
		r := &agg.Order.Refunds[i]
		row := refundRowOf(r)
		old, known := was[r.ID]
		switch {
		case !known:
			added = append(added, row)
		case old != row:
			changed = append(changed, row)
		}
	}
	id := func(r *refundRow) pgtype.UUID { return r.id }
	state := func(r *refundRow) int16 { return r.state }
	reference := func(r *refundRow) string { return r.reference }
	accepted := func(r *refundRow) pgtype.Timestamptz { return r.accepted }
	t, o := uid(x.tenant), uid(agg.Order.ID)
	if len(changed) > 0 {
		x.queue(sqlRefundsUpdate, t, o, column(changed, id), column(changed, state), column(changed, reference),
			column(changed, accepted))
	}
	if len(added) > 0 {
		x.queue(sqlRefundsInsert, t, o, column(added, id),
			column(added, func(r *refundRow) pgtype.UUID { return r.payment }),
			column(added, func(r *refundRow) pgtype.UUID { return r.item }),
			column(added, state), column(added, reference), column(added, func(r *refundRow) int64 { return r.cents }),
			column(added, func(r *refundRow) string { return string(r.currency) }), column(added, accepted))
	}
}
