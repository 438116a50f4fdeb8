package portal

import (
	"slices"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
)

// story says where an order stands: what happened, what it means for money and machines, what comes
// next.
type story struct{ Head, Means, Next string }

// noticeSourceOf is worded for whoever reads it: the customer, and the operator who helps.
func storyOf(v *session, agg *app.Aggregate) story {
	o := agg.Order
	switch {
	case o.Settlement == order.SettlementStuck:
		return story{
			"A person is looking at this order.", stuckMeans(o), "It stands on the operators' desk. Nothing is lost.",
		}
	case o.Closing == order.ClosingCancel && !o.State.Terminal():
		return story{
			"This order is being cancelled.",
			"No new work starts. What was built and not yet delivered is removed, and its payment goes back.",
			"It ends once every machine is confirmed gone and every refund was accepted.",
		}
	case o.Closing == order.ClosingRejected && !o.State.Terminal():
		return story{
			"This order cannot be built as it is.", "Nothing was built. The payment goes back in full.",
			"The reasons are listed below. It ends as failed once the refund was accepted.",
		}
	}
	switch o.State {
	case order.Draft:
		return story{
			"This is a draft.", "Nothing is ordered and nothing is owed.", "Submit it from the cart when it is complete.",
		}
	case order.PendingPayment:
		return awaiting(v, o)
	case order.PaymentConfirmed:
		return paid(v, agg)
	case order.Validating:
		return story{
			"Every item is being checked with its region.",
			"Nothing is built yet: the order can still be cancelled for a full refund.",
			"Building starts as soon as every item has passed.",
		}
	case order.Provisioning:
		return story{
			"The services are being built.", "None was delivered yet. What cannot be built is removed and refunded." +
				policyMeans(o.Policy), "Credentials are sent encrypted, item by item.",
		}
	case order.PartiallyFulfilled:
		return story{
			"Part of the order is ready.", "Delivered services stay. What cannot be built is removed and refunded." +
				policyMeans(o.Policy), "The rest is still being built.",
		}
	case order.Fulfilled:
		if o.Outcome == order.OutcomePartial {
			return story{
				"The order is complete, though not with every item.",
				"Delivered services stay; the other items were removed and refunded.",
				"The missing items can be ordered again at any time.",
			}
		}
		return story{
			"Everything was delivered.",
			"The payment of " + amount(o.Due, o.Currency) + " covers the first period of every item.",
			"Credentials went out by mail; they can be sent again below.",
		}
	case order.Cancelled:
		if len(o.Refunds) > 0 {
			return story{
				"This order was cancelled.", "Nothing of it runs, and the payment went back.",
				"It can be restored as a draft; it then needs a new payment.",
			}
		}
		return story{"This order was cancelled.", "Nothing was built and nothing is owed.", "It can be restored as a draft."}
	}
	return story{
		"This order failed.", "Nothing of it runs, and the payment went back.",
		"The timeline tells what happened. The same can be ordered again at any time.",
	}
}

func awaiting(v *session, o *order.Order) story {
	due := amount(o.Due, o.Currency)
	s := story{
		"Waiting for the payment of " + due + ".", "Nothing is built before the money is confirmed.",
		"Transfer " + due + " with the reference " + o.Number + "; an operator confirms it.",
	}
	if o.Method != "" && o.Method != "manual" {
		s.Next = "The payment provider (" + o.Method + ") confirms it by itself; this page follows along."
	}
	if o.ExpiresAt != nil {
		s.Next += " Unpaid, the order is cancelled on " + v.day(*o.ExpiresAt) + "."
	}
	return s
}

func paid(v *session, agg *app.Aggregate) story {
	if agg.Order.HeldAt != nil {
		return story{
			"The payment is in; an operator holds the order.", "Nothing is built meanwhile, and the money is safe.",
			"It goes on when the hold is released. It can still be cancelled for a full refund.",
		}
	}
	s := story{
		"The payment is in.", "Nothing is built yet: the order can still be cancelled for a full refund.",
		"Every item is checked against what its region can build right now.",
	}
	if task := agg.ValidateTask(); task != nil && task.NextAt.After(v.now) {
		s.Next = "The checks begin at " + v.clock(task.NextAt) + " or sooner."
	}
	return s
}

func policyMeans(p order.Policy) string {
	if p == order.AllOrNothing {
		return " All or nothing was chosen: one item that cannot be built takes the whole order back."
	}
	return ""
}

func stuckMeans(o *order.Order) string {
	if o.DeliveryStuck {
		return "A service is ready and its delivery mail did not get through. It runs and stays."
	}
	for _, rf := range o.Refunds {
		if rf.State == order.RefundStuck {
			return "A refund did not go through by itself. The money is still owed to the customer."
		}
	}
	return "Something could not be removed by itself. Refunds do not wait for it."
}

// station is one state on the order's path.
type progressStep struct {
	State order.State
	Text  string
	Is    string // done, here, skipped or ahead
}

// pathOf draws the nine states: seven along the way, two apart. Which ones the order went through is
// read from its events, for an order may pass one by or come back.
func pathOf(o *order.Order, events []record) (path, exits []progressStep) {
	been := map[order.State]bool{}
	for _, e := range events {
		if s, ok := order.ParseState(e.Payload.To); ok {
			been[s] = true
		}
	}
	way := []order.State{
		order.Draft, order.PendingPayment, order.PaymentConfirmed, order.Validating, order.Provisioning,
		order.PartiallyFulfilled, order.Fulfilled,
	}
	furthest := slices.Index(way, o.State)
	if furthest < 0 { // off the way: as far as it had come
		for i, s := range way {
			if been[s] {
				furthest = i + 1
			}
		}
	}
	for i, s := range way {
		st := progressStep{s, stateText(s), "ahead"}
		switch {
		case s == o.State:
			st.Is = "here"
		case i < furthest && (been[s] || s == order.Draft):
			st.Is = "done"
		case i < furthest:
			st.Is = "skipped"
		}
		path = append(path, st)
	}
	for _, s := range []order.State{order.Cancelled, order.Failed} {
		st := progressStep{s, stateText(s), "ahead"}
		if s == o.State {
			st.Is = "here"
		}
		exits = append(exits, st)
	}
	return path, exits
}

// progressStepText says to a screen reader what the drawing shows.
func progressStepText(is string) string {
	return map[string]string{
		"done": ", done", "here": ", the order is here", "skipped": ", passed by", "ahead": ", not reached",
	}[is]
}
