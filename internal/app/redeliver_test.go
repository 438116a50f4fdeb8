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

func redeliver(t *testing.T, w *harness.Harness, o order.ID) error {
	t.Helper()
	_, err := w.UseCases.API.Redeliver(t.Context(), w.As(tenant.Customer), app.Redeliver{
		Order: o, Item: w.Item(o, "vps").ID,
	})
	return err
}

func TestAnItemIsDeliveredAgainThreeTimesAnHourAndTenTimesADay(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	begin := w.Clock.Now()
	asked := 0
	for hour := range 4 {
		for range 3 {
			if asked == 10 {
				break
			}
			if err := redeliver(t, w, o); err != nil {
				t.Fatalf("redelivery %d in hour %d: %v", asked+1, hour+1, err)
			}
			asked++
			w.Drain(o)
		}
		if hour < 3 {
			f := fault.Of(redeliver(t, w, o))
			if f == nil || f.Kind != fault.KindTooMany || f.After <= 0 || f.After > time.Hour {
				t.Fatalf("a fourth redelivery in hour %d = %v, want too many, and when to come back within the hour", hour+1, f)
			}
			w.Clock.Advance(f.After)
		}
	}
	f := fault.Of(redeliver(t, w, o))
	if f == nil || f.Kind != fault.KindTooMany || f.After < 12*time.Hour {
		t.Fatalf("an eleventh redelivery in a day = %v, want too many, until tomorrow", f)
	}
	w.Clock.Set(begin.Add(24*time.Hour + time.Second))
	if err := redeliver(t, w, o); err != nil {
		t.Errorf("redelivery the next day: %v", err)
	}
	w.Drain(o)
	if n := len(deliveries(w)); n != 12 {
		t.Errorf("%d deliveries in the inbox, want 1 and 11 again", n)
	}
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}
