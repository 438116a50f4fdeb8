package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
)

func TestValidationWaitsForTheSafetyWindow(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SetSettings(func(s *app.Settings) { s.SafetyWindow = 600 })
	o := h.PaidOrder(harness.VPS())
	paidAt := h.Clock.Now()
	h.WorkUntil(o, func(summary string) bool { return !strings.HasPrefix(summary, "payment_confirmed") })
	if waited := h.Clock.Now().Sub(paidAt); waited != 10*time.Minute {
		t.Errorf("validation began %s after the payment, want 10 min: the safety window (D12)", waited)
	}
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.CheckInvariants()
}

func TestAFaultFoundWhileValidatingFailsTheOrderBeforeAnythingIsBuilt(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	windows := harness.VPS() // the catalogue allows Windows, but hetzner-fsn1 of the simulated cloud has no such image
	windows.Region, windows.Configuration = "hetzner-fsn1", json.RawMessage(`{"os_image":"windows-2022"}`)
	o := h.PaidOrder(windows)
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps cancelled refund 20.10 accepted")
	h.WantLiveResources("", 0)
	agg := h.Order(o)
	if len(agg.Order.Faults) != 1 || !strings.HasPrefix(agg.Order.Faults[0].Pointer, "/items/0/") {
		t.Errorf("faults on the order = %+v, want one that points into item 0 (D13)", agg.Order.Faults)
	}
}
