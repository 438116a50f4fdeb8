package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/fault"
)

// RevertPayment takes a confirmation back, before provisioning starts and never after (D12). The
// validation to come is closed in the same transaction: whoever is in the middle of it loses its fence.
func (a *App) RevertPayment(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	if err := a.may(c.Actor, RevertMoney); err != nil {
		return nil, err
	}
	if in.Reason == "" {
		return nil, fault.Violated([]fault.Violation{
			{Pointer: "/reason", Code: "required", Message: "Say why: the reason is kept with the payment's history."},
		})
	}
	return a.reasoned(ctx, c, RevertMoney, in, func(tx Tx, agg *Aggregate) (bool, error) {
		if err := agg.Order.Revert(in.Reason); err != nil {
			return false, err
		}
		expires := tx.Now().AddDate(0, 0, agg.Settings.PaymentDueDays)
		agg.Order.ExpiresAt = &expires
		return true, nil
	})
}
