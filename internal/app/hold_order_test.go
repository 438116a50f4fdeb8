package app_test

import (
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestAHeldOrderWaitsUntilItIsReleased(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS())
	if _, err := h.UseCases.API.HoldOrder(t.Context(), h.As(tenant.Customer), reasoned(o, "x")); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.KindForbidden {
		t.Errorf("HoldOrder by a customer = %v, want forbidden", err)
	}
	if _, err := h.UseCases.API.HoldOrder(t.Context(), h.As(tenant.Operator),
		reasoned(o, "checking the payer")); err != nil {
		t.Fatalf("HoldOrder: %v", err)
	}
	h.Drain(o)
	h.Clock.Advance(48 * time.Hour)
	h.Drain(o)
	h.WantSummary(o, "payment_confirmed none open; vps pending")
	_, err := h.UseCases.API.HoldOrder(t.Context(), h.As(tenant.Operator), reasoned(o, "again"))
	wantConflict(t, "a second hold", err, "payment_confirmed")
	if _, err := h.UseCases.API.ReleaseOrder(t.Context(), h.As(tenant.Operator), reasoned(o, "")); err != nil {
		t.Fatalf("ReleaseOrder: %v", err)
	}
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.CheckInvariants()
}

func TestReleasingInsideTheSafetyWindowStartsAtOnceAndRevertingStopsIt(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SetSettings(func(s *app.Settings) { s.SafetyWindow = 600 })
	o := h.PaidOrder(harness.VPS())
	h.Publish()
	if _, err := h.UseCases.API.RevertPayment(t.Context(), h.As(tenant.Operator), reasoned(o, "wrong payer")); err != nil {
		t.Fatalf("RevertPayment: %v", err)
	}
	h.Clock.Advance(time.Hour)
	h.Drain(o)
	h.WantSummary(o, "pending_payment none open; vps pending")
	h.Pay(h.Order(o))
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.CheckInvariants()
}
