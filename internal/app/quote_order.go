package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// MaxItems is the most items that an order may have.
const MaxItems = 100

// CatalogCurrency is the currency of the catalogue's prices (D11).
const CatalogCurrency money.Currency = "EUR"

// ItemInput is an item as a customer configures it. ID names an existing item of a draft, or is "" (D27).
type ItemInput struct {
	ID            string
	Product       string
	Plan          string
	Region        string
	BillingCycle  string
	Label         string
	Configuration json.RawMessage
}

func (in ItemInput) selection() catalog.Selection {
	return catalog.Selection{
		Product: in.Product, Plan: in.Plan, Region: in.Region, Cycle: catalog.Cycle(in.BillingCycle), Label: in.Label,
		Configuration: in.Configuration,
	}
}

// Quote is a price preview. It is not stored.
type Quote struct {
	Currency money.Currency
	FX       *order.FX
	Totals   order.Totals
	Items    []QuotedItem
	Faults   []fault.Violation
}

// QuotedItem is an item of a quote, at the same index as its input.
type QuotedItem struct {
	Lines        []order.PriceLine // per month, in the catalogue's currency
	Monthly, Due money.Cents       // in the quote's currency
	Cycle        string
	OK           bool // false: it has faults and no price
}

// Catalog returns the catalogue as it is sold now.
func (a *App) Catalog(ctx context.Context) (*catalog.Catalog, error) {
	return a.Deps.Catalog.Catalog(ctx)
}

// Quote prices items in a currency ("" is the tenant's) and lists all their faults. Faults are part of the quote and
// not an error, because a form shows both.
func (a *App) Quote(ctx context.Context, c Caller, items []ItemInput, cur money.Currency) (Quote, error) {
	if err := a.may(c.Actor, AskQuote); err != nil {
		return Quote{}, err
	}
	if len(items) > MaxItems {
		return Quote{}, fault.Violated([]fault.Violation{tooMany()})
	}
	cat, err := a.Catalog(ctx)
	if err != nil {
		return Quote{}, err
	}
	s, err := a.Store.Settings(ctx, c.Tenant)
	if err != nil {
		return Quote{}, err
	}
	if cur == "" {
		cur = s.Currency
	}
	q := Quote{Currency: cur}
	if cur != CatalogCurrency {
		if q.FX, err = a.Store.Rate(ctx, cur); err != nil {
			return Quote{}, err
		}
		if q.FX == nil {
			return Quote{}, notPriced(cur)
		}
	}
	for i, in := range items {
		snap, faults := price(cat, in, fmt.Sprintf("/items/%d", i), cur, q.FX, a.Now())
		q.Faults = append(q.Faults, faults...)
		it := QuotedItem{Cycle: in.BillingCycle, OK: len(faults) == 0}
		if it.OK {
			it.Lines, it.Monthly, it.Due = snap.Lines, snap.Monthly, snap.Due
			q.Totals.DueNow += snap.Due
			if in.BillingCycle == string(catalog.Annual) {
				q.Totals.Annual += snap.Due
			} else {
				q.Totals.Monthly += snap.Due
			}
		}
		q.Items = append(q.Items, it)
	}
	q.Faults = append(q.Faults, cycleFaults(items, s)...)
	return q, nil
}

// price returns the snapshot of an item (D10), or all its faults.
func price(
	cat *catalog.Catalog, in ItemInput, at string, cur money.Currency, fx *order.FX, now time.Time,
) (order.Snapshot, []fault.Violation) {
	sel := in.selection()
	if faults := cat.Check(sel, at); len(faults) > 0 {
		return order.Snapshot{}, faults
	}
	p, err := cat.Price(sel)
	if err != nil {
		if f := fault.Of(err); f != nil {
			return order.Snapshot{}, f.Violations
		}
		return order.Snapshot{}, []fault.Violation{
			{Pointer: at, Code: "not-priced", Message: "This configuration has no price."},
		}
	}
	var rate *money.Rate
	if fx != nil {
		rate = &fx.Rate
	}
	monthly, due := p.FirstPeriod(sel.Cycle, rate, cur)
	snap := order.Snapshot{
		Product: p.Product, Plan: p.Plan, Region: p.Region, BillingCycle: string(p.Cycle), Configuration: p.Configuration,
		Title:          p.ProductTitle,
		CatalogVersion: p.CatalogVersion, FormulaVersion: p.FormulaVersion, CatalogMonthly: p.Monthly,
		Monthly: monthly, Due: due,
		QuotedAt: now.UTC().Format(time.RFC3339),
	}
	if prod, ok := cat.Product(p.Product); ok {
		snap.DeadlineS, snap.CapacityWaitS = int(prod.Deadline/time.Second), int(prod.CapacityWait/time.Second)
	}
	for _, l := range p.Lines {
		snap.Lines = append(snap.Lines, order.PriceLine{
			Component: l.Component, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Amount: l.Amount,
		})
	}
	return snap, nil
}

// priceAll returns the snapshots of an order's items, or all their faults.
func priceAll(
	cat *catalog.Catalog, items []ItemInput, s Settings, fx *order.FX, now time.Time,
) ([]order.Snapshot, error) {
	if len(items) > MaxItems {
		return nil, fault.Violated([]fault.Violation{tooMany()})
	}
	if s.Currency != CatalogCurrency && fx == nil {
		return nil, notPriced(s.Currency)
	}
	var faults []fault.Violation
	snaps := make([]order.Snapshot, len(items))
	for i, in := range items {
		snap, fs := price(cat, in, fmt.Sprintf("/items/%d", i), s.Currency, fx, now)
		snaps[i], faults = snap, append(faults, fs...)
	}
	if faults = append(faults, cycleFaults(items, s)...); len(faults) > 0 {
		return nil, fault.Violated(faults)
	}
	return snaps, nil
}

// cycleFaults returns a fault for each item with another billing cycle than the first, if the tenant allows only one
// cycle per order (D15).
func cycleFaults(items []ItemInput, s Settings) []fault.Violation {
	var faults []fault.Violation
	for i, in := range items {
		if s.SingleCycle && in.BillingCycle != items[0].BillingCycle {
			faults = append(faults, fault.Violation{
				Pointer: fmt.Sprintf("/items/%d/billing_cycle", i), Code: "billing-cycle-mismatch",
				Message: "All items of one order must share a billing cycle here.", Allowed: []any{items[0].BillingCycle},
			})
		}
	}
	return faults
}

func tooMany() fault.Violation {
	return fault.Violation{
		Pointer: "/items", Code: "too-many-items", Message: fmt.Sprintf("An order has at most %d items.", MaxItems),
		Allowed: []any{MaxItems},
	}
}

func notPriced(cur money.Currency) error {
	return fault.New(fault.KindInvalid, "currency-not-priced",
		"There is no exchange rate from EUR to %s yet. Ask the operator to set one: platforma rates set EUR/%s RATE.", cur,
		cur)
}

// newItem returns a pending item with a new id.
func (a *App) newItem(in ItemInput, snap order.Snapshot, line int) order.Item {
	return order.Item{
		ID: id.Of[order.Item](a.NewID()), Line: line, State: order.ItemPending, Label: in.Label, Generation: 1,
		Snapshot: snap, Price: snap.Due,
	}
}
