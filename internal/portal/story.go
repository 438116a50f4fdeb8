package portal

import (
	"slices"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
)

// story describes the state of an order: what happened, what it means for money and machines, and what comes next.
type story struct{ Head, Means, Next string }

// storyOf returns the story of an order, in words for the customer and for the operator who helps them.
// methods are the payment methods that are offered.
func storyOf(v *session, agg *app.Aggregate, methods []payment.Method) story {
	o := agg.Order
	switch {
	case o.Settlement == order.SettlementStuck:
		return story{
			"A person is looking at this order.", stuckMeans(o), "It is on the operators' desk. Nothing is lost.",
		}
	case o.Closing == order.ClosingCancel && !o.State.Terminal():
		return story{
			"This order is being cancelled.",
			"No new work starts. What was built and not yet delivered is removed, and its payment goes back.",
			"It ends once every machine is confirmed gone and every refund is accepted.",
		}
	case o.Closing == order.ClosingRejected && !o.State.Terminal():
		return story{
			"This order cannot be built as it is.", "Nothing was built. The payment goes back in full.",
			"The reasons are listed below. It ends as failed once the refund is accepted.",
		}
	}
	switch o.State {
	case order.Draft:
		return story{
			"This is a draft.", "Nothing is ordered and nothing is owed.", "Submit it from the cart when it is complete.",
		}
	case order.PendingPayment:
		return awaitingPaymentStory(v, o, methods)
	case order.PaymentConfirmed:
		return paidStory(v, agg)
	case order.Validating:
		return story{
			"Every item is being checked with its region.",
			"Nothing is built yet: the order can still be cancelled for a full refund.",
			"Building starts as soon as every item has passed.",
		}
	case order.Provisioning:
		return story{
			"The services are being built.",
			"None was delivered yet. What cannot be built is removed and refunded." + policyMeans(o.Policy),
			"Credentials are sent encrypted, item by item.",
		}
	case order.PartiallyFulfilled:
		return story{
			"Part of the order is ready.",
			"Delivered services stay. What cannot be built is removed and refunded." + policyMeans(o.Policy),
			"The rest is still being built.",
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
		"The timeline shows what happened. The same can be ordered again at any time.",
	}
}

func awaitingPaymentStory(v *session, o *order.Order, methods []payment.Method) story {
	due := amount(o.Due, o.Currency)
	s := story{
		"Waiting for the payment of " + due + ".", "Nothing is built before the money is confirmed.",
		"Transfer " + due + " with the reference " + o.Number + "; an operator confirms it.",
	}
	if m, _ := methodNamed(methods, o.Method); o.Method != "" && m.ConfirmedBy != payment.Operator {
		s.Next = "The payment provider (" + o.Method + ") confirms it automatically; this page updates itself."
	}
	if o.ExpiresAt != nil {
		s.Next += " Unpaid, the order is cancelled on " + v.day(*o.ExpiresAt) + "."
	}
	return s
}

func paidStory(v *session, agg *app.Aggregate) story {
	if agg.Order.HeldAt != nil {
		return story{
			"The payment is in; an operator holds the order.", "Nothing is built meanwhile, and the money is safe.",
			"It continues when the hold is released. It can still be cancelled for a full refund.",
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
		return " All or nothing was chosen: if one item cannot be built, the whole order is removed and refunded."
	}
	return ""
}

func stuckMeans(o *order.Order) string {
	if o.DeliveryStuck {
		return "A service is ready, but its delivery mail could not be sent. It runs and stays."
	}
	for _, rf := range o.Refunds {
		if rf.State == order.RefundStuck {
			return "A refund did not go through automatically. The money is still owed to the customer."
		}
	}
	return "Something could not be removed automatically. Refunds do not wait for it."
}

// progressStep is one state on the order's path.
type progressStep struct {
	State order.State
	Text  string
	Is    string // "done", "here", "skipped" or "ahead"
}

// pathOf returns the nine states: the seven of the path, and the two exits. It reads from the events which states
// the order was in, because an order may skip a state or return to one.
func pathOf(o *order.Order, events []record) (path, exits []progressStep) {
	visited := map[order.State]bool{}
	for _, e := range events {
		if s, ok := order.ParseState(e.Payload.To); ok {
			visited[s] = true
		}
	}
	states := []order.State{
		order.Draft, order.PendingPayment, order.PaymentConfirmed, order.Validating, order.Provisioning,
		order.PartiallyFulfilled, order.Fulfilled,
	}
	furthest := slices.Index(states, o.State)
	if furthest < 0 { // an exit: the path is done up to the last state before it
		for i, s := range states {
			if visited[s] {
				furthest = i + 1
			}
		}
	}
	for i, s := range states {
		step := progressStep{s, stateText(s), "ahead"}
		switch {
		case s == o.State:
			step.Is = "here"
		case i < furthest && (visited[s] || s == order.Draft):
			step.Is = "done"
		case i < furthest:
			step.Is = "skipped"
		}
		path = append(path, step)
	}
	for _, s := range []order.State{order.Cancelled, order.Failed} {
		step := progressStep{s, stateText(s), "ahead"}
		if s == o.State {
			step.Is = "here"
		}
		exits = append(exits, step)
	}
	return path, exits
}

// progressStepText tells a screen reader what the drawing shows.
func progressStepText(is string) string {
	return map[string]string{
		"done": ", done", "here": ", the order is here", "skipped": ", skipped", "ahead": ", not reached",
	}[is]
}
