package app

import "context"

// WebhookEndpoints lists a tenant's endpoints, oldest first. There are at most twenty.
func (a *App) WebhookEndpoints(ctx context.Context, c Caller) ([]WebhookEndpoint, error) {
	if err := a.may(c.Actor, ReadWebhooks); err != nil {
		return nil, err
	}
	return a.Store.WebhookEndpoints(ctx, c.Tenant)
}

// WebhookEndpoint returns an endpoint.
func (a *App) WebhookEndpoint(ctx context.Context, c Caller, e WebhookEndpointID) (WebhookEndpoint, error) {
	if err := a.may(c.Actor, ReadWebhooks); err != nil {
		return WebhookEndpoint{}, err
	}
	return a.Store.WebhookEndpoint(ctx, c.Tenant, e)
}

// WebhookDeliveries lists the deliveries of an endpoint, newest first.
func (a *App) WebhookDeliveries(
	ctx context.Context, c Caller, e WebhookEndpointID, f WebhookDeliveryFilter,
) (Page[WebhookDelivery], error) {
	if err := a.may(c.Actor, ReadWebhooks); err != nil {
		return Page[WebhookDelivery]{}, err
	}
	return a.Store.WebhookDeliveries(ctx, c.Tenant, e, f)
}

// WebhookDelivery returns a delivery with its log of calls.
func (a *App) WebhookDelivery(
	ctx context.Context, c Caller, e WebhookEndpointID, delivery WebhookDeliveryID,
) (WebhookDelivery, error) {
	if err := a.may(c.Actor, ReadWebhooks); err != nil {
		return WebhookDelivery{}, err
	}
	return a.Store.WebhookDelivery(ctx, c.Tenant, e, delivery)
}
