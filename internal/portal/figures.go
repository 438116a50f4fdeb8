package portal

import (
	"fmt"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// bar is one bar of the chart of states.
type bar struct {
	State order.State
	Text  string
	Tone  string
	Count int
	Width int // 0 to 100
	Y     int
}

type figuresView struct {
	Stats      app.OrderStats
	Bars       []bar
	Height     int
	Average    string
	Revenue    string
	Conversion string
	Charts     []daysChart
	Days       []dayRow
	First      string // first day of the charts
}

// dayRow is a row of the table below the charts.
type dayRow struct{ Day, Orders, Paid, Revenue string }

// daysChart has a column for each of the last days. Columns rise from the baseline; negative values hang below it.
type daysChart struct {
	Name     string // prefix of the ids of its elements
	Title    string
	Most     string // value of the highest column
	Baseline int
	Columns  []column
}

type column struct {
	X, Y, Height int
	Tone         string
	Title        string
}

// The measures of the charts of days, in units of their SVG.
const (
	chartTop    = 4
	chartHeight = 96 // of the highest column and the lowest together
	columnStep  = 10
)

func (p *Portal) figuresPage(w http.ResponseWriter, r *http.Request, v *session) error {
	s, err := p.useCases.OrderStats(r.Context(), v.Caller)
	if err != nil {
		return err
	}
	view := figuresView{
		Stats: s, Average: amount(s.Average, s.Currency), Revenue: amount(s.Revenue, s.Currency),
		Conversion: fmt.Sprintf("%.0f %%", s.Conversion*100),
	}
	most := 1
	for _, n := range s.ByState {
		most = max(most, n)
	}
	const rowHeight = 28
	for i, st := range order.States() {
		n := s.ByState[st]
		view.Bars = append(view.Bars, bar{
			State: st, Text: stateText(st), Tone: stateTone(&order.Order{State: st}).Class, Count: n, Width: n * 100 / most,
			Y: i * rowHeight,
		})
	}
	view.Height = len(view.Bars) * rowHeight
	view.addDays()
	return p.show(w, r, http.StatusOK, figuresPage(p.pageLayout(r, v, "desk", "Figures"), v,
		p.deskTabs(v, "/desk/figures"), view))
}

// addDays adds the table and the charts of the last days, including days without orders.
func (f *figuresView) addDays() {
	days := lastDays(f.Stats)
	orders, revenue := make([]int64, len(days)), make([]int64, len(days))
	for i, d := range days {
		orders[i], revenue[i] = int64(d.Orders), int64(d.Revenue)
		day := d.Day.Format("2 Jan 2006")
		f.Days = append(f.Days, dayRow{
			Day: day, Orders: fmt.Sprint(d.Orders), Paid: fmt.Sprint(d.Paid), Revenue: amount(d.Revenue, f.Stats.Currency),
		})
	}
	f.First = f.Days[0].Day
	count := func(n int64) string { return fmt.Sprint(n) }
	cents := func(n int64) string { return amount(money.Cents(n), f.Stats.Currency) }
	f.Charts = []daysChart{
		f.chart("orders", "Orders per day", orders, count),
		f.chart("revenue", "Revenue per day", revenue, cents),
	}
}

func (f *figuresView) chart(name, title string, values []int64, text func(int64) string) daysChart {
	var up, down int64
	for _, n := range values {
		up, down = max(up, n), max(down, -n)
	}
	c := daysChart{Name: name, Title: title, Most: text(up)}
	scale := float64(chartHeight) / float64(max(1, up+down))
	c.Baseline = chartTop + chartHeight
	if up+down > 0 {
		c.Baseline = chartTop + int(float64(up)*scale)
	}
	for i, n := range values {
		col := column{
			X: i * columnStep, Y: c.Baseline, Height: int(float64(max(n, -n)) * scale), Tone: "busy",
			Title: f.Days[i].Day + ": " + text(n),
		}
		switch {
		case n > 0:
			col.Height = max(1, col.Height)
			col.Y -= col.Height
		case n < 0:
			col.Height, col.Tone = max(1, col.Height), "warn"
		}
		c.Columns = append(c.Columns, col)
	}
	return c
}

// lastDays returns the last days up to the one on which the figures were read, in the tenant's time zone.
func lastDays(s app.OrderStats) []app.DayStats {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	known := map[string]app.DayStats{}
	for _, d := range s.Days {
		known[d.Day.Format(time.DateOnly)] = d
	}
	y, m, d := s.AsOf.In(zone).Date()
	days := make([]app.DayStats, app.StatsDays)
	for i := range days {
		day := time.Date(y, m, d-app.StatsDays+1+i, 0, 0, 0, 0, time.UTC)
		days[i] = known[day.Format(time.DateOnly)]
		days[i].Day = day
	}
	return days
}
