package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// RefundItem gives an item's allocation back, exactly and once: its key is (payment, item), so a lost
// answer is asked again without harm. Accepted is enough for the order to end (D4). A refund that
// cannot be made is stuck and stands on the fallout desk; the clean-up goes on beside it.
func (a *App) RefundItem(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	return a.single(ctx, t, taskID, a.refund)
}

func (a *App) refund(ctx context.Context, agg *Aggregate, task *fulfil.Task) (fulfil.Result, apply) {
	r := agg.Order.RefundUnder(task.Payment, task.Item)
	if r == nil || r.State.Accepted() {
		return fulfil.Result{Class: fault.None, Note: "nothing to refund"}, noEffect
	}
	pay := paymentOf(agg.Order, r.Payment)
	if pay == nil {
		return fulfil.Result{Class: fault.Invalid, Note: "the payment is not there"}, noEffect
	}
	p, ok := a.Payments[pay.Provider]
	if !ok {
		return fulfil.Result{
			Class: fault.Suspended, After: time.Minute, Note: "payment provider " + pay.Provider + " is not configured here",
		}, noEffect
	}
	receipt, err := p.Refund(ctx, payment.Refund{
		Key: r.Payment.String() + "/" + r.Item.String(), Payment: pay.Reference, Amount: r.Cents, Currency: r.Currency,
		Reason: "order " + agg.Order.Number,
	})
	res := paymentResult(err, "refund accepted")
	return res, func(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error {
		r := agg.Order.RefundUnder(task.Payment, task.Item)
		if r == nil {
			return fmt.Errorf("task %s has no refund", task.ID)
		}
		switch {
		case m.Done:
			agg.Order.MoveRefund(r, order.RefundAccepted, receipt.Reference, tx.Now(), "")
			if receipt.Completed {
				agg.Order.MoveRefund(r, order.RefundCompleted, "", tx.Now(), "")
			}
		case m.Dead:
			agg.Order.MoveRefund(r, order.RefundStuck, "", tx.Now(), m.Result.Note)
			agg.addDeadLetter(a.deadLetter(agg, *task, m, tx.Now()))
		}
		return nil
	}
}

func paymentOf(o *order.Order, p order.PaymentID) *order.Payment {
	for i := range o.Payments {
		if o.Payments[i].ID == p {
			return &o.Payments[i]
		}
	}
	return nil
}

func paymentResult(err error, ok string) fulfil.Result {
	if err == nil {
		return fulfil.Result{Class: fault.None, Note: ok}
	}
	var e *payment.Error
	if errors.As(err, &e) {
		return fulfil.Result{
			Class: e.Class, After: e.After, Code: e.Code,
			Note: "the payment provider answered: " + e.Class.String() + " (" + e.Code + ")",
		}
	}
	return fulfil.Result{Class: fault.Ambiguous, Note: "the payment provider did not answer"}
}
