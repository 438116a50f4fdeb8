package app

import (
	"context"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
)

// EditWebhookEndpoint describes a change to an endpoint. A nil field stays as it is.
type EditWebhookEndpoint struct {
	WebhookEndpoint WebhookEndpointID
	URL             *string
	Description     *string
	Types           *[]event.Type
	Enabled         *bool // true makes it active again, whatever disabled it
	Precondition
}

// onWebhookEndpoint runs a use case that changes an endpoint: it checks the permission, locks the endpoint, checks
// the version and calls change.
func onWebhookEndpoint[R any](
	ctx context.Context, a *App, c Caller, e WebhookEndpointID, also WebhookDeliveryID, pre Precondition,
	change func(tx Tx, locked LockedWebhookEndpoint) (R, error),
) (R, error) {
	var none R
	if err := a.may(c.Actor, WriteWebhooks); err != nil {
		return none, err
	}
	return write(ctx, a, c, func(tx Tx) (R, error) {
		locked, err := tx.LockWebhookEndpoint(ctx, e, also)
		if err != nil {
			return none, err
		}
		if err := c.requireKey(locked.Settings); err != nil {
			return none, err
		}
		if err := pre.check(locked.WebhookEndpoint.Version); err != nil {
			return none, err
		}
		return change(tx, locked)
	})
}

// EditWebhookEndpoint changes an endpoint. Enabled also ends the state failing; waiting deliveries are then due at
// once.
func (a *App) EditWebhookEndpoint(ctx context.Context, c Caller, in EditWebhookEndpoint) (WebhookEndpoint, error) {
	if err := a.may(c.Actor, WriteWebhooks); err != nil {
		return WebhookEndpoint{}, err
	}
	change := func(tx Tx, locked LockedWebhookEndpoint) (WebhookEndpoint, error) {
		if in.Version == nil && in.IfMatch == nil {
			return WebhookEndpoint{}, fault.New(fault.KindPreconditionMissing, "version-required",
				"Send the version you read, as the member version or as If-Match.")
		}
		e := locked.WebhookEndpoint
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
			e = e.inState(WebhookEndpointActive, "", tx.Now())
			tx.ReleaseWebhookDeliveries(e.ID)
		case !*in.Enabled && e.State != WebhookEndpointDisabled:
			e = e.inState(WebhookEndpointDisabled, WebhookEndpointByHand, tx.Now())
			tx.HoldWebhookDeliveries(e.ID)
		}
		if sameWebhookEndpoint(e, locked.WebhookEndpoint) {
			return e, nil
		}
		e.Version, e.UpdatedAt = locked.WebhookEndpoint.Version+1, tx.Now()
		tx.PutWebhookEndpoint(e)
		return e, nil
	}
	return onWebhookEndpoint(ctx, a, c, in.WebhookEndpoint, WebhookDeliveryID{}, in.Precondition, change)
}

// inState returns the endpoint in another state, without failures.
func (e WebhookEndpoint) inState(to WebhookEndpointState, why WebhookEndpointReason, now time.Time) WebhookEndpoint {
	e.State, e.Why, e.Since = to, why, now
	e.Failures, e.RestingUntil = 0, time.Time{}
	return e
}

func sameWebhookEndpoint(a, b WebhookEndpoint) bool {
	return a.URL == b.URL && a.Description == b.Description && a.State == b.State && slices.Equal(a.Types, b.Types)
}

// DeleteWebhookEndpoint deletes an endpoint with its secrets and drops its pending deliveries. Its delivery log is
// kept but no longer shown.
func (a *App) DeleteWebhookEndpoint(
	ctx context.Context, c Caller, e WebhookEndpointID, pre Precondition,
) (WebhookEndpoint, error) {
	change := func(tx Tx, locked LockedWebhookEndpoint) (WebhookEndpoint, error) {
		e := locked.WebhookEndpoint.inState(WebhookEndpointDisabled, WebhookEndpointByHand, tx.Now())
		e.Version, e.UpdatedAt, e.DeletedAt, e.Secrets = e.Version+1, tx.Now(), tx.Now(), nil
		tx.PutWebhookEndpoint(e)
		tx.DropSecrets(e.ID)
		tx.DropWebhookDeliveries(e.ID)
		return e, nil
	}
	return onWebhookEndpoint(ctx, a, c, e, WebhookDeliveryID{}, pre, change)
}
