package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// EditOrder describes a change to a draft. A nil field stays as it is. Items replaces the list: an item with the
// id of an existing one keeps it, and gets a new price only when it changed (D27) or its quote has expired (D8).
type EditOrder struct {
	Order order.ID
	Precondition
	ExternalID, Policy *string
	Items              *[]ItemInput
}

// EditOrder changes a draft. It requires a version, because two people may have the draft open (D23).
func (a *App) EditOrder(ctx context.Context, c Caller, in EditOrder) (*Aggregate, error) {
	if err := a.may(c.Actor, WriteOrders); err != nil {
		return nil, err
	}
	if in.Version == nil && in.IfMatch == nil {
		return nil, fault.New(fault.KindPreconditionMissing, "version-required",
			"Send the version you read, as the member version or as If-Match, so that nobody's change is lost.")
	}
	cat, err := a.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	return a.onOrder(ctx, c, WriteOrders, in.Order, in.Precondition, Also{}, func(tx Tx, agg *Aggregate) (bool, error) {
		o := agg.Order
		if o.State != order.Draft {
			return false, o.Refuse(string(order.ActEdit))
		}
		policy, external := o.Policy.String(), o.ExternalID
		if in.Policy != nil {
			policy = *in.Policy
		}
		if in.ExternalID != nil {
			external = *in.ExternalID
		}
		p, faults := checkOrderFields(external, policy)
		if len(faults) > 0 {
			return false, fault.Violated(faults)
		}
		o.Policy, o.ExternalID = p, external
		if in.Items != nil {
			if err := a.replaceItems(agg, tx.Now(), *in.Items, func(items []ItemInput) ([]order.Snapshot, error) {
				return priceAll(cat, items, settingsInOrderCurrency(agg), agg.Order.FX, tx.Now())
			}); err != nil {
				return false, err
			}
		}
		o.Due = o.Totals().DueNow
		o.Record(order.Event{Type: order.EvUpdated, From: order.Draft})
		return true, nil
	})
}

// settingsInOrderCurrency returns the tenant's settings with the order's currency, because a draft keeps the
// currency and the rate with which it was created.
func settingsInOrderCurrency(agg *Aggregate) Settings {
	s := agg.Settings
	s.Currency = agg.Order.Currency
	return s
}

func (a *App) replaceItems(
	agg *Aggregate, now time.Time, items []ItemInput, priced func([]ItemInput) ([]order.Snapshot, error),
) error {
	snaps, err := priced(items)
	if err != nil {
		return err
	}
	line := 0
	for _, it := range agg.Order.Items {
		line = max(line, it.Line)
	}
	line = max(line, agg.LastLine)
	var list []order.Item
	var faults []fault.Violation
	used := map[order.ItemID]bool{}
	for i, in := range items {
		if in.ID == "" {
			line++
			list = append(list, a.newItem(in, snaps[i], line))
			continue
		}
		existing := findItem(agg.Order, in.ID)
		if existing == nil || used[existing.ID] {
			faults = append(faults, fault.Violation{
				Pointer: fmt.Sprintf("/items/%d/id", i), Code: "unknown-item",
				Message: "The draft has no such item, or it is listed twice.",
			})
			continue
		}
		used[existing.ID] = true
		it := *existing
		if !sameOffer(it, in.Label, snaps[i]) || quoteExpired(it, agg.Settings, now) {
			it.Label, it.Snapshot, it.Price = in.Label, snaps[i], snaps[i].Due
		}
		list = append(list, it)
	}
	if len(faults) > 0 {
		return fault.Violated(faults)
	}
	slices.SortFunc(list, func(x, y order.Item) int { return x.Line - y.Line }) // as the store reads it
	agg.Order.Items, agg.LastLine = list, line
	return nil
}

// sameOffer reports whether nothing about an item changed, so that its quote stays valid.
func sameOffer(it order.Item, label string, s order.Snapshot) bool {
	o := it.Snapshot
	return it.Label == label && o.Product == s.Product && o.Plan == s.Plan && o.Region == s.Region &&
		o.BillingCycle == s.BillingCycle && string(o.Configuration) == string(s.Configuration)
}

func findItem(o *order.Order, text string) *order.Item {
	it, err := id.Parse[order.Item](text)
	if err != nil {
		return nil
	}
	return o.Find(it)
}
