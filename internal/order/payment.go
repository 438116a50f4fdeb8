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

// PaymentState is all of a recorded payment that may ever change (D12).
type PaymentState uint8

// The states of a payment.
const (
	PaymentLive     PaymentState = 1
	PaymentReverted PaymentState = 2 // set aside by an operator before provisioning; counts on neither side
	PaymentSpent    PaymentState = 3 // refunded in full, of a cancelled order that was restored (D8)
)

// String is the name used in the API.
func (s PaymentState) String() string { return [...]string{"", "confirmed", "reverted", "refunded"}[s] }

// Payment is money that came in for an order. Reference, amount and time are permanent (D12).
type Payment struct {
	ID          PaymentID
	State       PaymentState
	Provider    string // manual, demo, …
	Reference   string // the provider's, unique per tenant and provider
	Method      string // bank_transfer, card, …
	Due, Paid   money.Cents
	Currency    money.Currency
	PaidAt      time.Time
	Allocations []Allocation // sum = Paid, to the cent (D11)
}

// Allocation is the share of a payment that belongs to an item; a refund of the item is exactly it.
type Allocation struct {
	Item  ItemID
	Cents money.Cents
}

// Of an item: its share, 0 when it has none.
func (p *Payment) Of(it ItemID) money.Cents {
	for _, a := range p.Allocations {
		if a.Item == it {
			return a.Cents
		}
	}
	return 0
}

// RefundState of one item's refund.
type RefundState uint8

// The states of a refund.
const (
	RefundRequested RefundState = 1 // open: the Billing consumer or the sweeper will ask the payment provider
	RefundAccepted  RefundState = 2 // the payment provider took it over; manual opens a work item (D4)
	RefundCompleted RefundState = 3 // the money is back
	RefundStuck     RefundState = 4 // ran out of retries, refused, or bounced: needs a person
)

// String is the name used in the API.
func (s RefundState) String() string {
	return [...]string{"", "requested", "accepted", "completed", "stuck"}[s]
}

// Accepted reports whether the payment provider has taken the refund over.
func (s RefundState) Accepted() bool { return s == RefundAccepted || s == RefundCompleted }

// Refund of one item's allocation of one payment; there is at most one of each pair (D11).
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

// Pay records a confirmed payment: the amount must be within one euro of what is due, converted with
// the order's stored rate; our total stands, the real amount is kept and allocated to the items by
// largest remainder (D11). It does not move the order: Fire(ConfirmPayment) does.
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

// Confirm moves the order by a payment that Pay recorded, and records the event with it.
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

// Revert sets the live payment aside and records the event with it; the order waits for money again
// (D12). What was recorded of the payment stays as it is but for its state.
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

// LivePayment is the payment that stands for the order now, or nil.
func (o *Order) LivePayment() *Payment {
	for i := range o.Payments {
		if o.Payments[i].State == PaymentLive {
			return &o.Payments[i]
		}
	}
	return nil
}

// RefundOf finds the refund of an item under the live payment, or nil.
func (o *Order) RefundOf(it ItemID) *Refund {
	p := o.LivePayment()
	if p == nil {
		return nil
	}
	return o.RefundUnder(p.ID, it)
}

// RefundUnder finds the refund of an item's share of a payment, live or not, or nil.
func (o *Order) RefundUnder(p PaymentID, it ItemID) *Refund {
	for i := range o.Refunds {
		if o.Refunds[i].Payment == p && o.Refunds[i].Item == it {
			return &o.Refunds[i]
		}
	}
	return nil
}
