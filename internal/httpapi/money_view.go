package httpapi

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// amountView is an amount of money: a decimal string with its currency, never a float.
type amountView struct {
	Amount   string         `json:"amount" doc:"Decimal, with as many digits after the point as the currency has." example:"20.10" maxLength:"40"`
	Currency money.Currency `json:"currency" doc:"ISO 4217." example:"EUR" pattern:"^[A-Z]{3}$"`
}

func amountOf(c money.Cents, cur money.Currency) amountView {
	return amountView{Amount: money.Format(c, cur), Currency: cur}
}

func (a amountView) event() event.Amount {
	return event.Amount{Amount: a.Amount, Currency: a.Currency}
}

type totalsView struct {
	Monthly amountView `json:"monthly" doc:"One month of all items that are billed monthly."`
	Annual  amountView `json:"annual" doc:"One year of all items that are billed annually."`
	DueNow  amountView `json:"due_now" doc:"First period of every item; net of tax."`
}

func totalsOf(t order.Totals, cur money.Currency) totalsView {
	return totalsView{Monthly: amountOf(t.Monthly, cur), Annual: amountOf(t.Annual, cur), DueNow: amountOf(t.DueNow, cur)}
}

type lineView struct {
	Component string `json:"component" doc:"What is paid for." example:"plan"`
	Quantity  int64  `json:"quantity"`
	UnitPrice string `json:"unit_price" doc:"Per month, in EUR." example:"20.10"`
	Amount    string `json:"amount" doc:"Per month, in EUR." example:"20.10"`
}

// priceView is an item's price: lines in the catalogue's currency, the sums in the order's (D11).
type priceView struct {
	Lines   []lineView `json:"lines" nullable:"false"`
	Monthly *string    `json:"monthly" doc:"In the order's currency; null when the item has faults." example:"20.10"`
	DueNow  *string    `json:"due_now" doc:"First period, in the order's currency; null when the item has faults." example:"20.10"`
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
	Rate   string    `json:"rate" doc:"Units of the currency for one euro." example:"0.9321"`
	Source string    `json:"source"`
	Time   time.Time `json:"time"`
}

func fxOf(fx *order.FX) *fxView {
	if fx == nil {
		return nil
	}
	return &fxView{Rate: fx.Rate.String(), Source: fx.Source, Time: stamp(fx.At)}
}

// stamp is a moment as it stands in an answer: UTC, to the microsecond that the database keeps, so that
// the answer of a write and a later read agree.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func stampOr(t *time.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	s := stamp(*t)
	return &s
}

// orNull turns "" into null.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// nullable documents members that hold an object or null.
func nullable(s *huma.Schema, members ...string) *huma.Schema {
	for _, m := range members {
		p := s.Properties[m]
		s.Properties[m] = &huma.Schema{Description: p.Description, AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
	}
	return s
}
