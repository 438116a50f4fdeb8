package app

import (
	"context"
	"time"
)

const (
	// webhookDeliveriesKept is how long a delivery stands in the log, and may be replayed, after it was taken or its
	// endpoint was deleted. One that failed is kept as long as its endpoint: its replay is promised (ADR 0018).
	webhookDeliveriesKept = 30 * 24 * time.Hour
	// purgeBatch bounds a transaction of the purge.
	purgeBatch = 1000
)

// PurgeWebhooks empties signing secrets whose time is over and removes deliveries that are kept no longer, of
// all tenants, and tells how many. Twice, or by two workers, it does no harm; what a process that dies in it
// leaves is the next one's.
func (a *App) PurgeWebhooks(ctx context.Context) (int, error) {
	for purged := 0; ; {
		now := a.Clock.Now()
		n, err := a.WebhookDeliveryJobs.PurgeWebhooks(ctx, now, now.Add(-webhookDeliveriesKept), purgeBatch)
		if purged += n; err != nil || n < purgeBatch {
			return purged, err
		}
	}
}
