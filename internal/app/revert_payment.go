package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/fault"
)

// RevertPayment reverts a confirmed payment. It is possible only before provisioning starts (D12). The validation task
// is closed in the same transaction, so a worker that is running it gets ErrFenced.
func (a *App) RevertPayment(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error) {
	if err := a.may(c.Actor, RevertMoney); err != nil {
		return nil, err
	}
	if in.Reason == "" {
		return nil, fault.Violated([]fault.Violation{
			{Pointer: "/reason", Code: "required", Message: "Say why: the reason is kept with the payment's history."},
		})
	}
	return a.onOrderWithReason(ctx, c, RevertMoney, in, func(tx Tx, agg *Aggregate) (bool, error) {
		if err := agg.Order.Revert(in.Reason); err != nil {
			return false, err
		}
		expires := tx.Now().AddDate(0, 0, agg.Settings.PaymentDueDays)
		agg.Order.ExpiresAt = &expires
		return true, nil
	})
}
