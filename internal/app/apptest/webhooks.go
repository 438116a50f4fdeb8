package apptest

import (
	"context"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// endpointEntry is an endpoint with its deliveries, newest first.
type endpointEntry struct {
	tenant     tenant.ID
	endpoint   app.WebhookEndpoint
	deliveries []app.WebhookDelivery
}

// Secret is the signing secret that AddWebhookEndpoint and RotateWebhookSecret issue.
const Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// ChangeWebhookEndpoint changes an endpoint as the workers would.
func (f *Fake) ChangeWebhookEndpoint(e app.WebhookEndpointID, change func(e *app.WebhookEndpoint)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.mustHaveEndpoint(e).endpoint)
}

// AddWebhookDelivery adds a delivery as the newest one of its endpoint.
func (f *Fake) AddWebhookDelivery(delivery app.WebhookDelivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry := f.mustHaveEndpoint(delivery.WebhookEndpoint)
	entry.deliveries = append([]app.WebhookDelivery{delivery}, entry.deliveries...)
}

// mustHaveEndpoint returns an endpoint. It panics when there is none.
func (f *Fake) mustHaveEndpoint(e app.WebhookEndpointID) *endpointEntry {
	at := slices.IndexFunc(f.endpoints, func(entry *endpointEntry) bool { return entry.endpoint.ID == e })
	if at < 0 {
		panic("apptest: there is no endpoint " + e.String())
	}
	return f.endpoints[at]
}

// AddWebhookEndpoint adds an endpoint.
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
		f.endpoints = append(f.endpoints, &endpointEntry{tenant: c.Tenant, endpoint: e})
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

func (f *Fake) findEndpoint(c app.Caller, e app.WebhookEndpointID) (*endpointEntry, error) {
	for _, entry := range f.endpoints {
		if entry.tenant == c.Tenant && entry.endpoint.ID == e {
			return entry, nil
		}
	}
	return nil, fault.Absent()
}

// changeEndpoint changes an endpoint. It requires the current version.
func (f *Fake) changeEndpoint(
	c app.Caller, e app.WebhookEndpointID, pre app.Precondition, change func(entry *endpointEntry) error,
) (app.WebhookEndpoint, error) {
	entry, err := f.findEndpoint(c, e)
	if err != nil {
		return app.WebhookEndpoint{}, err
	}
	if pre.Version == nil || *pre.Version != entry.endpoint.Version {
		return app.WebhookEndpoint{},
			fault.New(fault.KindConflict, fault.CodeVersionConflict, "It is at version %d.", entry.endpoint.Version)
	}
	if err := change(entry); err != nil {
		return app.WebhookEndpoint{}, err
	}
	entry.endpoint.Version++
	return entry.endpoint, nil
}

