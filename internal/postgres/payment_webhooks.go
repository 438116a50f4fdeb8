package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
)

const (
	sqlPaymentWebhookKeep = `
		INSERT INTO payment_webhooks (provider, event_id, headers, raw, received_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`
	sqlPaymentWebhooksOpen = `
		SELECT provider, event_id, headers, raw, received_at
		FROM payment_webhooks
		WHERE done_at IS NULL
		ORDER BY received_at
		LIMIT $1`
	sqlPaymentWebhookFinish = `
		UPDATE payment_webhooks
		SET done_at = $3
		WHERE provider = $1 AND event_id = $2 AND done_at IS NULL`
)

// KeepPaymentWebhook stores the call of a payment provider as it was received. A repeated event id has no effect.
func (db *DB) KeepPaymentWebhook(ctx context.Context, w app.PaymentWebhook) error {
	headers, err := json.Marshal(w.Headers)
	if err != nil {
		return fmt.Errorf("encode the headers of webhook %s: %w", w.EventID, err)
	}
	return db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlPaymentWebhookKeep, w.Provider, w.EventID, string(headers), w.Raw, stamp(w.ReceivedAt))
	})
}

// OpenPaymentWebhooks returns the calls that are not processed yet, oldest first, for the worker.
func (db *DB) OpenPaymentWebhooks(ctx context.Context, limit int) ([]app.PaymentWebhook, error) {
	var list []app.PaymentWebhook
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlPaymentWebhooksOpen, limit), func(r pgx.Rows) error {
			var w app.PaymentWebhook
			err := r.Scan(&w.Provider, &w.EventID, &w.Headers, &w.Raw, intoTime(&w.ReceivedAt))
			list = append(list, w)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "list open payment webhooks")
	}
	return list, nil
}

// FinishPaymentWebhook marks a call as processed.
func (db *DB) FinishPaymentWebhook(ctx context.Context, provider, eventID string, at time.Time) error {
	return db.inSystem(ctx, func(b *pgx.Batch) { b.Queue(sqlPaymentWebhookFinish, provider, eventID, stamp(at)) })
}
