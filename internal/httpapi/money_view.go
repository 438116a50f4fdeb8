package httpapi

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// amountView is an amount of money as a decimal string with its currency, never a float.
type amountView struct {
	Amount   string         `json:"amount" doc:"A decimal with all the digits after the point that the currency has." example:"20.10" maxLength:"40"`
	Currency money.Currency `json:"currency" doc:"An ISO 4217 code." example:"EUR" pattern:"^[A-Z]{3}$"`
}

func amountOf(c money.Cents, cur money.Currency) amountView {
	return amountView{Amount: money.Format(c, cur), Currency: cur}
}

func (a amountView) event() event.Amount {
	return event.Amount{Amount: a.Amount, Currency: a.Currency}
}

type totalsView struct {
	Monthly amountView `json:"monthly" doc:"The sum for one month of all items that are billed monthly."`
	Annual  amountView `json:"annual" doc:"The sum for one year of all items that are billed annually."`
	DueNow  amountView `json:"due_now" doc:"The sum of the first periods of all items, net of tax."`
}

func totalsOf(t order.Totals, cur money.Currency) totalsView {
	return totalsView{Monthly: amountOf(t.Monthly, cur), Annual: amountOf(t.Annual, cur), DueNow: amountOf(t.DueNow, cur)}
}

type lineView struct {
	Component string `json:"component" doc:"The component that the line is for." example:"plan"`
	Quantity  int64  `json:"quantity"`
	UnitPrice string `json:"unit_price" doc:"Per month, in EUR." example:"20.10"`
	Amount    string `json:"amount" doc:"Per month, in EUR." example:"20.10"`
}

// priceView is an item's price: its lines in the catalogue's currency, and its sums in the order's (D11).
type priceView struct {
	Lines   []lineView `json:"lines" nullable:"false"`
	Monthly *string    `json:"monthly" doc:"In the order's currency; null if the item has faults." example:"20.10"`
	DueNow  *string    `json:"due_now" doc:"The first period, in the order's currency; null if the item has faults." example:"20.10"`
}

func priceOf(lines []order.PriceLine, monthly, due money.Cents, cur money.Currency) priceView {
	m, d := money.Format(monthly, cur), money.Format(due, cur)
	v := priceView{Lines: make([]lineView, len(lines)), Monthly: &m, DueNow: &d}
	for i, l := range lines {
		v.Lines[i] = lineView{
			Component: l.Component, Quantity: l.Quantity, UnitPrice: money.Format(l.UnitPrice, app.CatalogCurrency),
			Amount: money.Format(l.Amount, app.CatalogCurrency),
		}
	}
	return v
}

type fxView struct {
	Rate   string    `json:"rate" doc:"How many units of the currency one euro is." example:"0.9321"`
	Source string    `json:"source"`
	Time   time.Time `json:"time"`
}

func fxOf(fx *order.FX) *fxView {
	if fx == nil {
		return nil
	}
	return &fxView{Rate: fx.Rate.String(), Source: fx.Source, Time: stamp(fx.At)}
}

// stamp returns a time as answers have it: in UTC and to the microsecond. The database keeps no more, so that the
// answer of a write equals that of a later read.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// stampOr returns the stamp of a time, or nil if there is none.
func stampOr(t *time.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	s := stamp(*t)
	return &s
}

// orNull returns nil for "", which JSON shows as null.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// nullable documents members that are an object or null.
func nullable(s *huma.Schema, members ...string) *huma.Schema {
	for _, m := range members {
		p := s.Properties[m]
		s.Properties[m] = &huma.Schema{Description: p.Description, AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
	}
	return s
}
