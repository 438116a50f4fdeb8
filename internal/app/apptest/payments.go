package apptest

import (
	"context"
	"net/http"

	"github.com/platforma-cloud/orders/internal/payment"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// Pay pays an order and confirms the payment. It panics when that is illegal. Call it within Change.
func (f *Fake) Pay(o *order.Order, reference string, paid money.Cents, method string) {
	if _, err := o.Pay(order.Payment{
		ID: f.NewID(), Provider: payment.DefaultMethod, Reference: reference, Method: method, Paid: paid,
		Currency: o.Currency, PaidAt: f.Now(),
	}); err != nil {
		panic(err)
	}
	MustFire(o, order.ConfirmPayment)
}

// ConfirmPayment records a payment.
func (f *Fake) ConfirmPayment(_ context.Context, c app.Caller, in app.ConfirmPayment) (*app.Aggregate, error) {
	return f.change("ConfirmPayment", c, in, app.ConfirmMoney, in.Order, in.Precondition, func(entry *orderEntry) error {
		cents, err := money.ParseDecimal(in.Amount.Amount, in.Amount.Currency)
		if err != nil {
			return fault.Violated([]fault.Violation{
				{Pointer: "/amount/amount", Code: "not-an-amount", Message: "Write the amount as a decimal, such as 20.10."},
			})
		}
		if _, err := entry.agg.Order.Pay(order.Payment{
			ID: f.NewID(), Provider: payment.DefaultMethod, Reference: in.Reference, Method: in.Method, Paid: cents,
			Currency: in.Amount.Currency, PaidAt: in.PaidAt,
		}); err != nil {
			return err
		}
		_, err = entry.agg.Order.Fire(order.ConfirmPayment, "")
		return err
	})
}

// PaymentMethods returns one method that an operator confirms and one that a gateway confirms.
func (f *Fake) PaymentMethods() []payment.Method {
	methods, _ := answer(f, "PaymentMethods", func() ([]payment.Method, error) {
		return []payment.Method{
			{Name: payment.DefaultMethod, Properties: payment.Properties{
				ConfirmedBy: payment.Operator, RefundedBy: payment.Operator, Label: "Bank transfer, confirmed by an operator",
			}},
			{Name: "demo", Properties: payment.Properties{
				ConfirmedBy: payment.Gateway, RefundedBy: payment.Gateway, Label: "Demo payment, confirms automatically",
			}},
		}, nil
	})
	return methods
}

// RevertPayment reverts the live payment.
func (f *Fake) RevertPayment(_ context.Context, c app.Caller, in app.Reasoned) (*app.Aggregate, error) {
	return f.change("RevertPayment", c, in, app.RevertMoney, in.Order, in.Precondition, func(entry *orderEntry) error {
		if p := entry.agg.Order.LivePayment(); p != nil {
			p.State = order.PaymentReverted
		}
		_, err := entry.agg.Order.Fire(order.RevertPayment, in.Reason)
		return err
	})
}

// ReceivePaymentWebhook accepts every message and does nothing. Its Call.In is "provider:message".
func (f *Fake) ReceivePaymentWebhook(_ context.Context, provider string, _ http.Header, raw []byte) error {
	const name = "ReceivePaymentWebhook"
	_, err := read(f, name, app.Caller{}, provider+":"+string(raw), func() (struct{}, error) { return struct{}{}, nil })
	return err
}
