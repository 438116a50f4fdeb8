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
	w := harness.New(t)
	w.SetSettings(func(s *app.Settings) { s.SafetyWindow = 600 })
	o := w.PaidOrder(harness.VPS())
	paidAt := w.Clock.Now()
	w.WorkUntil(o, func(p string) bool { return !strings.HasPrefix(p, "payment_confirmed") })
	if waited := w.Clock.Now().Sub(paidAt); waited != 10*time.Minute {
		t.Errorf("validation began %s after the payment, want 10 min: the safety window (D12)", waited)
	}
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}

func TestAFaultFoundWhileValidatingFailsTheOrderBeforeAnythingIsBuilt(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	windows := harness.VPS() // hetzner-fsn1 of the simulated cloud has no Windows image: only asking tells
	windows.Region, windows.Configuration = "hetzner-fsn1", json.RawMessage(`{"os_image":"windows-2022"}`)
	o := w.PaidOrder(windows)
	w.Drain(o)
	w.WantPicture(o, "failed none settled; vps cancelled refund 20.10 accepted")
	w.WantLive("", 0)
	agg := w.Get(o)
	if len(agg.Order.Faults) != 1 || !strings.HasPrefix(agg.Order.Faults[0].Pointer, "/items/0/") {
		t.Errorf("faults on the order = %+v, want one that points into item 0 (D13)", agg.Order.Faults)
	}
}
