package app

import (
	"context"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
)

// EditWebhookEndpoint changes what is not nil.
type EditWebhookEndpoint struct {
	WebhookEndpoint WebhookEndpointID
	URL             *string
	Description     *string
	Types           *[]event.Type
	Enabled         *bool // true: active again, whatever stopped it
	Precondition
}

// onWebhookEndpoint is the shape of the use cases on an endpoint: permission, lock, version, then the change.
func onWebhookEndpoint[R any](
	ctx context.Context, a *App, c Caller, e WebhookEndpointID, also WebhookDeliveryID, pre Precondition,
	change func(tx Tx, f LockedWebhookEndpoint) (R, error),
) (R, error) {
	var none R
	if err := a.may(c.Actor, WriteWebhooks); err != nil {
		return none, err
	}
	return write(ctx, a, c, func(tx Tx) (R, error) {
		f, err := tx.LockWebhookEndpoint(ctx, e, also)
		if err != nil {
			return none, err
		}
		if err := c.keyDemanded(f.Settings); err != nil {
			return none, err
		}
		if err := pre.check(f.WebhookEndpoint.Version); err != nil {
			return none, err
		}
		return change(tx, f)
	})
}

// EditWebhookEndpoint changes an endpoint. Enabled takes it back into service from failing too: what waited
// goes at once.
func (a *App) EditWebhookEndpoint(ctx context.Context, c Caller, in EditWebhookEndpoint) (WebhookEndpoint, error) {
	if err := a.may(c.Actor, WriteWebhooks); err != nil {
		return WebhookEndpoint{}, err
	}
	return onWebhookEndpoint(ctx, a, c, in.WebhookEndpoint, WebhookDeliveryID{}, in.Precondition, func(tx Tx,
		f LockedWebhookEndpoint,
	) (WebhookEndpoint, error) {
		if in.Version == nil && in.IfMatch == nil {
			return WebhookEndpoint{}, fault.New(fault.KindPreconditionMissing, "version-required",
				"Send the version you read, as the member version or as If-Match.")
		}
		e := f.WebhookEndpoint
		if in.URL != nil {
			e.URL = *in.URL
		}
		if in.Description != nil {
			e.Description = *in.Description
		}
		if in.Types != nil {
			e.Types = sortedTypes(*in.Types)
		}
		if faults := a.checkWebhookEndpoint(e); len(faults) > 0 {
			return WebhookEndpoint{}, fault.Violated(faults)
		}
		switch {
		case in.Enabled == nil:
		case *in.Enabled && e.State != WebhookEndpointActive:
			e = e.moved(WebhookEndpointActive, "", tx.Now())
			tx.ReleaseWebhookDeliveries(e.ID)
		case !*in.Enabled && e.State != WebhookEndpointDisabled:
			e = e.moved(WebhookEndpointDisabled, WebhookEndpointByHand, tx.Now())
			tx.HoldWebhookDeliveries(e.ID)
		}
		if same(e, f.WebhookEndpoint) {
			return e, nil
		}
		e.Version, e.UpdatedAt = f.WebhookEndpoint.Version+1, tx.Now()
		tx.PutWebhookEndpoint(e)
		return e, nil
	})
}

// moved is the endpoint in another state, with a clean record.
func (e WebhookEndpoint) moved(to WebhookEndpointState, why WebhookEndpointReason, now time.Time) WebhookEndpoint {
	e.State, e.Why, e.Since = to, why, now
	e.Failures, e.RestingUntil = 0, time.Time{}
	return e
}

func same(a, b WebhookEndpoint) bool {
	return a.URL == b.URL && a.Description == b.Description && a.State == b.State && slices.Equal(a.Types, b.Types)
}

// DeleteWebhookEndpoint ends an endpoint for good, and its secrets with it: what is pending never goes. Its
// delivery log is kept, and no longer shown.
func (a *App) DeleteWebhookEndpoint(
	ctx context.Context, c Caller, e WebhookEndpointID, pre Precondition,
) (WebhookEndpoint, error) {
	return onWebhookEndpoint(ctx, a, c, e, WebhookDeliveryID{}, pre, func(tx Tx,
		f LockedWebhookEndpoint,
	) (WebhookEndpoint, error) {
		e := f.WebhookEndpoint.moved(WebhookEndpointDisabled, WebhookEndpointByHand, tx.Now())
		e.Version, e.UpdatedAt, e.DeletedAt, e.Secrets = e.Version+1, tx.Now(), tx.Now(), nil
		tx.PutWebhookEndpoint(e)
		tx.DropSecrets(e.ID)
		tx.DropWebhookDeliveries(e.ID)
		return e, nil
	})
}
