package portaltest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// hook is an endpoint with what was posted to it, the newest first.
type hook struct {
	tenant   tenant.ID
	endpoint app.Endpoint
	postings []app.Posting
}

// Secret is what the fake issues.
const Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// AddEndpoint makes one.
func (f *Fake) AddEndpoint(_ context.Context, c app.Caller, in app.AddEndpoint) (app.IssuedSecret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.checkURL(in.URL); err != nil {
		return app.IssuedSecret{}, err
	}
	now := f.Now()
	e := app.Endpoint{ID: f.id(), Version: 1, URL: in.URL, Description: in.Description, Types: in.Types, State: app.EndpointActive, Since: now, Secrets: []app.SecretInfo{{CreatedAt: now}}, CreatedAt: now, UpdatedAt: now}
	f.hooks = append(f.hooks, &hook{tenant: c.Tenant, endpoint: e})
	return app.IssuedSecret{Endpoint: e, Secret: Secret}, nil
}

func (f *Fake) checkURL(address string) error {
	if strings.HasPrefix(address, "https://") {
		return nil
	}
	return fault.Violated([]fault.Violation{{Pointer: "/url", Code: "not-https", Message: "Webhooks are posted over https only."}})
}

func (f *Fake) hook(c app.Caller, e app.EndpointID) (*hook, error) {
	for _, h := range f.hooks {
		if h.tenant == c.Tenant && h.endpoint.ID == e {
			return h, nil
		}
	}
	return nil, fault.Absent()
}

// changeHook changes one at the version that was read.
func (f *Fake) changeHook(c app.Caller, e app.EndpointID, pre app.Precondition, change func(h *hook) error) (app.Endpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.hook(c, e)
	if err != nil {
		return app.Endpoint{}, err
	}
	if pre.Version == nil || *pre.Version != h.endpoint.Version {
		return app.Endpoint{}, fault.New(fault.KindConflict, fault.CodeVersionConflict, "It is at version %d.", h.endpoint.Version)
	}
	if err := change(h); err != nil {
		return app.Endpoint{}, err
	}
	h.endpoint.Version++
	return h.endpoint, nil
}

// EditEndpoint changes one.
func (f *Fake) EditEndpoint(_ context.Context, c app.Caller, in app.EditEndpoint) (app.Endpoint, error) {
	return f.changeHook(c, in.Endpoint, in.Precondition, func(h *hook) error {
		e := &h.endpoint
		if in.URL != nil {
			if err := f.checkURL(*in.URL); err != nil {
				return err
			}
			e.URL, e.Description, e.Types = *in.URL, *in.Description, *in.Types
		}
		switch {
		case in.Enabled == nil:
		case *in.Enabled:
			e.State, e.Why, e.Since = app.EndpointActive, "", f.Now()
		default:
			e.State, e.Why, e.Since = app.EndpointDisabled, app.EndpointByHand, f.Now()
		}
		return nil
	})
}

// DeleteEndpoint removes one.
func (f *Fake) DeleteEndpoint(_ context.Context, c app.Caller, e app.EndpointID, pre app.Precondition) (app.Endpoint, error) {
	return f.changeHook(c, e, pre, func(h *hook) error {
		f.hooks = slices.DeleteFunc(f.hooks, func(x *hook) bool { return x == h })
		return nil
	})
}

// RotateSecret makes a new secret.
func (f *Fake) RotateSecret(_ context.Context, c app.Caller, in app.RotateSecret) (app.IssuedSecret, error) {
	e, err := f.changeHook(c, in.Endpoint, in.Precondition, func(h *hook) error {
		h.endpoint.Secrets = []app.SecretInfo{{CreatedAt: f.Now()}, {CreatedAt: h.endpoint.CreatedAt, ExpiresAt: f.Now().Add(*in.Overlap)}}
		return nil
	})
	return app.IssuedSecret{Endpoint: e, Secret: Secret}, err
}

// Endpoints of a tenant.
func (f *Fake) Endpoints(_ context.Context, c app.Caller) ([]app.Endpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []app.Endpoint
	for _, h := range f.hooks {
		if h.tenant == c.Tenant {
			all = append(all, h.endpoint)
		}
	}
	return all, nil
}

// Endpoint reads one.
func (f *Fake) Endpoint(_ context.Context, c app.Caller, e app.EndpointID) (app.Endpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.hook(c, e)
	if err != nil {
		return app.Endpoint{}, err
	}
	return h.endpoint, nil
}

// Postings of an endpoint, on one page.
func (f *Fake) Postings(_ context.Context, c app.Caller, e app.EndpointID, in app.PostingFilter) (app.Page[app.Posting], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.hook(c, e)
	if err != nil {
		return app.Page[app.Posting]{}, err
	}
	var p app.Page[app.Posting]
	for _, x := range h.postings {
		if in.State == nil || *in.State == x.State {
			p.Data = append(p.Data, x)
		}
	}
	return p, nil
}

