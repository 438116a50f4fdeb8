package invariant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// figures is the name of the consumer that keeps the roll-up, in the inbox. Every event is routed to it.
const figures = "portal-analytics"

// dayFormat is the format of a day in the roll-up.
const dayFormat = "2006-01-02"

// matchingFigures is I25 (D25). By day, state and currency the roll-up holds the number of orders that were created
// on the day, how many of them have a payment that was not reverted, and the amount due for those. By day and
// currency it holds what was paid and what was refunded on the day; a reverted payment counts on neither side. The
// figures are checked for tenants whose events are all in them: checkpoints and figures change in one transaction,
// so theirs match at any moment.
func matchingFigures(l *inspection) {
	applied := map[string]int{}
	for _, m := range l.Checkpoints {
		if m.Consumer == figures {
			applied[m.Order] = m.Seq
		}
	}
	behind := map[string]string{} // by tenant
	for i := range l.Orders {
		o := &l.Orders[i]
		if applied[o.ID] == o.LastSeq {
			continue
		}
		if behind[o.Tenant] = o.ID; l.orderAtRest(o.ID) && !l.figuresParked(o.ID) {
			l.broken(o.ID, "the figures include %d of its %d events", applied[o.ID], o.LastSeq)
		}
	}
	counted := map[string]bool{}
	for _, r := range l.Rollups {
		counted[r.Tenant] = true
		l.seen++
		if _, is := behind[r.Tenant]; is {
			l.without("tenant " + r.Tenant + " has events that are not in the figures yet")
			continue
		}
		zone, err := time.LoadLocation(r.Zone)
		if err != nil {
			l.broken("", "tenant %s is counted by the days of %q, which is not a time zone", r.Tenant, r.Zone)
			continue
		}
		l.compareDays(r.Tenant, l.recount(r.Tenant, zone))
	}
	for _, o := range l.Orders {
		if !counted[o.Tenant] && l.orderAtRest(o.ID) {
			l.broken(o.ID, "its tenant %s was never counted", o.Tenant)
		}
	}
}

func (l *inspection) figuresParked(order string) bool {
	return slices.ContainsFunc(l.Checkpoints, func(m Checkpoint) bool {
		return m.Order == order && m.Consumer == figures && m.Parked != 0
	})
}

// cell is a day's entry of the roll-up: of orders in a state, or, without a state, of money.
type cell struct{ day, state, currency string }

// recount returns what the roll-up must hold for a tenant.
func (l *inspection) recount(tenant string, zone *time.Location) map[cell]Amounts {
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

// compareDays compares the roll-up with what it must hold. An entry of zeros may be missing.
func (l *inspection) compareDays(tenant string, want map[cell]Amounts) {
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
				moneyOr(c.state), c.currency, want[c])
		}
	}
}

func moneyOr(state string) string {
	if state == "" {
		return "captured and refunded"
	}
	return "orders, paid and due of " + state
}
