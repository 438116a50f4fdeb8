package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

const (
	// A receipt moves the difference between the amount that its event states for the subject and the sum of the
	// subject's earlier receipts. A receipt that exists already, from the migration, is kept.
	sqlReceiptAdd = `
		INSERT INTO billing_receipts (tenant_id, order_id, seq, event_id, type, at, heard_at, subject_id, item_id,
			cents, moved_cents, currency)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
			$10,
			CASE WHEN $8::uuid IS NULL THEN 0
				ELSE $11::bigint - coalesce((
					SELECT sum(r.moved_cents)
					FROM billing_receipts r
					WHERE r.tenant_id = $1 AND r.order_id = $2 AND r.subject_id = $8), 0) END,
			$12)
		ON CONFLICT DO NOTHING`
	sqlBillingFindingAdd = `
		INSERT INTO billing_finding (tenant_id, order_id, seq, event_id, left_cents, at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT DO NOTHING`
	sqlLedger = `
		SELECT coalesce(sum(moved_cents), 0)::bigint
		FROM billing_receipts
		WHERE tenant_id = $1 AND order_id = $2`
)

// Ledger returns the sum of an order's receipts; see app.Tx.
func (x *tx) Ledger(ctx context.Context, o order.ID) (sum money.Cents, err error) {
	err = x.read(ctx, func(b *pgx.Batch) {
		b.Queue(sqlLedger, uid(x.tenant), uid(o)).QueryRow(func(r pgx.Row) error { return r.Scan(&sum) })
	}, func() error { return nil })
	if err != nil {
		return 0, faultOr(err, "read the ledger of order %s", o)
	}
	return sum, nil
}

// saveReceipts queues the receipts and findings of the Billing consumer.
func (x *tx) saveReceipts(agg *app.Aggregate) {
	for _, r := range agg.Added.Receipts {
		subject := pgtype.UUID{Bytes: r.Subject, Valid: r.Subject != [16]byte{}}
		x.queue(sqlReceiptAdd, uid(x.tenant), uid(agg.Order.ID), r.Seq, uid(r.Event), string(r.Type), stamp(r.At),
			stamp(x.now), subject, uid(r.Item), int64(r.Cents), r.Balance, string(r.Amount.Currency))
	}
	for _, f := range agg.Added.Findings {
		x.queue(sqlBillingFindingAdd, uid(x.tenant), uid(agg.Order.ID), f.Seq, uid(f.Event), int64(f.Balance), stamp(x.now))
	}
}
