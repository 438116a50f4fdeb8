package invariant

import (
	"maps"
	"slices"
)

// move is a change of state.
type move struct{ from, to string }

// orderMoves is the matrix of an order's states (D2) a second time, written by hand: every change, and the event
// that reports it.
func orderMoves() map[move]string {
	return map[move]string{
		{"draft", "pending_payment"}:             "order.submitted",
		{"draft", "cancelled"}:                   "order.cancelled",
		{"pending_payment", "payment_confirmed"}: "order.payment-confirmed",
		{"pending_payment", "cancelled"}:         "order.cancelled", // on request, or not paid in time
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

// itemMoves is the matrix of an item's states likewise. Enqueue and restore have no event of their own; the order's
// event reports them.
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

// forward returns the events that a closing order, which is about to be cancelled or to fail, no longer has.
func forward() []string {
	return []string{
		"order.submitted", "order.payment-confirmed", "order.payment-reverted", "order.validating",
		"order.provisioning-started", "order.held", "order.released",
	}
}

// allowedMoves is I1. The chain of an order's events begins at draft, each event starts at the state where the last
// one ended, each change is in the matrix with the event that reports it, and the chain ends at the row's state. The
// same holds for every item, from pending, by the states in each event.
func allowedMoves(l *inspection) {
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
			reports := orderMoves()[m]
			switch {
			case e.From != state:
				l.broken(o.ID, "event %d %s starts at %s, the one before ended at %s", e.Seq, e.Type, e.From, state)
			case m.from == m.to && slices.Contains(changes, e.Type):
				l.broken(o.ID, "event %d %s changes nothing: the order stays %s", e.Seq, e.Type, e.To)
			case m.from != m.to && reports != e.Type:
				l.broken(o.ID, "event %d %s moves the order from %s to %s, which is not allowed", e.Seq, e.Type, e.From, e.To)
			case closing && slices.Contains(forward(), e.Type):
				l.broken(o.ID, "event %d %s moves a closing order forward", e.Seq, e.Type)
			}
			state = e.To
			closing = e.Type != "order.restored" && (closing || e.Type == "order.cancel-requested")
		}
		if state != o.State {
			l.broken(o.ID, "its events end at %s, the row is %s", state, o.State)
		}
		l.allowedItemMoves(o, es)
	}
}

// readable reports whether the data of all events could be decoded, and records a violation for each that could not.
func (l *inspection) readable(es []decodedEvent) bool {
	ok := true
	for _, e := range es {
		if e.decodeErr != nil {
			l.broken(e.Order, "the data of event %d %s cannot be decoded: %v", e.Seq, e.Type, e.decodeErr)
			ok = false
		}
	}
	return ok
}

func (l *inspection) allowedItemMoves(o *Order, es []decodedEvent) {
	moves := itemMoves()
	before := map[string]string{}
	for _, e := range es {
		after := map[string]string{}
		for _, it := range e.Items {
			after[it.ID] = it.State
			state, known := before[it.ID]
			switch {
			case !known && e.Type != "order.created" && e.Type != "order.updated":
				l.broken(o.ID, "item %s appears with event %d %s", it.ID, e.Seq, e.Type)
			case !known && it.State != "pending":
				l.broken(o.ID, "item %s appears as %s with event %d, want pending", it.ID, it.State, e.Seq)
			case known && state != it.State && moves[move{state, it.State}] != e.Type:
				l.broken(o.ID, "event %d %s moves item %s from %s to %s, which is not allowed",
					e.Seq, e.Type, it.ID, state, it.State)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(before)) {
			if after[id] == "" && e.Type != "order.updated" {
				l.broken(o.ID, "item %s disappears with event %d %s", id, e.Seq, e.Type)
			}
		}
		if f := e.Item; f != nil && f.From != f.To && (before[f.ID] != f.From || after[f.ID] != f.To) {
			l.broken(o.ID, "event %d %s says that item %s moved from %s to %s, its list of items from %s to %s",
				e.Seq, e.Type, f.ID, f.From, f.To, before[f.ID], after[f.ID])
		}
		before = after
	}
	for _, it := range l.itemsOf[o.ID] {
		if before[it.ID] != it.State {
			l.broken(o.ID, "the events leave item %s %q, the row is %s", it.ID, before[it.ID], it.State)
		}
		delete(before, it.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		l.broken(o.ID, "the events have item %s, which has no row", id)
	}
}

// derivedState is I13: the derivation of order.Settle a second time, by hand. From provisioning on, and while the
// order is closing, the state follows from items and refunds, unless that is not an allowed move. Outcome and
// settlement always follow from them. A delivered item has a mail that was accepted.
func derivedState(l *inspection) {
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
			l.broken(o.ID, "fulfilled with %d items that have not ended and %d delivered", w.open, w.delivered)
		}
		derives := o.State == "provisioning" || o.State == "partially_fulfilled" || o.Closing != "" && !over(o.State)
		if to := w.state(o); derives && to != "" && to != o.State && mayFollow(o, to) {
			l.broken(o.ID, "is %s, its items and refunds say %s", o.State, to)
		}
		l.deliveredByMail(o)
	}
}

func (l *inspection) deliveredByMail(o *Order) {
	for _, it := range l.itemsOf[o.ID] {
		if it.State != "delivered" {
			continue
		}
		if !slices.ContainsFunc(l.Deliveries, func(d Delivery) bool { return d.Item == it.ID && d.State == "accepted" }) {
			l.broken(o.ID, "item %s is delivered, but no mail server accepted its mail", it.ID)
		}
	}
}

// census counts what an order's state is derived from.
type census struct {
	items, open, active, delivered, compensating, stuck, dropped int
	refundsOpen, refundsStuck, mailsStuck                        int
}

func (x *index) census(o *Order) census {
	var c census
	for _, it := range x.itemsOf[o.ID] {
		c.items++
		switch it.State {
		case "delivered":
			c.delivered++
			c.active++
		case "rolled_back", "cancelled":
			c.dropped++
		case "active":
			c.open++
			c.active++
		case "compensating":
			c.open++
			c.compensating++
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
			c.refundsOpen++
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

// over reports whether an order in this state no longer moves by itself.
func over(state string) bool {
	return state == "fulfilled" || state == "cancelled" || state == "failed"
}

// settlement returns the first that applies of stuck, compensating, settled and open (D2).
func (c census) settlement(o *Order) string {
	switch {
	case c.stuck > 0 || c.refundsStuck > 0 || c.mailsStuck > 0:
		return "stuck"
	case c.compensating > 0 || c.refundsOpen > 0:
		return "compensating"
	case c.open == 0 && (c.items > 0 || over(o.State)):
		return "settled"
	}
	return "open"
}

// outcome returns full or partial for a fulfilled order and none for every other (D2).
func (c census) outcome(o *Order) string {
	switch {
	case o.State != "fulfilled":
		return "none"
	case c.dropped > 0:
		return "partial"
	}
	return "full"
}

// state returns the state by the first of the five rules that matches, or "" if none does.
func (c census) state(o *Order) string {
	switch {
	case c.open > 0 && c.active > 0:
		return "partially_fulfilled"
	case c.open > 0:
		return "provisioning"
	case c.delivered > 0:
		return "fulfilled"
	case c.refundsOpen > 0 || c.refundsStuck > 0:
		return ""
	case o.Closing == "cancel":
		return "cancelled"
	}
	return "failed"
}

// mayFollow reports whether the order may move from its state to a derived one.
func mayFollow(o *Order, to string) bool {
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
