package app

import (
	"context"
	"time"
)

const (
	// webhookDeliveryRetention is how long a delivery is kept, and may be replayed, after it was delivered or its
	// endpoint was deleted. A failed one is kept as long as its endpoint, because it must stay replayable (ADR 0018).
	webhookDeliveryRetention = 30 * 24 * time.Hour
	// purgeBatch is the most deliveries that one transaction removes.
	purgeBatch = 1000
)

// PurgeWebhooks erases expired signing secrets and removes deliveries after their retention, of all tenants. It
// returns how many deliveries it removed. It may run twice or in two workers at once; the next run finishes what a
// run that died left.
func (a *App) PurgeWebhooks(ctx context.Context) (int, error) {
	for purged := 0; ; {
		now := a.Clock.Now()
		n, err := a.WebhookDeliveryJobs.PurgeWebhooks(ctx, now, now.Add(-webhookDeliveryRetention), purgeBatch)
		if purged += n; err != nil || n < purgeBatch {
			return purged, err
		}
	}
}
