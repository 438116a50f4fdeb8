// Package payment is the contract between the module and whoever moves money: ask for a payment,
// give one back. It knows no gateway and no database. A payment is confirmed through the signed
// webhook or by an operator, never by an answer of this contract.
package payment

import (
	"context"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
)

// Provider moves money. Its calls are made by workers alone, carry a key of ours, and may be repeated.
type Provider interface {
	// Name is stored with each payment: manual, demo, ….
	Name() string
	// ConfirmsItself reports whether a payment needs no operator: its webhook confirms it.
	ConfirmsItself() bool
	// Checkout asks for the money of a submitted order. A provider whose payments an operator confirms
	// does nothing.
	Checkout(ctx context.Context, c Checkout) error
	// Refund gives money back; the same key twice gives it back once.
	Refund(ctx context.Context, r Refund) (Receipt, error)
	// Verify checks a webhook's signature over its raw bytes and reads it; ErrForged when it does not
	// hold. A provider without webhooks answers ErrForged to all.
	Verify(h http.Header, raw []byte, now time.Time) (Confirmation, error)
}

// Checkout asks for money. Reference is ours: the tenant and the order.
type Checkout struct {
	Key       string
	Reference string
	Amount    money.Cents
	Currency  money.Currency
}

// Refund of an item's allocation. Key is (payment, item): it never changes.
type Refund struct {
	Key      string
	Payment  string // the payment's reference at the provider
	Amount   money.Cents
	Currency money.Currency
	Reason   string
}

// Receipt says what became of a refund.
type Receipt struct {
	Reference string
	Completed bool // the money is back; else it was accepted and someone still has to move it
}

// Confirmation is what a verified webhook says.
type Confirmation struct {
	EventID   string // unique per provider for ever
	Reference string // ours, from Checkout
	Payment   string // the provider's reference of the payment
	Amount    money.Cents
	Currency  money.Currency
	Method    string
	PaidAt    time.Time
}

// ErrForged is a webhook whose signature does not hold or whose time is off by more than 5 minutes.
var ErrForged = fault.New(fault.KindUnauthenticated, "webhook-signature", "The signature does not hold.")

// Error is a provider's refusal with its class, which decides whether the call is retried (D5).
type Error struct {
	Class fault.Class
	After time.Duration
	Code  string // ours, from a closed set
}

// Error is the class and code; never a provider's raw text.
func (e *Error) Error() string { return "payment provider: " + e.Class.String() + " " + e.Code }
