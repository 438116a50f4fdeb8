package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// ConfirmPayment states that an order was paid.
type ConfirmPayment struct {
	Order order.ID
	Precondition
	Reference string       // of the payment; unique per tenant and payment provider
	Amount    event.Amount // what was actually paid
	PaidAt    time.Time    // zero: now
	Method    string       // bank_transfer, card, …
}

// ConfirmPayment records a payment and moves the order to payment_confirmed. The payment, its allocations, the
// order, the event, its outbox row and the validation task commit together or not at all. The same reference
// again changes nothing. The Provision consumer makes the validation due when it receives the event (D20).
func (a *App) ConfirmPayment(ctx context.Context, c Caller, in ConfirmPayment) (*Aggregate, error) {
	if err := a.may(c.Actor, ConfirmMoney); err != nil {
		return nil, err
	}
	cents, faults := checkPayment(in)
	if len(faults) > 0 {
		return nil, fault.Violated(faults)
	}
	also := Also{PaymentProviders: a.providersFor(c), PaymentReference: in.Reference}
	return a.onOrder(ctx, c, ConfirmMoney, in.Order, in.Precondition, also, func(tx Tx, agg *Aggregate) (bool, error) {
		o := agg.Order
		provider := a.recordedUnder(c, o)
		for _, k := range agg.KnownPayments {
			if k.Provider == provider {
				return false, a.knownReference(o, k)
			}
		}
		if t, err := order.Next(o, order.ConfirmPayment); err != nil || t.How == order.NoOp {
			if err == nil { // already paid, under another reference
				err = o.Refuse(order.ConfirmPayment.String())
			}
			return false, err
		}
		paidAt := in.PaidAt
		if paidAt.IsZero() {
			paidAt = tx.Now()
		}
		if paidAt.After(tx.Now().Add(24 * time.Hour)) {
			return false, fault.Violated([]fault.Violation{
				{Pointer: "/paid_at", Code: "in-the-future", Message: "A payment cannot have happened in the future."},
			})
		}
		pay, err := o.Pay(order.Payment{
			ID: newID[order.Payment](a), Provider: provider, Reference: in.Reference, Method: in.Method, Paid: cents,
			Currency: in.Amount.Currency, PaidAt: paidAt.UTC(),
		})
		if err != nil {
			return false, err
		}
		o.ExpiresAt = nil
		return true, o.Confirm(pay)
	})
}

// providersFor returns the payment providers that a payment which the caller confirms may be recorded under.
func (a *App) providersFor(c Caller) []string {
	if c.Kind == tenant.KindProvider {
		return []string{c.Name}
	}
	names := []string{payment.DefaultMethod}
	for name, p := range a.Payments {
		if name != payment.DefaultMethod && p.Properties().ConfirmedBy == payment.Operator {
			names = append(names, name)
		}
	}
	return names
}

// recordedUnder returns the one of providersFor that a payment of the order is recorded under: the order's own
// method where operators confirm it, else the default, because the money did not pass the gateway.
func (a *App) recordedUnder(c Caller, o *order.Order) string {
	if c.Kind == tenant.KindProvider {
		return c.Name
	}
	if p, ok := a.Payments[o.Method]; ok && p.Properties().ConfirmedBy == payment.Operator {
		return o.Method
	}
	return payment.DefaultMethod
}

// knownReference decides about a reference that was recorded before: it is nil for this order's live payment, and
// a fault otherwise.
func (a *App) knownReference(o *order.Order, k KnownPayment) error {
	if k.Order == o.ID && k.State == order.PaymentLive {
		return nil
	}
	return fault.New(fault.KindConflict, "payment-reference-in-use",
		"This reference was recorded before, for another order or for a payment that was reverted. References are "+
			"permanent; use the one of this payment.")
}

func checkPayment(in ConfirmPayment) (money.Cents, []fault.Violation) {
	faults := append(textFaults("/reference", in.Reference, 128), textFaults("/method", in.Method, 40)...)
	if in.Reference == "" {
		faults = append(faults, fault.Violation{
			Pointer: "/reference", Code: "required", Message: "The payment's reference is needed: it is recorded permanently.",
		})
	}
	cents, err := money.ParseDecimal(in.Amount.Amount, in.Amount.Currency)
	if err != nil || cents < 0 {
		faults = append(faults, fault.Violation{
			Pointer: "/amount/amount", Code: "not-an-amount",
			Message: "Write the amount as a decimal with its currency, such as 20.10 EUR.",
		})
	}
	if !in.PaidAt.IsZero() && in.PaidAt.Before(earliestPayment) {
		faults = append(faults, fault.Violation{
			Pointer: "/paid_at", Code: "too-long-ago", Message: "A payment cannot have been made before 2000.",
		})
	}
	return cents, faults
}

// earliestPayment keeps impossible payment times out of the permanent record.
var earliestPayment = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
