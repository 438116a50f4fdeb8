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

// RefundItem refunds an item's allocation exactly, and once: the key is (payment, item), so a call whose answer was
// lost is safe to repeat. An accepted refund is enough for the order to end (D4). A refund that cannot be made gets
// stuck and goes to the fallout desk; the removal of the item's resources continues beside it.
func (a *App) RefundItem(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	return a.runSingleCall(ctx, t, taskID, a.refund)
}

func (a *App) refund(ctx context.Context, agg *Aggregate, task *fulfil.Task) (fulfil.Result, resultWriter) {
	r := agg.Order.RefundUnder(task.Payment, task.Item)
	if r == nil || r.State.Accepted() {
		return fulfil.Result{Class: fault.None, Note: "nothing to refund"}, writeNothing
	}
	pay := paymentOf(agg.Order, r.Payment)
	if pay == nil {
		return fulfil.Result{Class: fault.Invalid, Note: "the payment is not there"}, writeNothing
	}
	p, ok := a.Payments[pay.Provider]
	if !ok {
		return fulfil.Result{
			Class: fault.Suspended, After: time.Minute, Note: "payment provider " + pay.Provider + " is not configured here",
		}, writeNothing
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
			agg.addDeadLetter(a.newDeadLetter(agg, *task, m, tx.Now()))
		}
		return nil
	}
}

// paymentOf returns a payment of the order, or nil.
func paymentOf(o *order.Order, p order.PaymentID) *order.Payment {
	for i := range o.Payments {
		if o.Payments[i].ID == p {
			return &o.Payments[i]
		}
	}
	return nil
}

// paymentResult returns the result for a payment provider's answer; ok is the note when there is no error. An error
// without a class means that the answer was lost.
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
