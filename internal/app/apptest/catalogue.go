package apptest

import (
	"context"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// Catalog returns the built-in catalogue.
func (f *Fake) Catalog(context.Context) (*catalog.Catalog, error) {
	return answer(f, "Catalog", func() (*catalog.Catalog, error) { return f.cat, nil })
}

// Quote prices items by the real catalogue, in euros.
func (f *Fake) Quote(_ context.Context, c app.Caller, items []app.ItemInput, _ money.Currency) (app.Quote, error) {
	return read(f, "Quote", c, items, func() (app.Quote, error) {
		q := app.Quote{Currency: "EUR"}
		for i, in := range items {
			snap, faults := f.price(in, fmt.Sprintf("/items/%d", i))
			q.Faults = append(q.Faults, faults...)
			q.Items = append(q.Items, app.QuotedItem{
				Cycle: in.BillingCycle, OK: len(faults) == 0, Lines: snap.Lines, Monthly: snap.Monthly, Due: snap.Due,
			})
			q.Totals.DueNow += snap.Due
		}
		return q, nil
	})
}

// price returns the snapshot of an item, or its faults; at is the item's JSON pointer.
func (f *Fake) price(in app.ItemInput, at string) (order.Snapshot, []fault.Violation) {
	sel := catalog.Selection{
		Product: in.Product, Plan: in.Plan, Region: in.Region, Cycle: catalog.Cycle(in.BillingCycle), Label: in.Label,
		Configuration: in.Configuration,
	}
	if faults := f.cat.Check(sel, at); len(faults) > 0 {
		return order.Snapshot{}, faults
	}
	p, err := f.cat.Price(sel)
	if err != nil {
		panic(err)
	}
	monthly, due := p.FirstPeriod(sel.Cycle, nil, "EUR")
	snap := order.Snapshot{
		Product: p.Product, Plan: p.Plan, Region: p.Region, BillingCycle: string(p.Cycle), Configuration: p.Configuration,
		Title: p.ProductTitle, Monthly: monthly, Due: due, QuotedAt: f.Now().Format(time.RFC3339),
	}
	for _, l := range p.Lines {
		snap.Lines = append(snap.Lines, order.PriceLine(l))
	}
	return snap, nil
}
