package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

// replayed marks the task of a delivery that a person asked to replay. It is posted even to a failing endpoint, to
// show whether the endpoint works again.
const replayed = "replay"

// ReplayWebhookDelivery posts a delivery again, with the same message id, whatever its state. To an active endpoint
// it is posted on a new schedule. To a failing one it is a single call; if that succeeds, the endpoint is active again
// and its waiting deliveries are released.
func (a *App) ReplayWebhookDelivery(
	ctx context.Context, c Caller, e WebhookEndpointID, delivery WebhookDeliveryID,
) (WebhookDelivery, error) {
	replay := func(tx Tx, locked LockedWebhookEndpoint) (WebhookDelivery, error) {
		if locked.WebhookEndpoint.State == WebhookEndpointDisabled {
			return WebhookDelivery{}, fault.New(fault.KindConflict, "webhook-disabled",
				"This webhook is disabled. Enable it first.")
		}
		delivery, task := locked.WebhookDelivery, locked.Task
		delivery.State, delivery.NextAt, delivery.DoneAt = WebhookDeliveryPending, tx.Now(), time.Time{}
		task.State, task.Try, task.Epoch, task.NextAt, task.Detail = fulfil.Queued, 0, task.Epoch+1, tx.Now(), replayed
		tx.SaveWebhookDelivery(delivery, task, nil)
		return delivery, nil
	}
	return onWebhookEndpoint(ctx, a, c, e, delivery, Precondition{}, replay)
}
