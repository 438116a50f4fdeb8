package invariant

import (
	"maps"
	"slices"
)

// balancedMoney is I7 (D11): captured less refunded is what is allocated to the live items, which are those without
// an accepted refund. A reverted payment counts on neither side. The allocations of a payment add up to its amount,
// to the cent, and are those of exactly the order's items. Billing's ledger, which is kept from the events only, has
// the same amount for each payment and each refund.
func balancedMoney(l *inspection) {
	for i := range l.Payments {
		p := &l.Payments[i]
		l.seen++
		var allocated, refunded, live int64
		shares := map[string]bool{}
		for _, a := range l.allocations[p.ID] {
			allocated += a.Cents
			shares[a.Item] = true
			if r := l.refund(p, a.Item); r != nil && r.accepted() {
				refunded += r.Cents
			} else {
				live += a.Cents
			}
		}
		if allocated != p.PaidCents {
			l.broken(p.Order, "payment %s is %d, its allocations add up to %d", p.ID, p.PaidCents, allocated)
		} else if p.State != "reverted" && p.PaidCents-refunded != live {
			l.broken(p.Order, "payment %s: captured %d - refunded %d is not the %d of the live items",
				p.ID, p.PaidCents, refunded, live)
		}
		if p.State == "refunded" && refunded != p.PaidCents {
			l.broken(p.Order, "payment %s is refunded, but only %d of %d", p.ID, refunded, p.PaidCents)
		}
		l.sharesOfItems(p, shares)
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		if paid, p := mustBePaid(o.State), l.livePayment(o.ID); paid && p == nil {
			l.broken(o.ID, "is %s without a payment", o.State)
		} else if p != nil && p.Currency != o.Currency {
			l.broken(o.ID, "is in %s, its payment in %s", o.Currency, p.Currency)
		}
		l.ledgerMatches(o)
	}
	for _, f := range l.BillingFindings {
		l.broken(f.Order, "Billing found %d left in its ledger, or a ledger that does not balance, at number %d",
			f.Cents, f.Seq)
	}
}

// ledgerMatches compares the receipts of an order at rest with its payments and refunds, unless an event is parked
// or was abandoned.
func (l *inspection) ledgerMatches(o *Order) {
	unapplied := func(d *DeadLetter) bool { return d.Consumer == "billing" && d.State != "redriven" }
	if !l.atRest(o) || slices.ContainsFunc(l.deadLettersOf[o.ID], unapplied) {
		return
	}
	ledger := map[string]int64{}
	for _, r := range l.receiptsOf[o.ID] {
		if e := l.eventByID[r.Event]; e != nil {
			ledger[r.Subject] += r.Moved
		}
	}
	for _, p := range l.paymentsOf[o.ID] {
		want := p.PaidCents
		if p.State == "reverted" {
			want = 0
		}
		if got := ledger[p.ID]; got != want {
			l.broken(o.ID, "payment %s is %d in Billing's ledger, want %d", p.ID, got, want)
		}
		delete(ledger, p.ID)
	}
	for _, r := range l.refundsOf[o.ID] {
		want := int64(0)
		if r.accepted() {
			want = -r.Cents
		}
		if got := ledger[r.ID]; got != want {
			l.broken(o.ID, "refund %s is %d in Billing's ledger, want %d", r.ID, got, want)
		}
		delete(ledger, r.ID)
	}
	for _, subject := range slices.Sorted(maps.Keys(ledger)) {
		if cents := ledger[subject]; cents != 0 {
			l.broken(o.ID, "Billing's ledger has %d for %q, which is not a payment or refund of the order", cents, subject)
		}
	}
}

func (l *inspection) sharesOfItems(p *Payment, shares map[string]bool) {
	if p.State != "confirmed" {
		return // the draft may have been edited since
	}
	for _, it := range l.itemsOf[p.Order] {
		if !shares[it.ID] {
			l.broken(p.Order, "item %s has no share of payment %s", it.ID, p.ID)
		}
		delete(shares, it.ID)
	}
	if len(shares) > 0 {
		l.broken(p.Order, "payment %s is allocated to %d items that the order does not have", p.ID, len(shares))
	}
}

// mustBePaid reports whether an order in this state must have a payment.
func mustBePaid(state string) bool {
	switch state {
	case "payment_confirmed", "validating", "provisioning", "partially_fulfilled", "fulfilled", "failed":
		return true
	}
	return false
}

// refundsBounded is I9: no more is refunded than was paid, a reference is captured once, and an item is refunded once
// per payment, with exactly its allocation and in the payment's currency.
func refundsBounded(l *inspection) {
	references := map[string]string{}
	for i := range l.Payments {
		p := &l.Payments[i]
		l.seen++
		name := p.Tenant + " " + p.Provider + " " + p.Reference
		if other, used := references[name]; used {
			l.broken(p.Order, "payment %s has the reference %q of payment %s", p.ID, p.Reference, other)
		}
		references[name] = p.ID
		var sum int64
		accepted := map[string]int{}
		for _, r := range l.refundsOf[p.Order] {
			if r.Payment != p.ID {
				continue
			}
			if share, ok := l.share(p, r.Item); !ok || share != r.Cents || r.Currency != p.Currency {
				l.broken(p.Order, "refund %s of item %s is %d %s, its allocation is %d %s",
					r.ID, r.Item, r.Cents, r.Currency, share, p.Currency)
			}
			if r.accepted() {
				sum += r.Cents
				accepted[r.Item]++
			}
			if accepted[r.Item] > 1 {
				l.broken(p.Order, "item %s was refunded %d times of payment %s", r.Item, accepted[r.Item], p.ID)
			}
		}
		if sum > p.PaidCents {
			l.broken(p.Order, "%[3]d of payment %[1]s, which is %[2]d, was refunded", p.ID, p.PaidCents, sum)
		}
	}
	for i := range l.Refunds {
		r := &l.Refunds[i]
		known := false
		for _, p := range l.paymentsOf[r.Order] {
			known = known || p.ID == r.Payment
		}
		if !known {
			l.broken(r.Order, "refund %s belongs to no payment of its order", r.ID)
		}
	}
}

// share returns an item's share of a payment. It reports false if the item has none.
func (x *index) share(p *Payment, item string) (int64, bool) {
	for _, a := range x.allocations[p.ID] {
		if a.Item == item {
			return a.Cents, true
		}
	}
	return 0, false
}
