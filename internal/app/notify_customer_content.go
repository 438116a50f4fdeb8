package app

import (
	"strconv"
	"strings"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// noticeSource is the source of a mail about an event: the order's events, up to the end of the change that the
// event belongs to, and the order as it is now. The events say what was decided; the order says how far it has come.
type noticeSource struct {
	o      *order.Order
	events []event.Event
	index  int // in events, of the event that the mail is about
}

// event returns the event that the mail is about.
func (s noticeSource) event() event.Event { return s.events[s.index] }

// noticeContent returns what the mail says to the customer. It returns false when the event gets no mail. When one
// change requests several refunds, a single mail covers them all; the first of their events gets it. The same holds
// when several of them fail, and when they are accepted after a delay.
func (a *App) noticeContent(s noticeSource) (notice.Customer, bool) {
	ev := s.event()
	n := notice.Customer{Order: s.o.Number, At: ev.At, Currency: s.o.Currency}
	if a.PortalURL != "" {
		n.Link = a.PortalURL + "/orders/" + s.o.ID.String()
	}
	pay := s.payment()
	if pay != nil {
		n.Payment = &notice.Payment{
			Cents: pay.Paid, Currency: pay.Currency, Reference: pay.Reference,
			Transfer: a.refundedByHand(pay.Provider), At: pay.PaidAt,
		}
		n.Currency = pay.Currency
	}
	ok := true
	switch ev.Type {
	case order.EvPaymentConfirmed:
		n.Kind = notice.Paid
	case order.EvProvisioningStarted:
		n.Kind = notice.Started
	case order.EvFulfilled:
		n.Kind = notice.Fulfilled
	case order.EvCancelled:
		if n.Kind = notice.Cancelled; ev.Payload.Actor == event.ActorText(tenant.System(s.o.Tenant, expiry)) {
			n.Why = notice.WhyUnpaid
		}
	case order.EvFailed:
		n.Kind, n.Why = notice.Failed, s.why()
	case order.EvRefundRequested:
		n.Kind, n.Why = notice.RefundBegun, s.why()
		ok = s.firstOfRefunds()
	case order.EvRefundFailed:
		n.Kind = notice.RefundDelayed
		ok = s.firstFailure()
	case order.EvRefundAccepted:
		n.Kind = notice.RefundMoving
		ok = s.endsDelay()
	default:
		ok = false
	}
	if n.Why == notice.WhyRejected {
		n.Rejected = s.rejections()
	}
	n.Items = s.items(n.Kind, pay)
	return n, ok && len(n.Items) > 0
}

// payment returns the payment that was live at the event, or nil.
func (s noticeSource) payment() *order.Payment {
	var p *order.Payment
	for _, ev := range s.events {
		switch ev.Type {
		case order.EvPaymentConfirmed:
			p = paymentOf(s.o, ev.Payload.Payment.ID)
		case order.EvPaymentReverted:
			p = nil
		default: // not about a payment
		}
	}
	return p
}

// items returns the items that a notice of a kind lists.
func (s noticeSource) items(k notice.Kind, pay *order.Payment) []notice.Item {
	group := s.group()
	var all []notice.Item
	for i := range s.o.Items {
		it := &s.o.Items[i]
		var r *order.Refund
		if pay != nil {
			r = s.o.RefundUnder(pay.ID, it.ID)
		}
		switch k {
		case notice.RefundBegun, notice.RefundMoving:
			if r == nil || !group[r.ID] {
				continue
			}
		case notice.RefundDelayed:
			if r == nil || !group[r.ID] || r.State.Accepted() { // it may be accepted meanwhile
				continue
			}
		default: // all items
		}
		all = append(all, s.item(it, k, r))
	}
	return all
}

func (s noticeSource) item(it *order.Item, k notice.Kind, r *order.Refund) notice.Item {
	n := notice.Item{
		Line: it.Line, Label: it.Label, Title: it.Snapshot.Title, Region: it.Snapshot.Region,
		Annual: it.Snapshot.BillingCycle == "annual", Cents: it.Price,
	}
	if k == notice.Paid || k == notice.Started {
		return n
	}
	n.Fate, n.Why = notice.Dropped, s.whyOf(it)
	for _, was := range s.event().Payload.Items { // the state at the event: the order may have been restored since
		if was.ID == it.ID && was.State == order.ItemDelivered.String() {
			n.Fate, n.Why = notice.Delivered, notice.WhyNone
		}
	}
	if r != nil {
		n.Refund = &notice.Refund{Cents: r.Cents, Currency: r.Currency, State: refundStates[r.State]}
		if r.AcceptedAt != nil {
			n.Refund.At = *r.AcceptedAt
		}
	}
	return n
}

var refundStates = map[order.RefundState]notice.RefundState{
	order.RefundRequested: notice.RefundAsked,
	order.RefundAccepted:  notice.RefundAccepted,
	order.RefundCompleted: notice.RefundDone,
	order.RefundStuck:     notice.RefundStuck,
}

// why returns why the order as a whole is compensated.
func (s noticeSource) why() notice.Why {
	switch {
	case s.happened(order.EvCancelRequested):
		return notice.WhyCancelled
	case !s.happened(order.EvProvisioningStarted):
		return notice.WhyRejected
	default:
		return notice.WhyTechnical
	}
}

// whyOf returns why an item is compensated: it was cancelled, validation rejected it, it found no capacity, another
// item of an all-or-nothing order failed, or it failed itself. The first item that a change compensates is the one
// that failed.
func (s noticeSource) whyOf(it *order.Item) notice.Why {
	version, first := 0, order.ItemID{}
	for _, ev := range s.events {
		if ev.Type == order.EvCancelRequested {
			return notice.WhyCancelled
		}
		if ev.Type != order.EvItemCompensating && ev.Type != order.EvItemCancelled || ev.Payload.Item == nil {
			continue
		}
		if ev.Payload.Version != version {
			version, first = ev.Payload.Version, ev.Payload.Item.ID
		}
		if ev.Payload.Item.ID != it.ID {
			continue
		}
		switch {
		case !s.happened(order.EvProvisioningStarted):
			return notice.WhyRejected
		case first != it.ID:
			return notice.WhyTogether
		case ev.Payload.Item.From == order.ItemWaitingCapacity.String():
			return notice.WhyCapacity
		default:
			return notice.WhyTechnical
		}
	}
	return notice.WhyNone
}

func (s noticeSource) happened(t event.Type) bool {
	for _, ev := range s.events {
		if ev.Type == t {
			return true
		}
	}
	return false
}

// rejections returns the faults that validation found, with the line numbers of their items.
func (s noticeSource) rejections() []notice.Rejection {
	var all []notice.Rejection
	for _, f := range s.o.Faults {
		r := notice.Rejection{Code: f.Code}
		at, _, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/items/"), "/")
		if i, err := strconv.Atoi(at); err == nil && i >= 0 && i < len(s.o.Items) {
			r.Line = s.o.Items[i].Line
		}
		all = append(all, r)
	}
	return all
}

// group returns which refunds were requested by the same change as the event's. A version of the order is one
// change. Requesting a stuck refund again does not make a new one.
func (s noticeSource) group() map[order.RefundID]bool {
	asked := map[order.RefundID]int{}
	for _, ev := range s.events {
		if ev.Type != order.EvRefundRequested || ev.Payload.Refund == nil {
			continue
		}
		if _, known := asked[ev.Payload.Refund.ID]; !known {
			asked[ev.Payload.Refund.ID] = ev.Payload.Version
		}
	}
	mine := s.event().Payload.Refund
	if mine == nil {
		return nil
	}
	group := map[order.RefundID]bool{}
	for r, version := range asked {
		group[r] = version == asked[mine.ID]
	}
	return group
}

// firstOfRefunds reports whether the event is the first that requested a refund of its group.
func (s noticeSource) firstOfRefunds() bool { return s.before(order.EvRefundRequested) == 0 }

// firstFailure reports whether the event is the first failure of its group.
func (s noticeSource) firstFailure() bool { return s.before(order.EvRefundFailed) == 0 }

// before counts the earlier events of a type that are about refunds of the event's group.
func (s noticeSource) before(t event.Type) int {
	group, n := s.group(), 0
	for _, ev := range s.events[:s.index] {
		if ev.Type == t && ev.Payload.Refund != nil && group[ev.Payload.Refund.ID] {
			n++
		}
	}
	return n
}

// endsDelay reports whether a refund of the event's group had failed and, with this event, all are accepted.
func (s noticeSource) endsDelay() bool {
	if s.before(order.EvRefundFailed) == 0 {
		return false
	}
	accepted := map[order.RefundID]bool{}
	for _, ev := range s.events[:s.index+1] {
		if r := ev.Payload.Refund; r != nil {
			accepted[r.ID] = ev.Type == order.EvRefundAccepted || ev.Type == order.EvRefundCompleted
		}
	}
	for r, mine := range s.group() {
		if mine && !accepted[r] {
			return false
		}
	}
	return true
}

// simulated reports whether a simulated region builds any item of the order. An item that has no account yet counts
// by its placement.
func (a *App) simulated(agg *Aggregate) bool {
	for _, it := range agg.Order.Items {
		account := agg.accountOf(it.ID)
		if account == "" {
			account, _ = a.Placement(it.Snapshot.Product, it.Snapshot.Region)
		}
		if caps, ok := a.capabilities(account); ok && caps.Sim {
			return true
		}
	}
	return false
}
