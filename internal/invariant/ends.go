package invariant

import "slices"

// truthfulEnds is I12 (D4): an order that failed or was cancelled has only items that were rolled
// back or cancelled, nothing at the provider, every refund due accepted, and its event comes after
// the events of all that. A refund that bounced later had been accepted.
func truthfulEnds(l *look) {
	if l.Cloud == nil {
		l.without("no provider's ledger was read: resources not looked for")
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		if o.State != "failed" && o.State != "cancelled" {
			continue
		}
		l.seen++
		for _, it := range l.itemsOf[o.ID] {
			if it.State != "rolled_back" && it.State != "cancelled" {
				l.broken(o.ID, "%s, and item %s is %s", o.State, it.ID, it.State)
			}
			if n := len(l.liveOf[it.ID]); n > 0 && l.rest(o) {
				l.broken(o.ID, "%s, and item %s has %d resources", o.State, it.ID, n)
			}
		}
		if p := l.live(o.ID); p != nil {
			for _, a := range l.allocations[p.ID] {
				if r := l.refund(p, a.Item); r == nil || !r.accepted() && r.AcceptedAt.IsZero() {
					l.broken(o.ID, "%s, and the refund of item %s was not accepted", o.State, a.Item)
				}
			}
		}
		l.lastWord(o)
	}
}

// lastWord asks that nothing which the order's end rests on is told after it.
func (l *look) lastWord(o *Order) {
	ended, back := 0, map[string]bool{} // back: whose refund was accepted, so that a second time follows a bounce
	for _, e := range l.events[o.ID] {
		switch e.Type {
		case "order.failed", "order.cancelled":
			ended = e.Seq
		case "order.restored":
			ended, back = 0, map[string]bool{}
		case "order.item-rolled-back", "order.item-cancelled", "billing.refund-accepted":
			if again := e.Refund != nil && back[e.Refund.Item]; ended > 0 && !again {
				l.broken(o.ID, "event %d %s comes after the order's end, number %d", e.Seq, e.Type, ended)
			}
			if e.Refund != nil {
				back[e.Refund.Item] = true
			}
		}
	}
}

// causeToMove is I14: whatever is not over has something that will move it: work that is due, a
// hold, an expiry, or a person's desk with a dead letter. A draft needs none: drafts do not expire.
func causeToMove(l *look) {
	for i := range l.Orders {
		o := &l.Orders[i]
		if o.State == "draft" {
			continue
		}
		l.seen++
		for _, r := range l.refundsOf[o.ID] {
			if r.State == "requested" && !l.has(o, func(u *Task) bool {
				return u.Kind == "refund" && u.Item == r.Item && u.Payment == r.Payment && u.live()
			}) {
				l.broken(o.ID, "refund %s is requested, and no work will make it", r.ID)
			}
			if r.State == "stuck" && r.AcceptedAt.IsZero() && !l.onDesk(o, "refund", r.Item) {
				l.broken(o.ID, "refund %s is stuck, and no dead letter says so", r.ID)
			}
		}
		if over(o.State) {
			continue
		}
		switch o.State {
		case "pending_payment":
			if !o.Expires {
				l.broken(o.ID, "waits for its payment, and never expires")
			}
		case "payment_confirmed", "validating":
			validates := l.has(o, func(u *Task) bool { return u.Kind == "validate" && u.live() && !u.NextAt.IsZero() })
			if o.Closing == "" && !o.Held && !validates {
				l.broken(o.ID, "is %s, and no work will validate it", o.State)
			}
		default:
			for _, it := range l.itemsOf[o.ID] {
				l.itemMoves(o, it)
			}
		}
	}
}

func (l *look) has(o *Order, match func(*Task) bool) bool {
	return slices.ContainsFunc(l.tasksOf[o.ID], match)
}

func (l *look) onDesk(o *Order, source, item string) bool {
	return slices.ContainsFunc(l.deadLettersOf[o.ID], func(d *DeadLetter) bool {
		return d.Source == source && d.Item == item && (d.State == "open" || d.State == "parked")
	})
}

// itemMoves asks what will move an item of an order that is being fulfilled.
func (l *look) itemMoves(o *Order, it *Item) {
	refunding := slices.ContainsFunc(l.refundsOf[o.ID], func(r *Refund) bool {
		return r.Item == it.ID && (r.State == "requested" || r.State == "stuck")
	})
	switch it.State {
	case "delivered", "rolled_back", "cancelled":
	case "stuck":
		if !l.onDesk(o, "step", it.ID) {
			l.broken(o.ID, "item %s is stuck, and no dead letter says so", it.ID)
		}
	case "active":
		waits := o.Policy == "all_or_nothing" && slices.ContainsFunc(l.itemsOf[o.ID], func(other *Item) bool {
			return other.State != "active" && other.State != "delivered"
		})
		if !waits && !l.working(it, "deliver") && !l.onDesk(o, "mail", it.ID) {
			l.broken(o.ID, "item %s is active, and no work will deliver it", it.ID)
		}
	case "compensating":
		if !l.working(it, "provision") && !refunding {
			l.broken(o.ID, "item %s is going back, and neither clean-up nor refund is under way", it.ID)
		}
	default:
		if !l.working(it, "provision") {
			l.broken(o.ID, "item %s is %s, and no work will build it", it.ID, it.State)
		}
	}
}

// noWorkForTheEnded is I15, as far as rows show it: no live provisioning of an item that is over, no
// second live one of any item, and every task belongs to an order that is there.
func noWorkForTheEnded(l *look) {
	live := map[string]string{}
	for i := range l.Tasks {
		u := &l.Tasks[i]
		l.seen++
		if l.orders[u.Order] == nil {
			l.broken(u.Order, "task %s is of an order that is not there", u.ID)
		}
		if u.Kind != "provision" || !u.live() {
			continue
		}
		if it := l.items[u.Item]; it == nil || it.State == "delivered" || it.State == "rolled_back" ||
			it.State == "cancelled" {
			l.broken(u.Order, "task %s works on item %s, which is over", u.ID, u.Item)
		}
		if other, twice := live[u.Item]; twice {
			l.broken(u.Order, "tasks %s and %s both work on item %s", other, u.ID, u.Item)
		}
		live[u.Item] = u.ID
	}
}
