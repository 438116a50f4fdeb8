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

// CreateOrder describes a new draft, which may be empty (D27). Only an operator may name another Customer; the
// event then names both.
type CreateOrder struct {
	ExternalID string
	Policy     string
	Customer   string
	Items      []ItemInput
}

// ErrNumberTaken is returned by a Store when an order number is in use. The caller draws another one.
var ErrNumberTaken = errors.New("order number is taken")

// CreateOrder creates a draft. Order, items, event and outbox row commit together or not at all. An external_id
// that is in use is a conflict that names its order; an external_id never becomes free again.
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
	for range 3 { // a number has 40 random bits, so a clash within a tenant is rare
		var agg *Aggregate
		agg, err = a.write(ctx, c, func(tx Tx) (*Aggregate, error) {
			known, err := tx.Prepare(ctx, NewOrder{Customer: customer, ExternalID: in.ExternalID})
			if err != nil {
				return nil, err
			}
			if err := c.requireKey(known.Settings); err != nil {
				return nil, err
			}
			policy, faults := checkOrderFields(in.ExternalID, in.Policy)
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
			o.CreatedAt = o.ID.Time() // lists filter by time on the id, so the two must agree
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

// checkOrderFields checks the fields of the order itself, without its items.
func checkOrderFields(externalID, policy string) (order.Policy, []fault.Violation) {
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

// drawNumber returns "ORD-" and 8 random Crockford base32 characters (D16), so that a number does not reveal how
// many orders there are.
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
