package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/order"
)

// Deliveries lists the mails of an order's items, newest first, each with whether its one-time passphrase is still to
// be shown. ShowPassphrase returns the passphrase.
func (a *App) Deliveries(ctx context.Context, c Caller, o order.ID) ([]Delivery, error) {
	if _, err := a.Order(ctx, c, o); err != nil {
		return nil, err
	}
	return a.Store.Deliveries(ctx, c.Tenant, o)
}
