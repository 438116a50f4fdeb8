package apptest

import (
	"context"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// hook is an endpoint with what was posted to it, the newest first.
type hook struct {
	tenant   tenant.ID
	endpoint app.Endpoint
	postings []app.Posting
}

// Secret is what AddEndpoint and RotateSecret issue.
const Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// ChangeEndpoint edits an endpoint as the workers would.
func (f *Fake) ChangeEndpoint(e app.EndpointID, change func(e *app.Endpoint)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.mustHaveHook(e).endpoint)
}

// AddPosting puts a posting before all others of its endpoint.
func (f *Fake) AddPosting(p app.Posting) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.mustHaveHook(p.Endpoint)
	h.postings = append([]app.Posting{p}, h.postings...)
}

// mustHaveHook finds an endpoint that a test knows to be there.
func (f *Fake) mustHaveHook(e app.EndpointID) *hook {
	at := slices.IndexFunc(f.hooks, func(h *hook) bool { return h.endpoint.ID == e })
	if at < 0 {
		panic("apptest: there is no endpoint " + e.String())
	}
	return f.hooks[at]
}

// AddEndpoint makes one.
func (f *Fake) AddEndpoint(_ context.Context, c app.Caller, in app.AddEndpoint) (app.IssuedSecret, error) {
	return write(f, "AddEndpoint", c, in, func() (app.IssuedSecret, error) {
		if err := urlFault(in.URL); err != nil {
			return app.IssuedSecret{}, err
		}
		now := f.Now()
		e := app.Endpoint{
			ID: f.NewID(), Version: 1, URL: in.URL, Description: in.Description, Types: in.Types,
			State: app.EndpointActive, Since: now, Secrets: []app.SecretInfo{{CreatedAt: now}}, CreatedAt: now, UpdatedAt: now,
		}
		f.hooks = append(f.hooks, &hook{tenant: c.Tenant, endpoint: e})
		return app.IssuedSecret{Endpoint: e, Secret: Secret}, nil
	})
}

func urlFault(address string) error {
	if strings.HasPrefix(address, "https://") {
		return nil
	}
	return fault.Violated([]fault.Violation{
		{Pointer: "/url", Code: "not-https", Message: "Webhooks are posted over https only."},
	})
}

func (f *Fake) hook(c app.Caller, e app.EndpointID) (*hook, error) {
	for _, h := range f.hooks {
		if h.tenant == c.Tenant && h.endpoint.ID == e {
			return h, nil
		}
	}
	return nil, fault.Absent()
}

// changeHook changes an endpoint at the version that was read.
func (f *Fake) changeHook(
	c app.Caller, e app.EndpointID, pre app.Precondition, change func(h *hook) error,
) (app.Endpoint, error) {
	h, err := f.hook(c, e)
	if err != nil {
		return app.Endpoint{}, err
	}
	if pre.Version == nil || *pre.Version != h.endpoint.Version {
		return app.Endpoint{},
			fault.New(fault.KindConflict, fault.CodeVersionConflict, "It is at version %d.", h.endpoint.Version)
	}
	if err := change(h); err != nil {
		return app.Endpoint{}, err
	}
	h.endpoint.Version++
	return h.endpoint, nil
}

// EditEndpoint changes one.
func (f *Fake) EditEndpoint(_ context.Context, c app.Caller, in app.EditEndpoint) (app.Endpoint, error) {
	return write(f, "EditEndpoint", c, in, func() (app.Endpoint, error) {
		return f.changeHook(c, in.Endpoint, in.Precondition, func(h *hook) error {
			e := &h.endpoint
			if in.URL != nil {
				if err := urlFault(*in.URL); err != nil {
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
	})
}

// DeleteEndpoint removes one.
func (f *Fake) DeleteEndpoint(
	_ context.Context, c app.Caller, e app.EndpointID, pre app.Precondition,
) (app.Endpoint, error) {
	return write(f, "DeleteEndpoint", c, e, func() (app.Endpoint, error) {
		return f.changeHook(c, e, pre, func(h *hook) error {
			f.hooks = slices.DeleteFunc(f.hooks, func(x *hook) bool { return x == h })
			return nil
		})
	})
}

// RotateSecret makes a new secret.
func (f *Fake) RotateSecret(_ context.Context, c app.Caller, in app.RotateSecret) (app.IssuedSecret, error) {
	return write(f, "RotateSecret", c, in, func() (app.IssuedSecret, error) {
		e, err := f.changeHook(c, in.Endpoint, in.Precondition, func(h *hook) error {
			old := app.SecretInfo{CreatedAt: h.endpoint.CreatedAt, ExpiresAt: f.Now().Add(*in.Overlap)}
			h.endpoint.Secrets = []app.SecretInfo{{CreatedAt: f.Now()}, old}
			return nil
		})
		return app.IssuedSecret{Endpoint: e, Secret: Secret}, err
	})
}

// Endpoints of a tenant.
func (f *Fake) Endpoints(_ context.Context, c app.Caller) ([]app.Endpoint, error) {
	return read(f, "Endpoints", c, nil, func() ([]app.Endpoint, error) {
		var all []app.Endpoint
		for _, h := range f.hooks {
			if h.tenant == c.Tenant {
				all = append(all, h.endpoint)
			}
		}
		return all, nil
	})
}

// Endpoint reads one.
func (f *Fake) Endpoint(_ context.Context, c app.Caller, e app.EndpointID) (app.Endpoint, error) {
	return read(f, "Endpoint", c, e, func() (app.Endpoint, error) {
		h, err := f.hook(c, e)
		if err != nil {
			return app.Endpoint{}, err
		}
		return h.endpoint, nil
	})
}

// Postings of an endpoint, on one page.
func (f *Fake) Postings(
	_ context.Context, c app.Caller, e app.EndpointID, in app.PostingFilter,
) (app.Page[app.Posting], error) {
	return read(f, "Postings", c, in, func() (app.Page[app.Posting], error) {
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
	})
}

// Posting reads one with its log.
func (f *Fake) Posting(_ context.Context, c app.Caller, e app.EndpointID, id app.PostingID) (app.Posting, error) {
	return read(f, "Posting", c, id, func() (app.Posting, error) {
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
	})
}

// ReplayPosting makes one pending again.
func (f *Fake) ReplayPosting(
	_ context.Context, c app.Caller, e app.EndpointID, id app.PostingID,
) (app.Posting, error) {
	return write(f, "ReplayPosting", c, id, func() (app.Posting, error) {
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
	})
}
