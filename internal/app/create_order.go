package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// CreateOrder is a new draft: the cart, which may be empty (D27). Customer may be named by an
// operator alone; the audit row names both.
type CreateOrder struct {
	ExternalID string
	Policy     string
	Customer   string
	Items      []ItemInput
}

// ErrNumberTaken is what a Store answers when a drawn order number is in use: draw again.
var ErrNumberTaken = errors.New("order number is taken")

// CreateOrder writes order, items, event and outbox row together or not at all. The same external_id
// a second time is a conflict that names the order it belongs to; it never expires.
func (a *App) CreateOrder(ctx context.Context, c Caller, in CreateOrder) (*Aggregate, error) {
	if err := a.may(c.Actor, WriteOrders); err != nil {
		return nil, err
	}
	customer, err := a.customerOf(c, in.Customer)
	if err != nil {
		return nil, err
	}
	cat, err := a.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	for range 3 { // 40 random bits: a clash within a tenant is rare, a second one in a row a fault
		var agg *Aggregate
		agg, err = a.write(ctx, c, func(tx Tx) (*Aggregate, error) {
			known, err := tx.Prepare(ctx, NewOrder{Customer: customer, ExternalID: in.ExternalID})
			if err != nil {
				return nil, err
			}
			if err := c.keyDemanded(known.Settings); err != nil {
				return nil, err
			}
			policy, faults := checkHead(in.ExternalID, in.Policy)
			if known.Customer.ID.IsZero() {
				faults = append(faults, fault.Violation{
					Pointer: "/customer_id", Code: "unknown-customer", Message: "There is no such member in your organisation.",
				})
			}
			if len(faults) > 0 {
				return nil, fault.Violated(faults)
			}
			if !known.ExternalIDTaken.IsZero() {
				e := fault.New(fault.KindConflict, "external-id-in-use", "An order with this external_id exists: %s.",
					known.ExternalIDTaken)
				e.Members = map[string]any{"order_id": known.ExternalIDTaken.String()}
				return nil, e
			}
			snaps, err := priceAll(cat, in.Items, known.Settings, known.Rate, tx.Now())
			if err != nil {
				return nil, err
			}
			number, err := drawNumber(a.Random)
			if err != nil {
				return nil, err
			}
			o := &order.Order{
				ID: id.Of[order.Order](a.NewID()), Tenant: c.Tenant, Number: number, ExternalID: in.ExternalID,
				Customer: customer, State: order.Draft,
				Policy: policy, Version: 0, Currency: known.Settings.Currency, UpdatedAt: tx.Now(),
			}
			o.CreatedAt = o.ID.Time() // lists filter by time on the key, so the two must agree
			if known.Settings.Currency != CatalogCurrency {
				o.FX = known.Rate
			}
			for i, snap := range snaps {
				o.Items = append(o.Items, a.newItem(in.Items[i], snap, i+1))
			}
			o.Due = o.Totals().DueNow
			o.Record(order.Event{Type: order.EvCreated, From: order.Draft})
			agg := &Aggregate{Order: o, Settings: known.Settings, Customer: known.Customer}
			o.Version = 1
			if err := a.record(tx, agg, c.cause()); err != nil {
				return nil, err
			}
			tx.Insert(agg)
			return agg, nil
		})
		if !errors.Is(err, ErrNumberTaken) {
			return agg, err
		}
	}
	return nil, err
}

func (a *App) customerOf(c Caller, named string) (tenant.MemberID, error) {
	m, err := id.Parse[tenant.Member](named)
	if named == "" || err == nil && m == c.Member {
		return c.Member, nil
	}
	if c.Role == tenant.Customer {
		return tenant.MemberID{}, fault.New(fault.KindForbidden, fault.CodeForbidden,
			"Only an operator may order for somebody else.")
	}
	if err != nil {
		return m, fault.Violated([]fault.Violation{
			{Pointer: "/customer_id", Code: "unknown-customer", Message: "There is no such member in your organisation."},
		})
	}
	return m, nil
}

// checkHead checks what is not an item.
func checkHead(externalID, policy string) (order.Policy, []fault.Violation) {
	var faults []fault.Violation
	p, ok := order.ParsePolicy(policy)
	if !ok {
		faults = append(faults, fault.Violation{
			Pointer: "/fulfillment_policy", Code: "unknown-policy", Message: "This is no fulfilment policy.",
			Allowed: []any{"per_item", "all_or_nothing"},
		})
	}
	return p, append(faults, textFaults("/external_id", externalID, 64)...)
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// drawNumber draws ORD- and 8 Crockford base32 characters (D16): no counter tells how many there are.
func drawNumber(random io.Reader) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw an order number: %w", err)
	}
	for i := range b {
		b[i] = crockford[b[i]&31]
	}
	return "ORD-" + string(b[:]), nil
}
