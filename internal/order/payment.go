package order

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
)

// PaymentID names a recorded payment, RefundID a refund.
type (
	PaymentID = id.Of[Payment]
	RefundID  = id.Of[Refund]
)

// PaymentState is the state of a payment. Nothing else of a recorded payment ever changes (D12).
type PaymentState uint8

// The states of a payment.
const (
	PaymentLive     PaymentState = 1
	PaymentReverted PaymentState = 2 // reverted by an operator before provisioning; counts neither as paid nor as refunded
	PaymentSpent    PaymentState = 3 // refunded in full, from before a cancelled order was restored (D8)
)

// String returns the name used in the API.
func (s PaymentState) String() string { return [...]string{"", "confirmed", "reverted", "refunded"}[s] }

// Payment is money that was received for an order. Reference, amount and time are permanent (D12).
type Payment struct {
	ID          PaymentID
	State       PaymentState
	Provider    string // the name of the payment provider
	Reference   string // the provider's, unique per tenant and provider
	Method      string // bank_transfer, card, …
	Due, Paid   money.Cents
	Currency    money.Currency
	PaidAt      time.Time
	Allocations []Allocation // sum = Paid, to the cent (D11)
}

// Allocation is the share of a payment that belongs to an item. The item's refund is exactly this amount.
type Allocation struct {
	Item  ItemID
	Cents money.Cents
}

// Of returns an item's share of the payment, 0 if it has none.
func (p *Payment) ShareOf(it ItemID) money.Cents {
	for _, a := range p.Allocations {
		if a.Item == it {
			return a.Cents
		}
	}
	return 0
}

// RefundState is the state of one item's refund.
type RefundState uint8

// The states of a refund.
const (
	RefundRequested RefundState = 1 // open: the Billing consumer or the sweeper will ask the payment provider
	RefundAccepted  RefundState = 2 // the payment provider took it over; one by hand is a work item (D4)
	RefundCompleted RefundState = 3 // the customer has the money
	RefundStuck     RefundState = 4 // out of retries, refused or bounced; needs a person
)

// String returns the name used in the API.
func (s RefundState) String() string {
	return [...]string{"", "requested", "accepted", "completed", "stuck"}[s]
}

// Accepted reports whether the payment provider has taken the refund over.
func (s RefundState) Accepted() bool { return s == RefundAccepted || s == RefundCompleted }

// Refund is the refund of one item's allocation of one payment. Each pair has at most one (D11).
type Refund struct {
	ID         RefundID
	Payment    PaymentID
	Item       ItemID
	State      RefundState
	Reference  string // the payment provider's, once accepted
	Cents      money.Cents
	Currency   money.Currency
	AcceptedAt *time.Time
}

// Pay records a confirmed payment. The amount must be within one euro of what is due, converted with the
// order's stored rate. The order's total stays as it is; the amount that was paid is kept and allocated to the
// items by largest remainder (D11). Pay does not move the order: Confirm does.
func (o *Order) Pay(p Payment) (*Payment, error) {
	if p.Currency != o.Currency {
		return nil, fault.Violated([]fault.Violation{
			{
				Pointer: "/amount/currency", Code: "currency-mismatch", Message: "The order is in " + string(o.Currency) + ".",
				Allowed: []any{string(o.Currency)},
			},
		})
	}
	if !money.Within(p.Paid, o.Due, o.Tolerance()) {
		e := fault.New(fault.KindInvalid, "payment-amount-mismatch",
			"The order asks for %s %s; the payment is %s %s. Up to one euro of difference is accepted.",
			money.Format(o.Due, o.Currency), o.Currency, money.Format(p.Paid, p.Currency), p.Currency)
		e.Members = map[string]any{
			"expected": map[string]string{"amount": money.Format(o.Due, o.Currency), "currency": string(o.Currency)},
			"received": map[string]string{"amount": money.Format(p.Paid, p.Currency), "currency": string(p.Currency)},
		}
		return nil, e
	}
	p.State, p.Due = PaymentLive, o.Due
	weights := make([]money.Cents, len(o.Items))
	for i := range o.Items {
		weights[i] = o.Items[i].Price
	}
	for i, c := range money.Allocate(p.Paid, weights) {
		p.Allocations = append(p.Allocations, Allocation{Item: o.Items[i].ID, Cents: c})
	}
	o.Payments = append(o.Payments, p)
	return &o.Payments[len(o.Payments)-1], nil
}

// Confirm moves the order by a payment that Pay recorded, and records the event with that payment.
func (o *Order) Confirm(p *Payment) error {
	t, err := Next(o, ConfirmPayment)
	if err != nil {
		return err
	}
	from := o.State
	o.State = t.To
	copied := *p
	o.Record(Event{Type: t.Emits, From: from, Payment: &copied})
	return nil
}

// Revert reverts the live payment and records the event with it. The order then waits for a payment again
// (D12). Only the state of the payment changes.
func (o *Order) Revert(reason string) error {
	t, err := Next(o, RevertPayment)
	if err != nil {
		return err
	}
	from := o.State
	o.State, o.HeldAt = t.To, nil
	p := o.LivePayment()
	if p == nil {
		return fault.New(fault.KindConflict, "no-payment", "There is no payment to revert.")
	}
	p.State = PaymentReverted
	copied := *p
	o.Record(Event{Type: t.Emits, From: from, Payment: &copied, Reason: reason})
	return nil
}

// LivePayment returns the payment that counts for the order now, or nil.
func (o *Order) LivePayment() *Payment {
	for i := range o.Payments {
		if o.Payments[i].State == PaymentLive {
			return &o.Payments[i]
		}
	}
	return nil
}

// RefundOf returns the refund of an item's share of the live payment, or nil.
func (o *Order) RefundOf(it ItemID) *Refund {
	p := o.LivePayment()
	if p == nil {
		return nil
	}
	return o.RefundUnder(p.ID, it)
}

// RefundUnder returns the refund of an item's share of a payment, live or not, or nil.
func (o *Order) RefundUnder(p PaymentID, it ItemID) *Refund {
	for i := range o.Refunds {
		if o.Refunds[i].Payment == p && o.Refunds[i].Item == it {
			return &o.Refunds[i]
		}
	}
	return nil
}
