package invariant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// figures is the consumer that keeps the roll-up, by its name in the inbox; it hears every event.
const figures = "portal-analytics"

// dayFormat is how a day of the roll-up is written.
const dayFormat = "2006-01-02"

// countedRight is I25 (D25): by day, state and currency the roll-up holds the orders that were created then,
// how many of them have a payment that was not reverted, and what those ask for; by day and currency what was
// paid and what was refunded then, a reverted payment on neither side. It is asked of tenants of whose orders
// every event was taken in: marks and figures move together, so theirs agree at any moment.
func countedRight(l *look) {
	taken := map[string]int{}
	for _, m := range l.Checkpoints {
		if m.Consumer == figures {
			taken[m.Order] = m.Seq
		}
	}
	behind := map[string]string{} // by tenant
	for i := range l.Orders {
		o := &l.Orders[i]
		if taken[o.ID] == o.LastSeq {
			continue
		}
		if behind[o.Tenant] = o.ID; l.restOf(o.ID) && !l.parkedFigures(o.ID) {
			l.broken(o.ID, "the figures have taken in %d of its %d events", taken[o.ID], o.LastSeq)
		}
	}
	counted := map[string]bool{}
	for _, r := range l.Rollups {
		counted[r.Tenant] = true
		l.seen++
		if _, is := behind[r.Tenant]; is {
			l.without("tenant " + r.Tenant + " has events that were not taken in yet")
			continue
		}
		zone, err := time.LoadLocation(r.Zone)
		if err != nil {
			l.broken("", "tenant %s is counted by the days of %q, which is no time zone", r.Tenant, r.Zone)
			continue
		}
		l.sameDays(r.Tenant, l.recount(r.Tenant, zone))
	}
	for _, o := range l.Orders {
		if !counted[o.Tenant] && l.restOf(o.ID) {
			l.broken(o.ID, "its tenant %s was never counted", o.Tenant)
		}
	}
}

func (l *look) parkedFigures(order string) bool {
	return slices.ContainsFunc(l.Checkpoints, func(m Checkpoint) bool {
		return m.Order == order && m.Consumer == figures && m.Parked != 0
	})
}

// cell is a day's entry of the roll-up: of orders in a state, or, without a state, of money.
type cell struct{ day, state, currency string }

// recount is what the roll-up must hold for a tenant.
func (l *look) recount(tenant string, zone *time.Location) map[cell]Amounts {
	want := map[cell]Amounts{}
	add := func(at time.Time, state, currency string, a Amounts) {
		c := cell{at.In(zone).Format(dayFormat), state, currency}
		sum := want[c]
		for i := range sum {
			sum[i] += a[i]
		}
		want[c] = sum
	}
	paid, reverted := map[string]bool{}, map[string]bool{}
	for _, p := range l.Payments {
		if p.Tenant != tenant {
			continue
		}
		if reverted[p.ID] = p.State == "reverted"; !reverted[p.ID] {
			paid[p.Order] = true
			add(p.PaidAt, "", p.Currency, Amounts{p.PaidCents, 0})
		}
	}
	for _, r := range l.Refunds {
		if r.Tenant == tenant && r.accepted() && !reverted[r.Payment] {
			add(r.AcceptedAt, "", r.Currency, Amounts{0, r.Cents})
		}
	}
	for _, o := range l.Orders {
		switch {
		case o.Tenant != tenant:
		case paid[o.ID]:
			add(o.CreatedAt, o.State, o.Currency, Amounts{1, 1, o.DueCents})
		default:
			add(o.CreatedAt, o.State, o.Currency, Amounts{1})
		}
	}
	return want
}

// sameDays compares the roll-up with what it must hold. What is zero need not be there.
func (l *look) sameDays(tenant string, want map[cell]Amounts) {
	got := map[cell]Amounts{}
	for _, d := range l.Days {
		if d.Tenant == tenant {
			got[cell{d.Day, d.State, d.Currency}] = d.Amounts
		}
	}
	cells := slices.Collect(maps.Keys(want))
	cells = slices.AppendSeq(cells, maps.Keys(got))
	slices.SortFunc(cells, func(a, b cell) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for _, c := range slices.Compact(cells) {
		if want[c] != got[c] {
			l.broken("", "tenant %s, %s: the roll-up says %v of %s in %s, the rows say %v", tenant, c.day, got[c],
				orMoney(c.state), c.currency, want[c])
		}
	}
}

func orMoney(state string) string {
	if state == "" {
		return "captured and refunded"
	}
	return "orders, paid and due of " + state
}
