package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

// ProjectWebhooks is the consumer of the webhooks: of each event it makes one delivery, with its unit
// of work, for every endpoint that wants it, in the transaction of its inbox mark. A failing endpoint's
// wait until somebody takes it back into service.
func (a *App) ProjectWebhooks(ctx context.Context, ev event.Event) error {
	mark := &InboxMark{Consumer: string(WebhookConsumer), Order: ev.Order, Seq: ev.Seq}
	return a.Store.InTenant(ctx, ev.Tenant, With{Inbox: mark}, func(tx Tx) error {
		endpoints, err := tx.HearingEndpoints(ctx)
		if err != nil {
			return err
		}
		for _, e := range endpoints {
			if !e.Hears(ev.Type) {
				continue
			}
			p := Posting{ID: newID[Posting](a), Endpoint: e.ID, Order: ev.Order, Seq: ev.Seq, Event: ev.ID, Type: ev.Type, CreatedAt: tx.Now(), NextAt: tx.Now()}
			u := fulfil.Unit{ID: fulfil.UnitID(p.ID), Tenant: ev.Tenant, Order: ev.Order, Kind: fulfil.Webhook, Queue: fulfil.Webhook.String(), Cause: ev.ID, NextAt: laterOf(tx.Now(), e.RestingUntil)}
			u.Subject = [16]byte(p.ID)
			if e.State == EndpointFailing {
				u.State, u.NextAt = fulfil.Stuck, time.Time{}
			}
			tx.AddPosting(p, u)
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
