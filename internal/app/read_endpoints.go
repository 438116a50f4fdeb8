package app

import "context"

// Endpoints lists a tenant's webhooks, the oldest first: there are at most twenty.
func (a *App) Endpoints(ctx context.Context, c Caller) ([]Endpoint, error) {
	if err := a.may(c.Actor, ReadWebhooks); err != nil {
		return nil, err
	}
	return a.Store.Endpoints(ctx, c.Tenant)
}

// Endpoint reads one.
func (a *App) Endpoint(ctx context.Context, c Caller, e EndpointID) (Endpoint, error) {
	if err := a.may(c.Actor, ReadWebhooks); err != nil {
		return Endpoint{}, err
	}
	return a.Store.Endpoint(ctx, c.Tenant, e)
}

// Postings lists the deliveries of a webhook, the newest first.
func (a *App) Postings(ctx context.Context, c Caller, e EndpointID, f PostingFilter) (Page[Posting], error) {
	if err := a.may(c.Actor, ReadWebhooks); err != nil {
		return Page[Posting]{}, err
	}
	return a.Store.Postings(ctx, c.Tenant, e, f)
}

// Posting reads one delivery with its log of calls.
func (a *App) Posting(ctx context.Context, c Caller, e EndpointID, p PostingID) (Posting, error) {
	if err := a.may(c.Actor, ReadWebhooks); err != nil {
		return Posting{}, err
	}
	return a.Store.Posting(ctx, c.Tenant, e, p)
}
