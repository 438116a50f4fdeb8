// Package manual is payment by bank transfer that an operator confirms (D28). It reaches nobody: a
// refund is accepted at once, and stays a work item on the operators' desk until somebody moved the
// money and says so (D4).
package manual

import (
	"context"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/payment"
)

// Name of the provider, as it is stored with each payment.
const Name = payment.DefaultMethod

// Provider accepts refunds and confirms nothing.
type Provider struct{}

// Name is "manual".
func (Provider) Name() string { return Name }

// Properties leave both directions of the money to an operator.
func (Provider) Properties() payment.Properties {
	return payment.Properties{
		ConfirmedBy: payment.Operator, RefundedBy: payment.Operator, Label: "Bank transfer, confirmed by an operator",
	}
}

// Checkout does nothing: the customer reads the account on the order page and transfers the money.
func (Provider) Checkout(context.Context, payment.Checkout) error { return nil }

// Refund accepts; the same key gives the same reference, so a repetition is no second refund.
func (Provider) Refund(_ context.Context, r payment.Refund) (payment.Receipt, error) {
	return payment.Receipt{Reference: "manual:" + r.Key}, nil
}

// Verify refuses every webhook: nobody sends one.
func (Provider) Verify(http.Header, []byte, time.Time) (payment.Confirmation, error) {
	return payment.Confirmation{}, payment.ErrForged
}