// EditWebhookEndpoint changes an endpoint.
func (f *Fake) EditWebhookEndpoint(
	_ context.Context, c app.Caller, in app.EditWebhookEndpoint,
) (app.WebhookEndpoint, error) {
	return write(f, "EditWebhookEndpoint", c, in, func() (app.WebhookEndpoint, error) {
		return f.changeEndpoint(c, in.WebhookEndpoint, in.Precondition, func(entry *endpointEntry) error {
			e := &entry.endpoint
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

// DeleteWebhookEndpoint removes an endpoint.
func (f *Fake) DeleteWebhookEndpoint(
	_ context.Context, c app.Caller, e app.WebhookEndpointID, pre app.Precondition,
) (app.WebhookEndpoint, error) {
	return write(f, "DeleteWebhookEndpoint", c, e, func() (app.WebhookEndpoint, error) {
		return f.changeEndpoint(c, e, pre, func(entry *endpointEntry) error {
			f.endpoints = slices.DeleteFunc(f.endpoints, func(x *endpointEntry) bool { return x == entry })
			return nil
		})
	})
}

// RotateWebhookSecret replaces the secret of an endpoint.
func (f *Fake) RotateWebhookSecret(
	_ context.Context, c app.Caller, in app.RotateWebhookSecret,
) (app.IssuedSecret, error) {
	return write(f, "RotateWebhookSecret", c, in, func() (app.IssuedSecret, error) {
		e, err := f.changeEndpoint(c, in.WebhookEndpoint, in.Precondition, func(entry *endpointEntry) error {
			old := app.SecretInfo{CreatedAt: entry.endpoint.CreatedAt, ExpiresAt: f.Now().Add(*in.Overlap)}
			entry.endpoint.Secrets = []app.SecretInfo{{CreatedAt: f.Now()}, old}
			return nil
		})
		return app.IssuedSecret{WebhookEndpoint: e, Secret: Secret}, err
	})
}

// WebhookEndpoints lists the endpoints of the tenant.
func (f *Fake) WebhookEndpoints(_ context.Context, c app.Caller) ([]app.WebhookEndpoint, error) {
	return read(f, "WebhookEndpoints", c, nil, func() ([]app.WebhookEndpoint, error) {
		var all []app.WebhookEndpoint
		for _, entry := range f.endpoints {
			if entry.tenant == c.Tenant {
				all = append(all, entry.endpoint)
			}
		}
		return all, nil
	})
}

// WebhookEndpoint returns an endpoint.
func (f *Fake) WebhookEndpoint(_ context.Context, c app.Caller, e app.WebhookEndpointID) (app.WebhookEndpoint, error) {
	return read(f, "WebhookEndpoint", c, e, func() (app.WebhookEndpoint, error) {
		entry, err := f.findEndpoint(c, e)
		if err != nil {
			return app.WebhookEndpoint{}, err
		}
		return entry.endpoint, nil
	})
}

// WebhookDeliveries lists the deliveries of an endpoint, on one page.
func (f *Fake) WebhookDeliveries(
	_ context.Context, c app.Caller, e app.WebhookEndpointID, in app.WebhookDeliveryFilter,
) (app.Page[app.WebhookDelivery], error) {
	return read(f, "WebhookDeliveries", c, in, func() (app.Page[app.WebhookDelivery], error) {
		entry, err := f.findEndpoint(c, e)
		if err != nil {
			return app.Page[app.WebhookDelivery]{}, err
		}
		var p app.Page[app.WebhookDelivery]
		for _, x := range entry.deliveries {
			if in.State == nil || *in.State == x.State {
				p.Data = append(p.Data, x)
			}
		}
		return p, nil
	})
}

// WebhookDelivery returns a delivery with its log.
func (f *Fake) WebhookDelivery(
	_ context.Context, c app.Caller, e app.WebhookEndpointID, id app.WebhookDeliveryID,
) (app.WebhookDelivery, error) {
	return read(f, "WebhookDelivery", c, id, func() (app.WebhookDelivery, error) {
		entry, err := f.findEndpoint(c, e)
		if err != nil {
			return app.WebhookDelivery{}, err
		}
		for _, x := range entry.deliveries {
			if x.ID == id {
				return x, nil
			}
		}
		return app.WebhookDelivery{}, fault.Absent()
	})
}

// ReplayWebhookDelivery makes a delivery pending again.
func (f *Fake) ReplayWebhookDelivery(
	_ context.Context, c app.Caller, e app.WebhookEndpointID, id app.WebhookDeliveryID,
) (app.WebhookDelivery, error) {
	return write(f, "ReplayWebhookDelivery", c, id, func() (app.WebhookDelivery, error) {
		entry, err := f.findEndpoint(c, e)
		if err != nil {
			return app.WebhookDelivery{}, err
		}
		for i := range entry.deliveries {
			if entry.deliveries[i].ID == id {
				entry.deliveries[i].State, entry.deliveries[i].NextAt = app.WebhookDeliveryPending, f.Now()
				return entry.deliveries[i], nil
			}
		}
		return app.WebhookDelivery{}, fault.Absent()
	})
}
