package invariant

import (
	"maps"
	"slices"
)

// move is a change of state.
type move struct{ from, to string }

// orderMoves is the matrix of the order's states (D2) as a second copy, written by hand: every change,
// and the event that reports it.
func orderMoves() map[move]string {
	return map[move]string{
		{"draft", "pending_payment"}:             "order.submitted",
		{"draft", "cancelled"}:                   "order.cancelled",
		{"pending_payment", "payment_confirmed"}: "order.payment-confirmed",
		{"pending_payment", "cancelled"}:         "order.cancelled", // asked, or not paid in time
		{"payment_confirmed", "pending_payment"}: "order.payment-reverted",
		{"payment_confirmed", "validating"}:      "order.validating",
		{"payment_confirmed", "cancelled"}:       "order.cancelled",
		{"validating", "pending_payment"}:        "order.payment-reverted",
		{"validating", "provisioning"}:           "order.provisioning-started",
		{"validating", "failed"}:                 "order.failed",
		{"validating", "cancelled"}:              "order.cancelled",
		{"provisioning", "partially_fulfilled"}:  "order.partially-fulfilled",
		{"provisioning", "fulfilled"}:            "order.fulfilled",
		{"provisioning", "failed"}:               "order.failed",
		{"provisioning", "cancelled"}:            "order.cancelled",
		{"partially_fulfilled", "fulfilled"}:     "order.fulfilled",
		{"partially_fulfilled", "failed"}:        "order.failed",
		{"partially_fulfilled", "cancelled"}:     "order.cancelled",
		{"cancelled", "draft"}:                   "order.restored",
	}
}

// itemMoves is the matrix of the item's states likewise. Enqueue and restore have no event of their
// own: the order's carries them.
func itemMoves() map[move]string {
	return map[move]string{
		{"pending", "queued"}:                "order.provisioning-started",
		{"pending", "cancelled"}:             "order.item-cancelled",
		{"queued", "provisioning"}:           "order.item-provisioning",
		{"queued", "cancelled"}:              "order.item-cancelled",
		{"provisioning", "active"}:           "order.item-active",
		{"provisioning", "retry_wait"}:       "order.item-retrying",
		{"provisioning", "waiting_capacity"}: "order.item-waiting",
		{"provisioning", "compensating"}:     "order.item-compensating",
		{"retry_wait", "provisioning"}:       "order.item-provisioning",
		{"retry_wait", "compensating"}:       "order.item-compensating",
		{"waiting_capacity", "provisioning"}: "order.item-provisioning",
		{"waiting_capacity", "compensating"}: "order.item-compensating",
		{"active", "delivered"}:              "order.service-delivered",
		{"active", "compensating"}:           "order.item-compensating",
		{"compensating", "rolled_back"}:      "order.item-rolled-back",
		{"compensating", "stuck"}:            "order.item-stuck",
		{"stuck", "compensating"}:            "order.item-compensating",
		{"stuck", "rolled_back"}:             "order.item-rolled-back",
		{"rolled_back", "pending"}:           "order.restored",
		{"cancelled", "pending"}:             "order.restored",
	}
}

// forward are the events that a closing order, one that is being cancelled or failed, no longer has.
func forward() []string {
	return []string{
		"order.submitted", "order.payment-confirmed", "order.payment-reverted", "order.validating",
		"order.provisioning-started", "order.held", "order.released",
	}
}

// lawfulMoves is I1. Per order the chain of events begins at draft, each starts where the last ended,
// each change stands in the matrix under the event that tells it, and the last is the row's state.
// The same for every item, from pending, by the states that each event carries along.
func lawfulMoves(l *look) {
	changes := slices.Collect(maps.Values(orderMoves()))
	for i := range l.Orders {
		o := &l.Orders[i]
		l.seen++
		es := l.events[o.ID]
		if len(es) == 0 {
			l.broken(o.ID, "it has no event at all")
			continue
		}
		if !l.readable(es) {
			continue
		}
		if first := es[0]; first.Type != "order.created" || first.From != "draft" || first.To != "draft" {
			l.broken(o.ID, "its first event is %s from %s to %s, want order.created in draft", first.Type, first.From, first.To)
		}
		state, closing := "draft", false
		for _, e := range es {
			m := move{e.From, e.To}
			tells := orderMoves()[m]
			switch {
			case e.From != state:
				l.broken(o.ID, "event %d %s starts at %s, the one before ended at %s", e.Seq, e.Type, e.From, state)
			case m.from == m.to && slices.Contains(changes, e.Type):
				l.broken(o.ID, "event %d %s changes nothing: the order stays %s", e.Seq, e.Type, e.To)
			case m.from != m.to && tells != e.Type:
				l.broken(o.ID, "event %d %s moves the order from %s to %s, which is no such move", e.Seq, e.Type, e.From, e.To)
			case closing && slices.Contains(forward(), e.Type):
				l.broken(o.ID, "event %d %s moves an order on that is on its way out", e.Seq, e.Type)
			}
			state = e.To
			closing = e.Type != "order.restored" && (closing || e.Type == "order.cancel-requested")
		}
		if state != o.State {
			l.broken(o.ID, "its events end at %s, the row is %s", state, o.State)
		}
		l.lawfulItems(o, es)
	}
}

// readable reports every event whose data is not what its schema says.
func (l *look) readable(es []happened) bool {
	ok := true
	for _, e := range es {
		if e.unread != nil {
			l.broken(e.Order, "the data of event %d %s cannot be read: %v", e.Seq, e.Type, e.unread)
			ok = false
		}
	}
	return ok
}

