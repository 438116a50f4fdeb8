package app

import (
	"context"
	"errors"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// expiry is the actor that cancels unpaid orders, as their events name it.
const expiry = "expiry"

// ExpireOrders cancels orders that were not paid within payment_due_days. It leaves alone an order that was paid or
// cancelled meanwhile. It returns how many orders were due.
func (a *App) ExpireOrders(ctx context.Context) (int, error) {
	due, err := a.Tasks.ExpiredOrders(ctx, a.Clock.Now(), 100)
	if err != nil {
		return 0, err
	}
	for _, ref := range due {
		c := Caller{Actor: tenant.System(ref.Tenant, expiry)}
		expire := func(tx Tx, agg *Aggregate) (bool, error) {
			if agg.Order.ExpiresAt == nil || agg.Order.ExpiresAt.After(tx.Now()) {
				return false, nil
			}
			return a.cancel(tx, agg, order.Expire, "not paid in time")
		}
		_, err := a.onOrder(ctx, c, WriteOrders, ref.Order, Precondition{}, Also{}, expire)
		if f := fault.Of(err); err != nil && (f == nil || f.Kind != fault.KindConflict) {
			return 0, errors.Join(errors.New("expire order "+ref.Order.String()), err)
		}
	}
	return len(due), nil
}
