// Package payment is the contract with payment providers: ask for a payment, refund one. It knows no gateway
// and no database. A signed webhook or an operator confirms a payment, never the answer to a call of this
// contract.
package payment

import (
	"context"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
)

// Provider is a payment provider. Only workers call it. Each call carries our own key, so that it can be
// repeated.
type Provider interface {
	// Name returns the name that is stored with each payment, so it never changes. Orders choose it as their
	// payment method.
	Name() string
	// Properties returns how this provider differs from others. They never change while a process runs.
	Properties() Properties
	// Checkout asks for the money of a submitted order. It does nothing at a provider whose payments an
	// operator confirms.
	Checkout(ctx context.Context, c Checkout) error
	// Refund returns money. A second call with the same key refunds nothing more.
	Refund(ctx context.Context, r Refund) (Receipt, error)
	// Verify checks the signature of a webhook over its raw bytes and reads it. It returns ErrForged when
	// the signature is wrong. A provider without webhooks always returns ErrForged.
	Verify(h http.Header, raw []byte, now time.Time) (Confirmation, error)
}

// DefaultMethod is the payment method of a tenant whose settings name no other (D28). A payment that an operator
// confirms for an order of a gateway's method is recorded under it, because that money did not pass the gateway.
const DefaultMethod = "manual"

// Properties are all that the product knows about a payment provider besides its name. Nothing else may depend on
// which provider it is.
type Properties struct {
	// ConfirmedBy is who states that the money came in. With Operator, the customer sends it with the order's number
	// as the reference, and Checkout is never called. With Gateway, a worker calls Checkout and the provider's webhook
	// confirms the payment.
	ConfirmedBy Party
	// RefundedBy is who moves a refund's money after Refund accepted it. With Operator, a person transfers it to the
	// account that the payment came from: the refund is a work item on the desk until then (D4). With Gateway, the
	// desk does not list it.
	RefundedBy Party
	// Label says to customers in English how they pay, such as "Bank transfer, confirmed by an operator".
	Label string
}

// Party is who does a part of a payment. The zero value is not valid.
type Party uint8

// The parties.
const (
	Operator Party = iota + 1 // a person at the desk
	Gateway                   // the payment provider itself
)

// Method is a payment method as it is offered to customers: a provider's name and properties.
type Method struct {
	Name string
	Properties
}

// Checkout is a request for money.
type Checkout struct {
	Key       string
	Reference string // our own: the tenant and the order
	Amount    money.Cents
	Currency  money.Currency
}

// Refund is a request to return the amount that was allocated to an item.
type Refund struct {
	Key      string // made of payment and item: it never changes
	Payment  string // the payment's reference at the provider
	Amount   money.Cents
	Currency money.Currency
	Reason   string
}

// Receipt is a provider's answer to a refund that it accepted.
type Receipt struct {
	Reference string
	Completed bool // the money was returned; false: somebody still has to transfer it
}

// Confirmation is the content of a verified webhook.
type Confirmation struct {
	EventID   string // unique for the provider, for ever
	Reference string // our own, from Checkout
	Payment   string // the payment's reference at the provider
	Amount    money.Cents
	Currency  money.Currency
	Method    string
	PaidAt    time.Time
}

// ErrForged is returned for a webhook whose signature is wrong or whose time is off by more than 5 minutes.
var ErrForged = fault.New(fault.KindUnauthenticated, "webhook-signature", "The signature does not hold.")

// Error is a provider's refusal. Its class decides whether the call is retried (D5).
type Error struct {
	Class fault.Class
	After time.Duration // the least wait before a retry; 0: none
	Code  string        // our own, from a closed set
}

// Error returns the class and the code, never a provider's own text.
func (e *Error) Error() string { return "payment provider: " + e.Class.String() + " " + e.Code }
