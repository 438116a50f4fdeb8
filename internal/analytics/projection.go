// Package analytics works out what an order's events add to the figures of its tenant (D25): how many orders
// stand in which state, and which money moved when. It knows no day: which one a moment belongs to is the
// tenant's time zone's matter, and whoever books asks it. It knows no database either.
package analytics

import (
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Fold is what was taken in of one order. The zero Fold of a tenant and an order has taken in nothing.
type Projection struct {
	Tenant    tenant.ID
	Order     order.ID
	CreatedAt time.Time
	State     order.State
	Currency  money.Currency
	Due       money.Cents
	Payments  int // confirmed and not reverted
}

// Refund is what was taken in of a refund that was accepted once.
type Refund struct {
	AcceptedAt time.Time // the first time: what bounces and is accepted again still moved on that day
	Counts     bool      // it is accepted now
}

// Count is added to the orders that were created when At was, in that state and currency.
type Count struct {
	Tenant   tenant.ID
	At       time.Time
	State    order.State
	Currency money.Currency
	Orders   int
	Paid     int         // of them, with a confirmed payment that was not reverted
	PaidDue  money.Cents // what those ask for
}

// Movement is money that moved at a moment. It is negative when what was counted there counts no more.
type Movement struct {
	Tenant             tenant.ID
	At                 time.Time
	Currency           money.Currency
	Captured, Refunded money.Cents
}

// Take takes an event in and gives the money it moved. The events of an order come in their order, each once:
// the same twice would count its money twice. refunds holds the order's refunds that were accepted once, and
// is changed.
func (f *Projection) Take(ev event.Event, refunds map[order.RefundID]Refund) ([]Movement, error) {
	d := ev.Payload
	state, ok := order.ParseState(d.To)
	if !ok {
		return nil, fmt.Errorf("event %d of order %s: %q is no state", ev.Seq, ev.Order, d.To)
	}
	due, err := cents(ev, d.Due)
	if err != nil {
		return nil, err
	}
	if f.State == 0 { // it never changes
		f.CreatedAt = d.CreatedAt
	}
	f.State, f.Currency, f.Due = state, d.Due.Currency, due
	switch {
	case d.Refund != nil:
		return f.refund(ev, refunds)
	case d.Payment != nil && ev.Type == order.EvPaymentConfirmed:
		return f.payment(ev, 1)
	case d.Payment != nil && ev.Type == order.EvPaymentReverted:
		return f.payment(ev, -1)
	}
	return nil, nil
}

// payment counts a payment on the day it was made, or takes it back from there: a reverted one counts on
// neither side (D11). It has no refunds, which ask for a live payment.
func (f *Projection) payment(ev event.Event, sign int) ([]Movement, error) {
	p := ev.Payload.Payment
	paid, err := cents(ev, p.Amount)
	if err != nil {
		return nil, err
	}
	f.Payments += sign
	return []Movement{{Tenant: f.Tenant, At: p.PaidAt, Currency: p.Amount.Currency, Captured: money.Cents(sign) * paid}},
		nil
}

// refund counts a refund on the day it was accepted first, while it is accepted.
func (f *Projection) refund(ev event.Event, refunds map[order.RefundID]Refund) ([]Movement, error) {
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
	return []Movement{{Tenant: f.Tenant, At: known.AcceptedAt, Currency: r.Amount.Currency, Refunded: amount}}, nil
}

func cents(ev event.Event, a event.Amount) (money.Cents, error) {
	c, err := money.ParseDecimal(a.Amount, a.Currency)
	if err != nil {
		return 0, fmt.Errorf("event %d of order %s: %w", ev.Seq, ev.Order, err)
	}
	return c, nil
}

// Since gives what has to be added to the counts so that they hold an order as it is now instead of as it
// was before.
func (f Projection) Since(before Projection) []Count {
	if f == before {
		return nil
	}
	var all []Count
	if before.State != 0 {
		c := before.count()
		c.Orders, c.Paid, c.PaidDue = -c.Orders, -c.Paid, -c.PaidDue
		all = append(all, c)
	}
	return append(all, f.count())
}

func (f Projection) count() Count {
	c := Count{Tenant: f.Tenant, At: f.CreatedAt, State: f.State, Currency: f.Currency, Orders: 1}
	if f.Payments > 0 {
		c.Paid, c.PaidDue = 1, f.Due
	}
	return c
}
