package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

// QueueWebhookDeliveries is the webhook consumer. For each event it adds one delivery with its task for every
// endpoint that subscribes to it, in the transaction of its checkpoint. Deliveries to a failing endpoint wait until
// the endpoint is active again.
func (a *App) QueueWebhookDeliveries(ctx context.Context, ev event.Event) error {
	position := &InboxPosition{Consumer: string(WebhookConsumer), Order: ev.Order, Seq: ev.Seq}
	return a.Store.InTenant(ctx, ev.Tenant, With{Inbox: position}, func(tx Tx) error {
		endpoints, err := tx.SubscribedWebhookEndpoints(ctx)
		if err != nil {
			return err
		}
		for _, e := range endpoints {
			if !e.Subscribes(ev.Type) {
				continue
			}
			delivery := WebhookDelivery{
				ID: newID[WebhookDelivery](a), WebhookEndpoint: e.ID, Order: ev.Order, Seq: ev.Seq, Event: ev.ID, Type: ev.Type,
				CreatedAt: tx.Now(), NextAt: tx.Now(),
			}
			task := fulfil.Task{
				ID: fulfil.TaskID(delivery.ID), Tenant: ev.Tenant, Order: ev.Order, Kind: fulfil.Webhook,
				Queue: fulfil.Webhook.String(), Cause: ev.ID, NextAt: laterOf(tx.Now(), e.RestingUntil),
			}
			task.Subject = [16]byte(delivery.ID)
			if e.State == WebhookEndpointFailing {
				task.State, task.NextAt = fulfil.Stuck, time.Time{}
			}
			tx.AddWebhookDelivery(delivery, task)
		}
		return nil
	})
}

func laterOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
