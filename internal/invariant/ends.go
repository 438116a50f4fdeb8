package invariant

import "slices"

// trueEnds is I12 (D4): an order that failed or was cancelled has only items that were rolled back or cancelled, no
// resource at the provider, and an accepted refund for every allocation. Its event comes after the events of all
// that. A refund that bounced later was accepted before.
func trueEnds(l *inspection) {
	if l.Cloud == nil {
		l.without("no provider's ledger was read: resources are not checked")
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		if o.State != "failed" && o.State != "cancelled" {
			continue
		}
		l.seen++
		for _, it := range l.itemsOf[o.ID] {
			if it.State != "rolled_back" && it.State != "cancelled" {
				l.broken(o.ID, "%s, but item %s is %s", o.State, it.ID, it.State)
			}
			if n := len(l.liveOf[it.ID]); n > 0 && l.atRest(o) {
				l.broken(o.ID, "%s, but item %s has %d resources", o.State, it.ID, n)
			}
		}
		if p := l.livePayment(o.ID); p != nil {
			for _, a := range l.allocations[p.ID] {
				if r := l.refund(p, a.Item); r == nil || !r.accepted() && r.AcceptedAt.IsZero() {
					l.broken(o.ID, "%s, but the refund of item %s was not accepted", o.State, a.Item)
				}
			}
		}
		l.nothingAfterEnd(o)
	}
}

// nothingAfterEnd checks that no event which the order's end depends on comes after it.
func (l *inspection) nothingAfterEnd(o *Order) {
	ended := 0
	refunded := map[string]bool{} // items with an accepted refund; a second acceptance follows a bounce
	for _, e := range l.events[o.ID] {
		switch e.Type {
		case "order.failed", "order.cancelled":
			ended = e.Seq
		case "order.restored":
			ended, refunded = 0, map[string]bool{}
		case "order.item-rolled-back", "order.item-cancelled", "billing.refund-accepted":
			if again := e.Refund != nil && refunded[e.Refund.Item]; ended > 0 && !again {
				l.broken(o.ID, "event %d %s comes after the order's end, number %d", e.Seq, e.Type, ended)
			}
			if e.Refund != nil {
				refunded[e.Refund.Item] = true
			}
		}
	}
}

// causeToMove is I14: whatever has not ended has something that will move it: a task that is due, a hold, an expiry,
// or a dead letter on the fallout desk. A draft needs nothing, because drafts do not expire.
func causeToMove(l *inspection) {
	for i := range l.Orders {
		o := &l.Orders[i]
		if o.State == "draft" {
			continue
		}
		l.seen++
		for _, r := range l.refundsOf[o.ID] {
			if r.State == "requested" && !l.hasTask(o, func(u *Task) bool {
				return u.Kind == "refund" && u.Item == r.Item && u.Payment == r.Payment && u.live()
			}) {
				l.broken(o.ID, "refund %s is requested, but no task will make it", r.ID)
			}
			if r.State == "stuck" && r.AcceptedAt.IsZero() && !l.hasOpenDeadLetter(o, "refund", r.Item) {
				l.broken(o.ID, "refund %s is stuck, but has no dead letter", r.ID)
			}
		}
		if over(o.State) {
			continue
		}
		switch o.State {
		case "pending_payment":
			if !o.Expires {
				l.broken(o.ID, "waits for its payment, but never expires")
			}
		case "payment_confirmed", "validating":
			validates := l.hasTask(o, func(u *Task) bool { return u.Kind == "validate" && u.live() && !u.NextAt.IsZero() })
			if o.Closing == "" && !o.Held && !validates {
				l.broken(o.ID, "is %s, but no task will validate it", o.State)
			}
		default:
			for _, it := range l.itemsOf[o.ID] {
				l.itemHasCause(o, it)
			}
		}
	}
}

func (l *inspection) hasTask(o *Order, match func(*Task) bool) bool {
	return slices.ContainsFunc(l.tasksOf[o.ID], match)
}

func (l *inspection) hasOpenDeadLetter(o *Order, source, item string) bool {
	return slices.ContainsFunc(l.deadLettersOf[o.ID], func(d *DeadLetter) bool {
		return d.Source == source && d.Item == item && (d.State == "open" || d.State == "parked")
	})
}

// itemHasCause checks that something will move an item of an order in fulfilment.
func (l *inspection) itemHasCause(o *Order, it *Item) {
	refunding := slices.ContainsFunc(l.refundsOf[o.ID], func(r *Refund) bool {
		return r.Item == it.ID && (r.State == "requested" || r.State == "stuck")
	})
	switch it.State {
	case "delivered", "rolled_back", "cancelled":
	case "stuck":
		if !l.hasOpenDeadLetter(o, "step", it.ID) {
			l.broken(o.ID, "item %s is stuck, but has no dead letter", it.ID)
		}
	case "active":
		waits := o.Policy == "all_or_nothing" && slices.ContainsFunc(l.itemsOf[o.ID], func(other *Item) bool {
			return other.State != "active" && other.State != "delivered"
		})
		if !waits && !l.hasLiveTask(it, "deliver") && !l.hasOpenDeadLetter(o, "mail", it.ID) {
			l.broken(o.ID, "item %s is active, but no task will deliver it", it.ID)
		}
	case "compensating":
		if !l.hasLiveTask(it, "provision") && !refunding {
			l.broken(o.ID, "item %s is compensating, but neither clean-up nor refund is under way", it.ID)
		}
	default:
		if !l.hasLiveTask(it, "provision") {
			l.broken(o.ID, "item %s is %s, but no task will build it", it.ID, it.State)
		}
	}
}

// noWorkAfterEnd is I15, as far as rows show it: an item that has ended has no live provision task, no item has two,
// and every task belongs to an existing order.
func noWorkAfterEnd(l *inspection) {
	live := map[string]string{}
	for i := range l.Tasks {
		u := &l.Tasks[i]
		l.seen++
		if l.orders[u.Order] == nil {
			l.broken(u.Order, "task %s belongs to an order that does not exist", u.ID)
		}
		if u.Kind != "provision" || !u.live() {
			continue
		}
		if it := l.items[u.Item]; it == nil || it.State == "delivered" || it.State == "rolled_back" ||
			it.State == "cancelled" {
			l.broken(u.Order, "task %s works on item %s, which has ended", u.ID, u.Item)
		}
		if other, found := live[u.Item]; found {
			l.broken(u.Order, "tasks %s and %s both work on item %s", other, u.ID, u.Item)
		}
		live[u.Item] = u.ID
	}
}
