// Package analytics works out what an order's events add to the figures of its tenant (D25): how many orders
// are in which state, and which money moved when. It knows moments and no days, because the day of a moment
// depends on the tenant's time zone, which the roll-up applies. It must not know a database.
package analytics

import (
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Projection is what the events of one order have added to the figures so far. One in which only Tenant and
// Order are set has seen no event yet.
type Projection struct {
	Tenant    tenant.ID
	Order     order.ID
	CreatedAt time.Time
	State     order.State
	Currency  money.Currency
	Due       money.Cents
	Payments  int // confirmed and not reverted
}

// Refund is a refund that was accepted at least once.
type Refund struct {
	AcceptedAt time.Time // when it was accepted first: one that bounces and is accepted again keeps that day
	Counts     bool      // whether it is accepted now
}

// Count is a difference to add to the sums of one state and currency, on the day of At, when the order was
// created.
type Count struct {
	Tenant   tenant.ID
	At       time.Time
	State    order.State
	Currency money.Currency
	Orders   int
	Paid     int         // how many of them have a confirmed payment that was not reverted
	PaidDue  money.Cents // what those with a payment cost
}

// Movement is money that moved at a moment. It is negative when it takes back an amount that was counted before.
type Movement struct {
	Tenant             tenant.ID
	At                 time.Time
	Currency           money.Currency
	Captured, Refunded money.Cents
}

// Take applies an event and returns the money that it moved. The events of an order must come in sequence and
// each only once, because a repeated event would count its money again. refunds holds the order's refunds
// that were accepted at least once; Take updates it.
func (p *Projection) Apply(ev event.Event, refunds map[order.RefundID]Refund) ([]Movement, error) {
	d := ev.Payload
	state, ok := order.ParseState(d.To)
	if !ok {
		return nil, fmt.Errorf("event %d of order %s: %q is no state", ev.Seq, ev.Order, d.To)
	}
	due, err := cents(ev, d.Due)
	if err != nil {
		return nil, err
	}
	if p.State == 0 { // the time of creation never changes
		p.CreatedAt = d.CreatedAt
	}
	p.State, p.Currency, p.Due = state, d.Due.Currency, due
	switch {
	case d.Refund != nil:
		return p.refund(ev, refunds)
	case d.Payment != nil && ev.Type == order.EvPaymentConfirmed:
		return p.payment(ev, 1)
	case d.Payment != nil && ev.Type == order.EvPaymentReverted:
		return p.payment(ev, -1)
	}
	return nil, nil
}

// payment counts a payment at the moment it was made. A sign of -1 takes it back from there, because a reverted
// payment counts on neither side (D11); it has no refunds, which need a payment that was not reverted.
func (p *Projection) payment(ev event.Event, sign int) ([]Movement, error) {
	pay := ev.Payload.Payment
	paid, err := cents(ev, pay.Amount)
	if err != nil {
		return nil, err
	}
	p.Payments += sign
	return []Movement{{
		Tenant: p.Tenant, At: pay.PaidAt, Currency: pay.Amount.Currency, Captured: money.Cents(sign) * paid,
	}}, nil
}

// refund counts a refund at the moment it was accepted first, for as long as it is accepted.
func (p *Projection) refund(ev event.Event, refunds map[order.RefundID]Refund) ([]Movement, error) {
	r := ev.Payload.Refund
	amount, err := cents(ev, r.Amount)
	if err != nil {
		return nil, err
	}
	known, before := refunds[r.ID]
	counts := r.State == order.RefundAccepted.String() || r.State == order.RefundCompleted.String()
	if counts == known.Counts {
		return nil, nil
	}
	if !before {
		known.AcceptedAt = ev.At
	}
	known.Counts = counts
	refunds[r.ID] = known
	if !counts {
		amount = -amount
	}
	return []Movement{{Tenant: p.Tenant, At: known.AcceptedAt, Currency: r.Amount.Currency, Refunded: amount}}, nil
}

func cents(ev event.Event, a event.Amount) (money.Cents, error) {
	c, err := money.ParseDecimal(a.Amount, a.Currency)
	if err != nil {
		return 0, fmt.Errorf("event %d of order %s: %w", ev.Seq, ev.Order, err)
	}
	return c, nil
}

// Since returns the differences that replace the order as it was before by the order as it is now.
func (p Projection) CountsSince(before Projection) []Count {
	if p == before {
		return nil
	}
	var counts []Count
	if before.State != 0 {
		c := before.count()
		c.Orders, c.Paid, c.PaidDue = -c.Orders, -c.Paid, -c.PaidDue
		counts = append(counts, c)
	}
	return append(counts, p.count())
}

func (p Projection) count() Count {
	c := Count{Tenant: p.Tenant, At: p.CreatedAt, State: p.State, Currency: p.Currency, Orders: 1}
	if p.Payments > 0 {
		c.Paid, c.PaidDue = 1, p.Due
	}
	return c
}
