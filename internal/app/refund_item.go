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
func (a *App) RefundItem(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (wait time.Duration, err error) {
	return a.single(ctx, t, unit, a.refund)
}

func (a *App) refund(ctx context.Context, d *Dossier, u *fulfil.Unit) (fulfil.Result, apply) {
	r := refundOf(d.Order, u)
	if r == nil || r.State.Accepted() {
		return fulfil.Result{Class: fault.None, Note: "nothing to refund"}, nothing
	}
	pay := paymentOf(d.Order, r.Payment)
	if pay == nil {
		return fulfil.Result{Class: fault.Invalid, Note: "the payment is not there"}, nothing
	}
	p, ok := a.Payments[pay.Provider]
	if !ok {
		return fulfil.Result{Class: fault.Parked, After: time.Minute, Note: "payment provider " + pay.Provider + " is not configured here"}, nothing
	}
	receipt, err := p.Refund(ctx, payment.Refund{Key: r.Payment.String() + "/" + r.Item.String(), Payment: pay.Reference, Amount: r.Cents, Currency: r.Currency, Reason: "order " + d.Order.Number})
	res := paymentResult(err, "refund accepted")
	return res, func(tx Tx, d *Dossier, u *fulfil.Unit, m fulfil.Move) error {
		r := refundOf(d.Order, u)
		if r == nil {
			return fmt.Errorf("unit %s has no refund", u.ID)
		}
		switch {
		case m.Done:
			d.Order.MoveRefund(r, order.RefundAccepted, receipt.Reference, tx.Now(), "")
			if receipt.Completed {
				d.Order.MoveRefund(r, order.RefundCompleted, "", tx.Now(), "")
			}
		case m.Dead:
			d.Order.MoveRefund(r, order.RefundStuck, "", tx.Now(), m.Result.Note)
			d.Added.DeadLetters = append(d.Added.DeadLetters, a.letter(d, *u, m, tx.Now(), "refund"))
		}
		return nil
	}
}

func refundOf(o *order.Order, u *fulfil.Unit) *order.Refund {
	for i := range o.Refunds {
		if o.Refunds[i].Item == u.Item && o.Refunds[i].Payment == u.Payment {
			return &o.Refunds[i]
		}
	}
	return nil
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
		return fulfil.Result{Class: e.Class, After: e.After, Code: e.Code, Note: "the payment provider answered: " + e.Class.String() + " (" + e.Code + ")"}
	}
	return fulfil.Result{Class: fault.Ambiguous, Note: "the payment provider did not answer"}
}

// apply writes what a single call's result means for the order.
type apply func(tx Tx, d *Dossier, u *fulfil.Unit, m fulfil.Move) error

func nothing(Tx, *Dossier, *fulfil.Unit, fulfil.Move) error { return nil }

// callTime bounds a call of a single-call unit.
const callTime = 10 * time.Second

// single carries a unit of one call: the intent, the call, the result. The call carries its own key,
// so that it may be repeated after a crash or a lost answer.
func (a *App) single(ctx context.Context, t tenant.ID, unit fulfil.UnitID, do func(context.Context, *Dossier, *fulfil.Unit) (fulfil.Result, apply)) (time.Duration, error) {
	d, u, err := a.load(ctx, t, unit)
	if err != nil || u == nil || !u.Live() {
		return -1, err
	}
	now := a.Clock.Now()
	if wait := u.NextAt.Sub(now); wait > 0 {
		return wait, nil
	}
	intent := *u
	intent.Epoch, intent.Sent = u.Epoch+1, true
	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if d, err = a.commit(ctx, *u, fulfil.Move{Unit: intent, Result: fulfil.Result{At: now}}, func(Tx, *Dossier, *fulfil.Unit) error { return nil }); err != nil {
		return 0, err
	}
	u = d.Unit(unit)
	u.Speed = a.Clock.Speed()
	res, write := do(callCtx, d, u)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	res.At = a.Clock.Now()
	res.Took = res.At.Sub(now)
	m := fulfil.Once(*u, res)
	if _, err = a.commit(ctx, *u, m, func(tx Tx, d *Dossier, u *fulfil.Unit) error { return write(tx, d, u, m) }); err != nil {
		return 0, err
	}
	if !m.Unit.Live() {
		return -1, nil
	}
	return max(0, m.Unit.NextAt.Sub(a.Clock.Now())), nil
}
