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
	tenant            tenant.ID
	webhookEndpoint   app.WebhookEndpoint
	webhookDeliveries []app.WebhookDelivery
}

// Secret is what AddWebhookEndpoint and RotateWebhookSecret issue.
const Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// ChangeWebhookEndpoint edits an endpoint as the workers would.
func (f *Fake) ChangeWebhookEndpoint(e app.WebhookEndpointID, change func(e *app.WebhookEndpoint)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.mustHaveHook(e).webhookEndpoint)
}

// AddWebhookDelivery puts a webhook delivery before all others of its endpoint.
func (f *Fake) AddWebhookDelivery(delivery app.WebhookDelivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.mustHaveHook(delivery.WebhookEndpoint)
	h.webhookDeliveries = append([]app.WebhookDelivery{delivery}, h.webhookDeliveries...)
}

// mustHaveHook finds an endpoint that a test knows to be there.
func (f *Fake) mustHaveHook(e app.WebhookEndpointID) *hook {
	at := slices.IndexFunc(f.hooks, func(h *hook) bool { return h.webhookEndpoint.ID == e })
	if at < 0 {
		panic("apptest: there is no endpoint " + e.String())
	}
	return f.hooks[at]
}

// AddWebhookEndpoint makes one.
func (f *Fake) AddWebhookEndpoint(
	_ context.Context, c app.Caller, in app.AddWebhookEndpoint,
) (app.IssuedSecret, error) {
	return write(f, "AddWebhookEndpoint", c, in, func() (app.IssuedSecret, error) {
		if err := urlFault(in.URL); err != nil {
			return app.IssuedSecret{}, err
		}
		now := f.Now()
		e := app.WebhookEndpoint{
			ID: f.NewID(), Version: 1, URL: in.URL, Description: in.Description, Types: in.Types,
			State: app.WebhookEndpointActive, Since: now, Secrets: []app.SecretInfo{{CreatedAt: now}},
			CreatedAt: now, UpdatedAt: now,
		}
		f.hooks = append(f.hooks, &hook{tenant: c.Tenant, webhookEndpoint: e})
		return app.IssuedSecret{WebhookEndpoint: e, Secret: Secret}, nil
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

func (f *Fake) hook(c app.Caller, e app.WebhookEndpointID) (*hook, error) {
	for _, h := range f.hooks {
		if h.tenant == c.Tenant && h.webhookEndpoint.ID == e {
			return h, nil
		}
	}
	return nil, fault.Absent()
}

// changeHook changes an endpoint at the version that was read.
func (f *Fake) changeHook(
	c app.Caller, e app.WebhookEndpointID, pre app.Precondition, change func(h *hook) error,
) (app.WebhookEndpoint, error) {
	h, err := f.hook(c, e)
	if err != nil {
		return app.WebhookEndpoint{}, err
	}
	if pre.Version == nil || *pre.Version != h.webhookEndpoint.Version {
		return app.WebhookEndpoint{},
			fault.New(fault.KindConflict, fault.CodeVersionConflict, "It is at version %d.", h.webhookEndpoint.Version)
	}
	if err := change(h); err != nil {
		return app.WebhookEndpoint{}, err
	}
	h.webhookEndpoint.Version++
	return h.webhookEndpoint, nil
}

// EditWebhookEndpoint changes one.
func (f *Fake) EditWebhookEndpoint(
	_ context.Context, c app.Caller, in app.EditWebhookEndpoint,
) (app.WebhookEndpoint, error) {
	return write(f, "EditWebhookEndpoint", c, in, func() (app.WebhookEndpoint, error) {
		return f.changeHook(c, in.WebhookEndpoint, in.Precondition, func(h *hook) error {
			e := &h.webhookEndpoint
			if in.URL != nil {
				if err := urlFault(*in.URL); err != nil {
					return err
				}
				e.URL, e.Description, e.Types = *in.URL, *in.Description, *in.Types
			}
			switch {
			case in.Enabled == nil:
			case *in.Enabled:
				e.State, e.Why, e.Since = app.WebhookEndpointActive, "", f.Now()
			default:
				e.State, e.Why, e.Since = app.WebhookEndpointDisabled, app.WebhookEndpointByHand, f.Now()
			}
			return nil
		})
	})
}

// DeleteWebhookEndpoint removes one.
func (f *Fake) DeleteWebhookEndpoint(
	_ context.Context, c app.Caller, e app.WebhookEndpointID, pre app.Precondition,
) (app.WebhookEndpoint, error) {
	return write(f, "DeleteWebhookEndpoint", c, e, func() (app.WebhookEndpoint, error) {
		return f.changeHook(c, e, pre, func(h *hook) error {
			f.hooks = slices.DeleteFunc(f.hooks, func(x *hook) bool { return x == h })
			return nil
		})
	})
}

// RotateWebhookSecret makes a new secret.
func (f *Fake) RotateWebhookSecret(
	_ context.Context, c app.Caller, in app.RotateWebhookSecret,
) (app.IssuedSecret, error) {
	return write(f, "RotateWebhookSecret", c, in, func() (app.IssuedSecret, error) {
		e, err := f.changeHook(c, in.WebhookEndpoint, in.Precondition, func(h *hook) error {
			old := app.SecretInfo{CreatedAt: h.webhookEndpoint.CreatedAt, ExpiresAt: f.Now().Add(*in.Overlap)}
			h.webhookEndpoint.Secrets = []app.SecretInfo{{CreatedAt: f.Now()}, old}
			return nil
		})
		return app.IssuedSecret{WebhookEndpoint: e, Secret: Secret}, err
	})
}

// Endpoints of a tenant.
func (f *Fake) WebhookEndpoints(_ context.Context, c app.Caller) ([]app.WebhookEndpoint, error) {
	return read(f, "WebhookEndpoints", c, nil, func() ([]app.WebhookEndpoint, error) {
		var all []app.WebhookEndpoint
		for _, h := range f.hooks {
			if h.tenant == c.Tenant {
				all = append(all, h.webhookEndpoint)
			}
		}
		return all, nil
	})
}

// Endpoint reads one.
func (f *Fake) WebhookEndpoint(_ context.Context, c app.Caller, e app.WebhookEndpointID) (app.WebhookEndpoint, error) {
	return read(f, "WebhookEndpoint", c, e, func() (app.WebhookEndpoint, error) {
		h, err := f.hook(c, e)
		if err != nil {
			return app.WebhookEndpoint{}, err
		}
		return h.webhookEndpoint, nil
	})
}

// WebhookDeliveries of an endpoint, on one page.
func (f *Fake) WebhookDeliveries(
	_ context.Context, c app.Caller, e app.WebhookEndpointID, in app.WebhookDeliveryFilter,
) (app.Page[app.WebhookDelivery], error) {
	return read(f, "WebhookDeliveries", c, in, func() (app.Page[app.WebhookDelivery], error) {
		h, err := f.hook(c, e)
		if err != nil {
			return app.Page[app.WebhookDelivery]{}, err
		}
		var p app.Page[app.WebhookDelivery]
		for _, x := range h.webhookDeliveries {
			if in.State == nil || *in.State == x.State {
				p.Data = append(p.Data, x)
			}
		}
		return p, nil
	})
}

// WebhookDelivery reads one with its log.
func (f *Fake) WebhookDelivery(
	_ context.Context, c app.Caller, e app.WebhookEndpointID, id app.WebhookDeliveryID,
) (app.WebhookDelivery, error) {
	return read(f, "WebhookDelivery", c, id, func() (app.WebhookDelivery, error) {
		h, err := f.hook(c, e)
		if err != nil {
			return app.WebhookDelivery{}, err
		}
		for _, x := range h.webhookDeliveries {
			if x.ID == id {
				return x, nil
			}
		}
		return app.WebhookDelivery{}, fault.Absent()
	})
}

// ReplayWebhookDelivery makes one pending again.
func (f *Fake) ReplayWebhookDelivery(
	_ context.Context, c app.Caller, e app.WebhookEndpointID, id app.WebhookDeliveryID,
) (app.WebhookDelivery, error) {
	return write(f, "ReplayWebhookDelivery", c, id, func() (app.WebhookDelivery, error) {
		h, err := f.hook(c, e)
		if err != nil {
			return app.WebhookDelivery{}, err
		}
		for i := range h.webhookDeliveries {
			if h.webhookDeliveries[i].ID == id {
				h.webhookDeliveries[i].State, h.webhookDeliveries[i].NextAt = app.WebhookDeliveryPending, f.Now()
				return h.webhookDeliveries[i], nil
			}
		}
		return app.WebhookDelivery{}, fault.Absent()
	})
}
