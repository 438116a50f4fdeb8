package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
)

const (
	// Credentials that are sealed again under the same generation replace the earlier ones. The statement uses $4
	// because excluded.sealed would read the column, which this login may not.
	sqlCredentialPut = `
		INSERT INTO credentials (tenant_id, item_id, generation, sealed, created_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, item_id, generation) DO UPDATE
		SET sealed = $4, destroyed_at = NULL`
	// A trigger empties the sealed value. The api's login may destroy credentials but not change them.
	sqlCredentialsDestroy = `
		UPDATE credentials
		SET destroyed_at = $3
		WHERE tenant_id = $1 AND item_id = ANY ($2::uuid[]) AND destroyed_at IS NULL`

	deliveryColumns = `d.id, d.item_id, d.has_passphrase, d.message_id, d.recipient, d.state, d.at`
	sqlDeliveries   = `
		SELECT i.order_id, ` + deliveryColumns + `
		FROM order_items i
		JOIN deliveries d ON d.tenant_id = i.tenant_id AND d.item_id = i.id
		WHERE i.tenant_id = $1 AND i.order_id = ANY ($2::uuid[])
		ORDER BY d.at DESC, d.id DESC`
	sqlDeliveryInsert = `
		INSERT INTO deliveries (tenant_id, id, item_id, passphrase_sealed, message_id, recipient, state, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
)

func (x *tx) saveCredentials(agg *app.Aggregate) {
	for _, c := range agg.Added.Credentials {
		x.queue(sqlCredentialPut, uid(x.tenant), uid(c.Item), c.Generation, c.Sealed, stamp(x.now))
	}
	if len(agg.Added.Destroyed) > 0 {
		x.queue(sqlCredentialsDestroy, uid(x.tenant), uids(agg.Added.Destroyed), stamp(x.now))
	}
}

func scanDelivery(r pgx.Rows, o *order.ID) (app.Delivery, error) {
	var d app.Delivery
	err := r.Scan(intoID(o), intoID(&d.ID), intoID(&d.Item), &d.HasPassphrase, &d.MessageID, &d.Recipient, &d.State,
		intoTime(&d.At))
	if err != nil {
		return d, fmt.Errorf("read delivery: %w", err)
	}
	return d, nil
}

func (l *loader) scanDelivery(r pgx.Rows) error {
	var o order.ID
	delivery, err := scanDelivery(r, &o)
	if err != nil {
		return err
	}
	if agg := l.byOrder[o]; agg != nil {
		agg.Deliveries = append(agg.Deliveries, delivery)
	}
	return nil
}

// insertDeliveries queues each mail that was sent or may have been sent. A delivery is not changed afterwards.
func (x *tx) insertDeliveries(agg *app.Aggregate) {
	for _, v := range agg.Added.Deliveries {
		x.queue(sqlDeliveryInsert, uid(x.tenant), uid(v.ID), uid(v.Item), v.PassphraseSealed, v.MessageID, v.Recipient,
			int16(v.State), stamp(v.At))
	}
}
