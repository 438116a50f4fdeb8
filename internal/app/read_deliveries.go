package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/order"
)

// Deliveries lists the mails of an order's items, newest first: when each went out, and whether its
// one-time passphrase was not shown yet. The passphrases themselves are ShowPassphrase's matter.
func (a *App) Deliveries(ctx context.Context, c Caller, o order.ID) ([]Delivery, error) {
	if _, err := a.Order(ctx, c, o); err != nil {
		return nil, err
	}
	return a.Store.Deliveries(ctx, c.Tenant, o)
}
