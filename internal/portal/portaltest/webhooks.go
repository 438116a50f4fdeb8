package portaltest

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// webhooks adds three webhooks: one is active, one is failing, one is disabled.
func (s *Story) webhooks() {
	s.activeWebhook()
	s.failingWebhook()
	e := s.webhook("disabled", "https://test.acme.example/hook", "Trial of the new shop",
		order.EvCreated, order.EvUpdated, order.EvSubmitted)
	s.Fake.ChangeWebhookEndpoint(e, func(e *app.WebhookEndpoint) {
		e.State, e.Why, e.Since = app.WebhookEndpointDisabled, app.WebhookEndpointByHand, s.ago(80*time.Hour)
	})
}

func (s *Story) activeWebhook() {
	e := s.webhook("active", "https://hooks.acme.example/platforma/orders-and-everything-that-happens-to-them", "Billing")
	s.Fake.ChangeWebhookEndpoint(e, func(e *app.WebhookEndpoint) {
		old := app.SecretInfo{CreatedAt: s.ago(2000 * time.Hour), ExpiresAt: s.ago(-23 * time.Hour)}
		e.Secrets = []app.SecretInfo{{CreatedAt: s.ago(time.Hour)}, old}
		e.Since = s.ago(2000 * time.Hour)
	})
	accepted := app.WebhookDeliveryCall{
		N: 1, At: s.ago(50 * time.Minute), Status: 204, Result: app.CallAccepted, Took: 84 * time.Millisecond,
	}
	s.webhookDelivery(e, 1, order.EvCreated, app.WebhookDeliveryDelivered, accepted)
	s.webhookDelivery(e, 2, order.EvSubmitted, app.WebhookDeliveryDelivered, accepted)
	s.WebhookDelivery = s.webhookDelivery(e, 3, order.EvPaymentConfirmed, app.WebhookDeliveryPending,
		app.WebhookDeliveryCall{N: 2, At: s.ago(5 * time.Minute), Result: app.CallTimedOut, Took: 5 * time.Second},
		app.WebhookDeliveryCall{
			N: 1, At: s.ago(10 * time.Minute), Status: 503, Result: app.CallBusy, Took: 120 * time.Millisecond,
			Excerpt: `{"error":"maintenance until 14:00, please come back"}`,
		})
	s.webhookDelivery(e, 4, order.EvProvisioningStarted, app.WebhookDeliveryPending)
}

func (s *Story) failingWebhook() {
	e := s.webhook("failing", "https://old.acme.example/hook", "", order.EvFulfilled, order.EvFailed)
	s.Fake.ChangeWebhookEndpoint(e, func(e *app.WebhookEndpoint) {
		e.State, e.Why, e.Since, e.Failures = app.WebhookEndpointFailing, app.WebhookEndpointExhausted, s.ago(3*time.Hour), 40
	})
	s.webhookDelivery(e, 9, order.EvFulfilled, app.WebhookDeliveryFailed, app.WebhookDeliveryCall{
		N: 10, At: s.ago(3 * time.Hour), Status: 500, Result: app.CallRefused, Took: 40 * time.Millisecond,
		Excerpt: "Internal Server Error",
	})
	s.webhookDelivery(e, 12, order.EvFulfilled, app.WebhookDeliveryPending)
}

// webhook adds an endpoint for events of the given types, or for all events.
func (s *Story) webhook(name, url, description string, types ...event.Type) app.WebhookEndpointID {
	add := app.AddWebhookEndpoint{URL: url, Description: description, Types: types}
	issued, err := s.Fake.AddWebhookEndpoint(context.Background(), app.Caller{Actor: s.Adam}, add)
	if err != nil {
		panic(err)
	}
	s.Webhooks[name] = issued.ID
	return issued.ID
}

// webhookDelivery adds a webhook delivery of an event of the order that is being built. The newest call is first.
func (s *Story) webhookDelivery(
	e app.WebhookEndpointID, seq int, t event.Type, state app.WebhookDeliveryState, calls ...app.WebhookDeliveryCall,
) app.WebhookDeliveryID {
	delivery := app.WebhookDelivery{
		ID: s.Fake.NewID(), WebhookEndpoint: e, Order: s.Orders["building"], Seq: seq, Event: s.Fake.NewID(), Type: t,
		State: state, CreatedAt: s.ago(time.Hour - time.Duration(seq)*time.Minute), Log: calls, Calls: len(calls),
	}
	if len(calls) > 0 {
		delivery.LastStatus, delivery.LastResult = calls[0].Status, calls[0].Result
	}
	if state == app.WebhookDeliveryPending {
		delivery.NextAt = s.Fake.Now().Add(25 * time.Minute)
	}
	s.Fake.AddWebhookDelivery(delivery)
	return delivery.ID
}

func (s *Story) ago(d time.Duration) time.Time { return s.Fake.Now().Add(-d) }
