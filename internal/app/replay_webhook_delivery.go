package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

// replayed marks the task of a delivery that a person asked for: it is called even where its endpoint
// is failing, as the one call that shows whether it works again.
const replayed = "replay"

// ReplayWebhookDelivery posts a delivery once more, with the same message id, whatever became of it before. To
// an active endpoint it goes with a fresh schedule. To a failing one it is a single call: taken, it
// brings the endpoint back into service and with it all that waits.
func (a *App) ReplayWebhookDelivery(
	ctx context.Context, c Caller, e WebhookEndpointID, delivery WebhookDeliveryID,
) (WebhookDelivery, error) {
	return onWebhookEndpoint(ctx, a, c, e, delivery, Precondition{}, func(tx Tx,
		f LockedWebhookEndpoint,
	) (WebhookDelivery, error) {
		if f.WebhookEndpoint.State == WebhookEndpointDisabled {
			return WebhookDelivery{}, fault.New(fault.KindConflict, "webhook-disabled",
				"This webhook is disabled. Enable it first.")
		}
		delivery, task := f.WebhookDelivery, f.Task
		delivery.State, delivery.NextAt, delivery.DoneAt = WebhookDeliveryPending, tx.Now(), time.Time{}
		task.State, task.Try, task.Epoch, task.NextAt, task.Detail = fulfil.Queued, 0, task.Epoch+1, tx.Now(), replayed
		tx.SaveWebhookDelivery(delivery, task, nil)
		return delivery, nil
	})
}
