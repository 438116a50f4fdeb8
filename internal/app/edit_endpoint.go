package app

import (
	"context"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
)

// EditEndpoint changes what is not nil.
type EditEndpoint struct {
	Endpoint    EndpointID
	URL         *string
	Description *string
	Types       *[]event.Type
	Enabled     *bool // true: active again, whatever stopped it
	Precondition
}

// onEndpoint is the shape of the verbs on an endpoint: permission, lock, version, then the change.
func onEndpoint[R any](ctx context.Context, a *App, c Caller, e EndpointID, also PostingID, pre Precondition, change func(tx Tx, f EndpointFile) (R, error)) (R, error) {
	var none R
	if err := a.may(c.Actor, WriteWebhooks); err != nil {
		return none, err
	}
	return write(ctx, a, c, func(tx Tx) (R, error) {
		f, err := tx.LockEndpoint(ctx, e, also)
		if err != nil {
			return none, err
		}
		if err := c.keyDemanded(f.Settings); err != nil {
			return none, err
		}
		if err := pre.check(f.Endpoint.Version); err != nil {
			return none, err
		}
		return change(tx, f)
	})
}

// EditEndpoint changes an endpoint. Enabled takes it back into service from failing too: what waited
// goes at once.
func (a *App) EditEndpoint(ctx context.Context, c Caller, in EditEndpoint) (Endpoint, error) {
	if err := a.may(c.Actor, WriteWebhooks); err != nil {
		return Endpoint{}, err
	}
	return onEndpoint(ctx, a, c, in.Endpoint, PostingID{}, in.Precondition, func(tx Tx, f EndpointFile) (Endpoint, error) {
		if in.Version == nil && in.IfMatch == nil {
			return Endpoint{}, fault.New(fault.KindPreconditionMissing, "version-required", "Send the version you read, as the member version or as If-Match.")
		}
		e := f.Endpoint
		if in.URL != nil {
			e.URL = *in.URL
		}
		if in.Description != nil {
			e.Description = *in.Description
		}
		if in.Types != nil {
			e.Types = sortedTypes(*in.Types)
		}
		if faults := a.checkEndpoint(e); len(faults) > 0 {
			return Endpoint{}, fault.Violated(faults)
		}
		switch {
		case in.Enabled == nil:
		case *in.Enabled && e.State != EndpointActive:
			e = e.moved(EndpointActive, "", tx.Now())
			tx.ReleasePostings(e.ID)
		case !*in.Enabled && e.State != EndpointDisabled:
			e = e.moved(EndpointDisabled, EndpointByHand, tx.Now())
			tx.HoldPostings(e.ID)
		}
		if same(e, f.Endpoint) {
			return e, nil
		}
		e.Version, e.UpdatedAt = f.Endpoint.Version+1, tx.Now()
		tx.PutEndpoint(e)
		return e, nil
	})
}

// moved is the endpoint in another state, with a clean record.
func (e Endpoint) moved(to EndpointState, why EndpointReason, now time.Time) Endpoint {
	e.State, e.Why, e.Since = to, why, now
	e.Failures, e.RestingUntil = 0, time.Time{}
	return e
}

func same(a, b Endpoint) bool {
	return a.URL == b.URL && a.Description == b.Description && a.State == b.State && slices.Equal(a.Types, b.Types)
}

// DeleteEndpoint ends an endpoint for good, and its secrets with it: what is pending never goes. Its
// delivery log is kept, and no longer shown.
func (a *App) DeleteEndpoint(ctx context.Context, c Caller, e EndpointID, pre Precondition) (Endpoint, error) {
	return onEndpoint(ctx, a, c, e, PostingID{}, pre, func(tx Tx, f EndpointFile) (Endpoint, error) {
		e := f.Endpoint.moved(EndpointDisabled, EndpointByHand, tx.Now())
		e.Version, e.UpdatedAt, e.DeletedAt, e.Secrets = e.Version+1, tx.Now(), tx.Now(), nil
		tx.PutEndpoint(e)
		tx.DropSecrets(e.ID)
		tx.DropPostings(e.ID)
		return e, nil
	})
}
