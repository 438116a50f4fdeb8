package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
)

// WorkItems lists the refunds that an operator must transfer by hand.
func (a *App) WorkItems(ctx context.Context, c Caller, cursor string, limit int) (Page[WorkItem], error) {
	if err := a.may(c.Actor, ReadDesk); err != nil {
		return Page[WorkItem]{}, err
	}
	var byHand []string
	for name := range a.Payments {
		if a.refundedByHand(name) {
			byHand = append(byHand, name)
		}
	}
	return a.Store.WorkItems(ctx, c.Tenant, byHand, cursor, limit)
}

// refundedByHand reports whether a person transfers the refunds of a payment provider. It is false for a provider
// that is not configured here.
func (a *App) refundedByHand(provider string) bool {
	p, ok := a.Payments[provider]
	return ok && p.Properties().RefundedBy == payment.Operator
}

// FinishWorkItem records that a refund was transferred by hand. A second time changes nothing. It refuses the refund of
// a payment provider that moves the money itself (D12, D28).
func (a *App) FinishWorkItem(
	ctx context.Context, c Caller, r order.RefundID, o order.ID, reason string,
) (*Aggregate, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return nil, err
	}
	if faults := textFaults("/reason", reason, maxReason); len(faults) > 0 {
		return nil, fault.Violated(faults)
	}
	return a.onOrder(ctx, c, WorkDesk, o, Precondition{}, Also{}, func(tx Tx, agg *Aggregate) (bool, error) {
		for i := range agg.Order.Refunds {
			ref := &agg.Order.Refunds[i]
			if ref.ID != r {
				continue
			}
			if pay := paymentOf(agg.Order, ref.Payment); pay == nil || !a.refundedByHand(pay.Provider) {
				return false, fault.New(fault.KindConflict, "not-by-hand",
					"The money of this refund is not moved by hand: its payment provider sends it back and says so.")
			}
			if ref.State == order.RefundCompleted {
				return false, nil
			}
			if ref.State != order.RefundAccepted {
				return false, fault.New(fault.KindConflict, fault.CodeIllegalTransition,
					"This refund is %s; only an accepted one can be marked done.", ref.State)
			}
			agg.Order.MoveRefund(ref, order.RefundCompleted, "", tx.Now(), reason)
			return true, nil
		}
		return false, fault.Absent()
	})
}
