package portaltest

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// webhooks of the story: one in service, one that fails, one that was stopped.
func (s *Story) webhooks() {
	s.activeWebhook()
	s.failingWebhook()
	e := s.webhook("disabled", "https://test.acme.example/hook", "Trial of the new shop",
		order.EvCreated, order.EvUpdated, order.EvSubmitted)
	s.Fake.ChangeEndpoint(e, func(e *app.Endpoint) {
		e.State, e.Why, e.Since = app.EndpointDisabled, app.EndpointByHand, s.ago(80*time.Hour)
	})
}

func (s *Story) activeWebhook() {
	e := s.webhook("active", "https://hooks.acme.example/platforma/orders-and-everything-that-happens-to-them", "Billing")
	s.Fake.ChangeEndpoint(e, func(e *app.Endpoint) {
		old := app.SecretInfo{CreatedAt: s.ago(2000 * time.Hour), ExpiresAt: s.ago(-23 * time.Hour)}
		e.Secrets = []app.SecretInfo{{CreatedAt: s.ago(time.Hour)}, old}
		e.Since = s.ago(2000 * time.Hour)
	})
	taken := app.PostingCall{
		N: 1, At: s.ago(50 * time.Minute), Status: 204, Result: app.PostTaken, Took: 84 * time.Millisecond,
	}
	s.posting(e, 1, order.EvCreated, app.PostingDelivered, taken)
	s.posting(e, 2, order.EvSubmitted, app.PostingDelivered, taken)
	s.Posting = s.posting(e, 3, order.EvPaymentConfirmed, app.PostingPending,
		app.PostingCall{N: 2, At: s.ago(5 * time.Minute), Result: app.PostTimeout, Took: 5 * time.Second},
		app.PostingCall{
			N: 1, At: s.ago(10 * time.Minute), Status: 503, Result: app.PostBusy, Took: 120 * time.Millisecond,
			Excerpt: `{"error":"maintenance until 14:00, please come back"}`,
		})
	s.posting(e, 4, order.EvProvisioningStarted, app.PostingPending)
}

func (s *Story) failingWebhook() {
	e := s.webhook("failing", "https://old.acme.example/hook", "", order.EvFulfilled, order.EvFailed)
	s.Fake.ChangeEndpoint(e, func(e *app.Endpoint) {
		e.State, e.Why, e.Since, e.Failures = app.EndpointFailing, app.EndpointExhausted, s.ago(3*time.Hour), 40
	})
	s.posting(e, 9, order.EvFulfilled, app.PostingFailed, app.PostingCall{
		N: 10, At: s.ago(3 * time.Hour), Status: 500, Result: app.PostRefused, Took: 40 * time.Millisecond,
		Excerpt: "Internal Server Error",
	})
	s.posting(e, 12, order.EvFulfilled, app.PostingPending)
}

// webhook adds an endpoint for events of these types, or of all when none is given.
func (s *Story) webhook(name, url, description string, types ...event.Type) app.EndpointID {
	add := app.AddEndpoint{URL: url, Description: description, Types: types}
	issued, err := s.Fake.AddEndpoint(context.Background(), app.Caller{Actor: s.Adam}, add)
	if err != nil {
		panic(err)
	}
	s.Webhooks[name] = issued.ID
	return issued.ID
}

// posting adds one of the order that is being built; calls are the newest first.
func (s *Story) posting(
	e app.EndpointID, seq int, t event.Type, state app.PostingState, calls ...app.PostingCall,
) app.PostingID {
	p := app.Posting{
		ID: s.Fake.NewID(), Endpoint: e, Order: s.Orders["building"], Seq: seq, Event: s.Fake.NewID(), Type: t, State: state,
		CreatedAt: s.ago(time.Hour - time.Duration(seq)*time.Minute), Log: calls, Calls: len(calls),
	}
	if len(calls) > 0 {
		p.LastStatus, p.LastResult = calls[0].Status, calls[0].Result
	}
	if state == app.PostingPending {
		p.NextAt = s.Fake.Now().Add(25 * time.Minute)
	}
	s.Fake.AddPosting(p)
	return p.ID
}

func (s *Story) ago(d time.Duration) time.Time { return s.Fake.Now().Add(-d) }
