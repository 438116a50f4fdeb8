package apptest

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// OrderStats counts all orders as today's. The days of the month before have invented figures.
func (f *Fake) OrderStats(_ context.Context, c app.Caller) (app.OrderStats, error) {
	return read(f, "OrderStats", c, nil, func() (app.OrderStats, error) {
		s := app.OrderStats{AsOf: f.Now(), TimeZone: "UTC", ByState: map[order.State]int{}, Currency: "EUR"}
		days, paid := f.monthBefore(), 0
		for _, entry := range f.orders {
			o := entry.agg.Order
			if o.Tenant != c.Tenant {
				continue
			}
			s.Today, s.Week, s.Month = s.Today+1, s.Week+1, s.Month+1
			s.ByState[o.State]++
			d := days[dayOf(o.CreatedAt)]
			d.Orders++
			if p := o.LivePayment(); p != nil {
				paid, d.Paid = paid+1, d.Paid+1
				s.Revenue, d.Revenue = s.Revenue+p.Paid, d.Revenue+p.Paid
			}
			days[dayOf(o.CreatedAt)] = d
		}
		for day, d := range days {
			d.Day = day
			s.Days = append(s.Days, d)
		}
		if paid > 0 {
			s.Average, s.Conversion = s.Revenue/money.Cents(paid), float64(paid)/float64(s.Month)
		}
		return s, nil
	})
}

// monthBefore returns the invented days: weekends have no orders, and on some days refunds exceed the payments.
func (f *Fake) monthBefore() map[time.Time]app.DayStats {
	days := map[time.Time]app.DayStats{}
	for ago := 1; ago < app.StatsDays; ago++ {
		if ago%7 > 1 {
			days[dayOf(f.Now()).AddDate(0, 0, -ago)] = app.DayStats{
				Orders: 3 + ago*5%9, Paid: 2 + ago*5%7, Revenue: money.Cents(ago*37%11-2) * 900_00,
			}
		}
	}
	return days
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
