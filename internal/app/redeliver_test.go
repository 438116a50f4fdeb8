package app_test

import (
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func redeliver(t *testing.T, h *harness.Harness, o order.ID) error {
	t.Helper()
	_, err := h.UseCases.API.Redeliver(t.Context(), h.As(tenant.Customer), app.Redeliver{
		Order: o, Item: h.Item(o, "vps").ID,
	})
	return err
}

func TestAnItemIsDeliveredAgainThreeTimesAnHourAndTenTimesADay(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	begin := h.Clock.Now()
	asked := 0
	for hour := range 4 {
		for range 3 {
			if asked == 10 {
				break
			}
			if err := redeliver(t, h, o); err != nil {
				t.Fatalf("redelivery %d in hour %d: %v", asked+1, hour+1, err)
			}
			asked++
			h.Drain(o)
		}
		if hour < 3 {
			f := fault.Of(redeliver(t, h, o))
			if f == nil || f.Kind != fault.KindTooMany || f.After <= 0 || f.After > time.Hour {
				t.Fatalf("a fourth redelivery in hour %d = %v, want too many, and when to come back within the hour", hour+1, f)
			}
			h.Clock.Advance(f.After)
		}
	}
	f := fault.Of(redeliver(t, h, o))
	if f == nil || f.Kind != fault.KindTooMany || f.After < 12*time.Hour {
		t.Fatalf("an eleventh redelivery in a day = %v, want too many, until tomorrow", f)
	}
	h.Clock.Set(begin.Add(24*time.Hour + time.Second))
	if err := redeliver(t, h, o); err != nil {
		t.Errorf("redelivery the next day: %v", err)
	}
	h.Drain(o)
	if n := len(deliveryMails(h)); n != 12 {
		t.Errorf("%d deliveries in the inbox, want 1 and 11 again", n)
	}
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.CheckInvariants()
}