func (l *look) lawfulItems(o *Order, es []happened) {
	moves := itemMoves()
	was := map[string]string{}
	for _, e := range es {
		now := map[string]string{}
		for _, it := range e.Items {
			now[it.ID] = it.State
			before, known := was[it.ID]
			switch {
			case !known && e.Type != "order.created" && e.Type != "order.updated":
				l.broken(o.ID, "item %s appears with event %d %s", it.ID, e.Seq, e.Type)
			case !known && it.State != "pending":
				l.broken(o.ID, "item %s appears as %s with event %d, want pending", it.ID, it.State, e.Seq)
			case known && before != it.State && moves[move{before, it.State}] != e.Type:
				l.broken(o.ID, "event %d %s moves item %s from %s to %s, which is no such move", e.Seq,
					e.Type, it.ID, before, it.State)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(was)) {
			if now[id] == "" && e.Type != "order.updated" {
				l.broken(o.ID, "item %s is gone with event %d %s", id, e.Seq, e.Type)
			}
		}
		if f := e.Item; f != nil && f.From != f.To && (was[f.ID] != f.From || now[f.ID] != f.To) {
			l.broken(o.ID, "event %d %s says item %s went from %s to %s, the states it carries say from %s to %s", e.Seq, e.Type,
				f.ID, f.From, f.To, was[f.ID], now[f.ID])
		}
		was = now
	}
	for _, it := range l.itemsOf[o.ID] {
		if was[it.ID] != it.State {
			l.broken(o.ID, "the events leave item %s %q, the row is %s", it.ID, was[it.ID], it.State)
		}
		delete(was, it.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		l.broken(o.ID, "the events tell of item %s, which is not among the rows", id)
	}
}

// derivedState is I13: the derivation of order.Settle a second time, by hand. From provisioning on,
// and while the order is closing, the state is what follows from items and refunds, unless that is no
// move; outcome and settlement always are. A delivered item had its mail accepted.
func derivedState(l *look) {
	for i := range l.Orders {
		o := &l.Orders[i]
		l.seen++
		w := l.census(o)
		if want := w.settlement(o); o.Settlement != want {
			l.broken(o.ID, "settlement is %s, items and refunds say %s", o.Settlement, want)
		}
		if want := w.outcome(o); o.Outcome != want {
			l.broken(o.ID, "outcome is %s, the items say %s", o.Outcome, want)
		}
		if o.State == "fulfilled" && (w.open > 0 || w.delivered == 0) {
			l.broken(o.ID, "fulfilled with %d items not over and %d delivered", w.open, w.delivered)
		}
		derives := o.State == "provisioning" || o.State == "partially_fulfilled" || o.Closing != "" && !over(o.State)
		if to := w.state(o); derives && to != "" && to != o.State && follows(o, to) {
			l.broken(o.ID, "is %s, its items and refunds say %s", o.State, to)
		}
		l.deliveredByMail(o)
	}
}

func (l *look) deliveredByMail(o *Order) {
	for _, it := range l.itemsOf[o.ID] {
		if it.State != "delivered" {
			continue
		}
		if !slices.ContainsFunc(l.Deliveries, func(d Delivery) bool { return d.Item == it.ID && d.State == "accepted" }) {
			l.broken(o.ID, "item %s is delivered and no mail server accepted a delivery of it", it.ID)
		}
	}
}

// census counts what an order's state follows from.
type census struct {
	items, open, up, delivered, going, stuck, dropped int
	owed, refundsStuck, mailsStuck                    int
}

func (x *index) census(o *Order) census {
	var c census
	for _, it := range x.itemsOf[o.ID] {
		c.items++
		switch it.State {
		case "delivered":
			c.delivered++
			c.up++
		case "rolled_back", "cancelled":
			c.dropped++
		case "active":
			c.open++
			c.up++
		case "compensating":
			c.open++
			c.going++
		case "stuck":
			c.open++
			c.stuck++
		default:
			c.open++
		}
	}
	for _, r := range x.refundsOf[o.ID] {
		switch r.State {
		case "requested":
			c.owed++
		case "stuck":
			c.refundsStuck++
		}
	}
	for _, u := range x.tasksOf[o.ID] {
		if u.Kind == "deliver" && u.State == "stuck" {
			c.mailsStuck++
		}
	}
	return c
}

// over reports whether an order in this state moves by itself no more.
func over(state string) bool {
	return state == "fulfilled" || state == "cancelled" || state == "failed"
}

// settlement is stuck before compensating before settled before open (D2).
func (c census) settlement(o *Order) string {
	switch {
	case c.stuck > 0 || c.refundsStuck > 0 || c.mailsStuck > 0:
		return "stuck"
	case c.going > 0 || c.owed > 0:
		return "compensating"
	case c.open == 0 && (c.items > 0 || over(o.State)):
		return "settled"
	}
	return "open"
}

// outcome: of a fulfilled order full or partial, of every other none (D2).
func (c census) outcome(o *Order) string {
	switch {
	case o.State != "fulfilled":
		return "none"
	case c.dropped > 0:
		return "partial"
	}
	return "full"
}

// state is the first of the five rules that matches; "" when none does.
func (c census) state(o *Order) string {
	switch {
	case c.open > 0 && c.up > 0:
		return "partially_fulfilled"
	case c.open > 0:
		return "provisioning"
	case c.delivered > 0:
		return "fulfilled"
	case c.owed > 0 || c.refundsStuck > 0:
		return ""
	case o.Closing == "cancel":
		return "cancelled"
	}
	return "failed"
}

// follows reports whether a derived state is a move from the present one.
func follows(o *Order, to string) bool {
	switch o.State {
	case "payment_confirmed":
		return to == "cancelled"
	case "validating":
		return to == "cancelled" || to == "failed"
	case "provisioning":
		return over(to) || to == "partially_fulfilled"
	case "partially_fulfilled":
		return over(to)
	}
	return false
}