// Posting reads one with its log.
func (f *Fake) Posting(_ context.Context, c app.Caller, e app.EndpointID, id app.PostingID) (app.Posting, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.hook(c, e)
	if err != nil {
		return app.Posting{}, err
	}
	for _, x := range h.postings {
		if x.ID == id {
			return x, nil
		}
	}
	return app.Posting{}, fault.Absent()
}

// ReplayPosting makes one pending again.
func (f *Fake) ReplayPosting(_ context.Context, c app.Caller, e app.EndpointID, id app.PostingID) (app.Posting, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.hook(c, e)
	if err != nil {
		return app.Posting{}, err
	}
	for i := range h.postings {
		if h.postings[i].ID == id {
			h.postings[i].State, h.postings[i].NextAt = app.PostingPending, f.Now()
			return h.postings[i], nil
		}
	}
	return app.Posting{}, fault.Absent()
}

// webhooks of the story: one in service, one that fails, one that was stopped.
func (s *Story) webhooks() {
	add := func(name, url, description string, types []event.Type, change func(h *hook)) {
		issued, err := s.Fake.AddEndpoint(context.Background(), app.Caller{Actor: s.Adam}, app.AddEndpoint{URL: url, Description: description, Types: types})
		if err != nil {
			panic(err)
		}
		s.Webhooks[name] = issued.ID
		change(s.Fake.hooks[len(s.Fake.hooks)-1])
	}
	ago := func(d time.Duration) time.Time { return s.Fake.Now().Add(-d) }
	posting := func(h *hook, seq int, t event.Type, state app.PostingState, calls ...app.PostingCall) {
		p := app.Posting{ID: s.Fake.id(), Endpoint: h.endpoint.ID, Order: s.Orders["building"], Seq: seq, Event: s.Fake.id(), Type: t, State: state, CreatedAt: ago(time.Hour - time.Duration(seq)*time.Minute), Log: calls, Calls: len(calls)}
		if len(calls) > 0 {
			p.LastStatus, p.LastResult = calls[0].Status, calls[0].Result
		}
		if state == app.PostingPending {
			p.NextAt = s.Fake.Now().Add(25 * time.Minute)
		}
		h.postings = append([]app.Posting{p}, h.postings...)
	}
	add("active", "https://hooks.acme.example/platforma/orders-and-everything-that-happens-to-them", "Billing", nil, func(h *hook) {
		h.endpoint.Secrets = []app.SecretInfo{{CreatedAt: ago(time.Hour)}, {CreatedAt: ago(2000 * time.Hour), ExpiresAt: ago(-23 * time.Hour)}}
		h.endpoint.Since = ago(2000 * time.Hour)
		taken := app.PostingCall{N: 1, At: ago(50 * time.Minute), Status: 204, Result: app.PostTaken, Took: 84 * time.Millisecond}
		posting(h, 1, order.EvCreated, app.PostingDelivered, taken)
		posting(h, 2, order.EvSubmitted, app.PostingDelivered, taken)
		posting(h, 3, order.EvPaymentConfirmed, app.PostingPending,
			app.PostingCall{N: 2, At: ago(5 * time.Minute), Result: app.PostTimeout, Took: 5 * time.Second},
			app.PostingCall{N: 1, At: ago(10 * time.Minute), Status: 503, Result: app.PostBusy, Took: 120 * time.Millisecond, Excerpt: `{"error":"maintenance until 14:00, please come back"}`})
		posting(h, 4, order.EvProvisioningStarted, app.PostingPending)
		s.Posting = h.postings[1].ID
	})
	add("failing", "https://old.acme.example/hook", "", []event.Type{order.EvFulfilled, order.EvFailed}, func(h *hook) {
		h.endpoint.State, h.endpoint.Why, h.endpoint.Since, h.endpoint.Failures = app.EndpointFailing, app.EndpointExhausted, ago(3*time.Hour), 40
		posting(h, 9, order.EvFulfilled, app.PostingFailed, app.PostingCall{N: 10, At: ago(3 * time.Hour), Status: 500, Result: app.PostRefused, Took: 40 * time.Millisecond, Excerpt: "Internal Server Error"})
		posting(h, 12, order.EvFulfilled, app.PostingPending)
	})
	add("disabled", "https://test.acme.example/hook", "Trial of the new shop", []event.Type{order.EvCreated, order.EvUpdated, order.EvSubmitted}, func(h *hook) {
		h.endpoint.State, h.endpoint.Why, h.endpoint.Since = app.EndpointDisabled, app.EndpointByHand, ago(80*time.Hour)
	})
}
