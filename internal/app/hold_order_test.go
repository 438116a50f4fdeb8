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
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	if _, err := w.UseCases.API.HoldOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "x")); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.KindForbidden {
		t.Errorf("HoldOrder by a customer = %v, want forbidden", err)
	}
	if _, err := w.UseCases.API.HoldOrder(t.Context(), w.As(tenant.Operator),
		reasoned(o, "checking the payer")); err != nil {
		t.Fatalf("HoldOrder: %v", err)
	}
	w.Drain(o)
	w.Clock.Advance(48 * time.Hour)
	w.Drain(o)
	w.WantPicture(o, "payment_confirmed none open; vps pending")
	_, err := w.UseCases.API.HoldOrder(t.Context(), w.As(tenant.Operator), reasoned(o, "again"))
	wantConflict(t, "a second hold", err, "payment_confirmed")
	if _, err := w.UseCases.API.ReleaseOrder(t.Context(), w.As(tenant.Operator), reasoned(o, "")); err != nil {
		t.Fatalf("ReleaseOrder: %v", err)
	}
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}

func TestReleasingInsideTheSafetyWindowStartsAtOnceAndRevertingStopsIt(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.SetSettings(func(s *app.Settings) { s.SafetyWindow = 600 })
	o := w.PaidOrder(harness.VPS())
	w.Publish()
	if _, err := w.UseCases.API.RevertPayment(t.Context(), w.As(tenant.Operator), reasoned(o, "wrong payer")); err != nil {
		t.Fatalf("RevertPayment: %v", err)
	}
	w.Clock.Advance(time.Hour)
	w.Drain(o)
	w.WantPicture(o, "pending_payment none open; vps pending")
	w.Pay(w.Get(o))
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}
