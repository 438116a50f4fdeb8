package app_test

import (
	"sync"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment/manual"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func confirmPayment(o order.ID, reference, amount string) app.ConfirmPayment {
	return app.ConfirmPayment{
		Order: o, Reference: reference, Method: "bank_transfer", Amount: event.Amount{Amount: amount, Currency: "EUR"},
	}
}

func TestAPaymentWithinOneEuroIsRecordedAsItWasPaidAndAllocatedToTheCent(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	for _, c := range []struct {
		amount, code string
	}{
		{"84.11", ""},
		{"85.10", ""},
		{"86.09", ""},
		{"86.10", ""},
		{"84.10", ""},
		{"86.11", "payment-amount-mismatch"},
		{"84.09", "payment-amount-mismatch"},
		{"-85.10", "validation-failed"},
		{"85.101", "validation-failed"},
	} {
		agg := h.SubmittedOrder("per_item", harness.VPS(), harness.Database()) // 20.10 + 65.00
		got, err := h.UseCases.API.ConfirmPayment(t.Context(), h.As(tenant.Operator),
			confirmPayment(agg.Order.ID, "ref-"+agg.Order.Number, c.amount))
		if c.code != "" {
			if f := fault.Of(err); f == nil || f.Kind != fault.KindInvalid || f.Code != c.code {
				t.Errorf("ConfirmPayment(%s of 85.10) = %v, want %s", c.amount, err, c.code)
			}
			h.WantSummary(agg.Order.ID, "pending_payment none open; vps pending; database pending")
			continue
		}
		if err != nil {
			t.Errorf("ConfirmPayment(%s of 85.10): %v", c.amount, err)
			continue
		}
		p := got.Order.LivePayment()
		if sum := p.Allocations[0].Cents + p.Allocations[1].Cents; p.Paid != h.Cents(c.amount) || sum != p.Paid ||
			p.Due != h.Cents("85.10") {
			t.Errorf("paid %d, allocated %d of due %d; want %s twice, 8510", p.Paid, sum, p.Due, c.amount)
		}
	}
}

// cash is a second payment provider whose payments an operator confirms.
type cash struct{ manual.Provider }

func (cash) Name() string { return "cash" }

func TestAnOperatorsConfirmationIsRecordedUnderTheMethodThatOperatorsConfirm(t *testing.T) {
	t.Parallel()
	w := harness.New(t, harness.WithPayment(cash{}), harness.WithPayment(slowGateway{}))
	for method, provider := range map[string]string{"manual": "manual", "cash": "cash", "gateway": "manual"} {
		in := confirmPayment(w.MustSubmit("per_item", method, harness.VPS()), "receipt-of-"+method, "20.10")
		first, err := w.UseCases.API.ConfirmPayment(t.Context(), w.As(tenant.Operator), in)
		if err != nil {
			t.Fatalf("confirm a payment for the method %s: %v", method, err)
		}
		if got := first.Order.LivePayment().Provider; got != provider {
			t.Errorf("a payment for the method %s is recorded under %s, want %s", method, got, provider)
		}
		again, err := w.UseCases.API.ConfirmPayment(t.Context(), w.As(tenant.Operator), in)
		if err != nil || again.Order.Version != first.Order.Version {
			t.Errorf("the same confirmation for %s: version %d, %v; want %d", method, again.Order.Version, err,
				first.Order.Version)
		}
	}
}

func TestSecondConfirmationWithSameReferenceChangesNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	agg := h.SubmittedOrder("per_item", harness.VPS())
	confirm := func(o order.ID, reference string) (*app.Aggregate, error) {
		return h.UseCases.API.ConfirmPayment(t.Context(), h.As(tenant.Operator), confirmPayment(o, reference, "20.10"))
	}
	first, err := confirm(agg.Order.ID, "bank-1")
	if err != nil {
		t.Fatalf("ConfirmPayment: %v", err)
	}
	second, err := confirm(agg.Order.ID, "bank-1")
	if err != nil || second.Order.Version != first.Order.Version || len(second.Order.Payments) != 1 {
		t.Errorf("second confirmation: version %d, %d payments, %v; want version %d, 1", second.Order.Version,
			len(second.Order.Payments), err, first.Order.Version)
	}
	if _, err := confirm(agg.Order.ID, "bank-2"); faultCode(err) != fault.CodeIllegalTransition {
		t.Errorf("another reference for a paid order = %v, want illegal-transition", err)
	}
	other := h.SubmittedOrder("per_item", harness.VPS())
	if _, err := confirm(other.Order.ID, "bank-1"); faultCode(err) != "payment-reference-in-use" {
		t.Errorf("the same reference for another order = %v, want payment-reference-in-use", err)
	}
	h.WantEvents(agg.Order.ID, "order.created", "order.submitted", "order.payment-confirmed")
}

func TestOnlyAnOperatorOfTheTenantConfirmsAPayment(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	agg := h.SubmittedOrder("per_item", harness.VPS())
	in := confirmPayment(agg.Order.ID, "bank-1", "20.10")
	if _, err := h.UseCases.API.ConfirmPayment(t.Context(), h.As(tenant.Customer), in); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.KindForbidden {
		t.Errorf("ConfirmPayment by a customer = %v, want forbidden", err)
	}
	stranger := app.Caller{Actor: h.OtherTenant.Actor(tenant.Operator)}
	if _, err := h.UseCases.API.ConfirmPayment(t.Context(), stranger, in); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.KindNotFound {
		t.Errorf("ConfirmPayment by another tenant's operator = %v, want not found", err)
	}
	h.WantSummary(agg.Order.ID, "pending_payment none open; vps pending")
}

func TestTwoConfirmationsAtOnceRecordOnePayment(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	agg := h.SubmittedOrder("per_item", harness.VPS())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, _ = h.UseCases.API.ConfirmPayment(t.Context(), h.As(tenant.Operator),
				confirmPayment(agg.Order.ID, "bank-1", "20.10"))
		})
	}
	wg.Wait()
	if got := h.Order(agg.Order.ID); len(got.Order.Payments) != 1 || got.Order.State != order.PaymentConfirmed {
		t.Errorf("%d payments, %s; want 1, payment_confirmed", len(got.Order.Payments), got.Order.State)
	}
	h.WantEvents(agg.Order.ID, "order.created", "order.submitted", "order.payment-confirmed")
}
