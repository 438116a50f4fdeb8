// Package order holds an order: its nine states, the triggers that move it, its items, payments and refunds.
// It must not know a network, a clock or a database. Every change goes through the tables of lifecycle.go, and
// the order itself records it as an Event.
package order

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// ID names an order.
type ID = id.Of[Order]

// Order is an order with its items, payments and refunds. It changes only under the lock of its row.
type Order struct {
	ID         ID
	Tenant     tenant.ID
	Number     string // ORD- and 8 Crockford base32 characters, unique per tenant (D16)
	ExternalID string // the customer's own id, unique per tenant, may be empty
	Customer   tenant.MemberID
	State      State
	Outcome    Outcome
	Settlement Settlement
	Policy     Policy
	Closing    Closing
	Method     string // payment method chosen at submit (D28), "" before
	Version    int    // +1 per transaction that changes the order
	LastSeq    int    // the sequence number of its newest event
	Currency   money.Currency
	Due        money.Cents // first period of every item (D11)
	FX         *FX         // nil when the order is in the catalogue's currency
	Faults     []fault.Violation
	HeldAt     *time.Time
	ExpiresAt  *time.Time // when an unpaid order is cancelled
	CreatedAt  time.Time
	UpdatedAt  time.Time
	DeletedAt  *time.Time // a deleted order is hidden, its rows stay (D9)
	Items      []Item     // by line
	Payments   []Payment  // oldest first
	Refunds    []Refund
	// DeliveryStuck is set while the delivery of one of its items has an open dead letter.
	DeliveryStuck bool

	recorded []Event
}

// FX is the exchange rate that an order was priced with, with its source and time (D11).
type FX struct {
	Rate   money.Rate // units of the order's currency for one euro
	Source string
	At     time.Time
}

// Tolerance returns one euro in the order's currency, by the order's stored rate (D11).
func (o *Order) Tolerance() money.Cents {
	if o.FX == nil {
		return money.Tolerance(o.Currency, nil)
	}
	return money.Tolerance(o.Currency, &o.FX.Rate)
}

// Find returns the item with an id, or nil.
func (o *Order) Find(it ItemID) *Item {
	for i := range o.Items {
		if o.Items[i].ID == it {
			return &o.Items[i]
		}
	}
	return nil
}

// DeliveryBegun reports whether the delivery of an all_or_nothing order has begun: all its items are active or
// delivered. From then on the order only goes forward (D7).
func (o *Order) DeliveryBegun() bool {
	if len(o.Items) == 0 {
		return false
	}
	for _, it := range o.Items {
		if it.State != ItemActive && it.State != ItemDelivered {
			return false
		}
	}
	return o.Closing == NotClosing && (o.State == Provisioning || o.State == PartiallyFulfilled || o.State == Fulfilled)
}

// Fire moves the order by a trigger and records the event of the row. A no-op changes and records nothing. A
// row with Closes or Request sets the closing flag and leaves the state to Settle.
func (o *Order) Fire(on Trigger, reason string) (Transition, error) {
	t, err := Next(o, on)
	if err != nil {
		return t, err
	}
	from := o.State
	switch t.How {
	case NoOp:
		return t, nil
	case AtOnce:
		o.State = t.To
		switch on {
		case Cancel, Expire:
			o.Settlement = SettlementSettled
		case Restore:
			o.Closing, o.DeletedAt, o.Method, o.Faults = NotClosing, nil, "", nil
			o.Outcome, o.Settlement, o.DeliveryStuck = OutcomeNone, SettlementOpen, false
		default: // the others change only the state
		}
	case Closes, Request:
		if o.Closing == NotClosing {
			o.Closing = ClosingCancel
			if on == RejectValidation {
				o.Closing = ClosingRejected
			}
		}
		o.HeldAt = nil
	}
	if t.Emits != "" {
		o.Record(Event{Type: t.Emits, From: from, Reason: reason})
	}
	return t, nil
}

// MoveItem moves an item by a trigger and records the event of the row.
func (o *Order) MoveItem(it *Item, on ItemTrigger, fact ItemFact, reason string) error {
	t, err := NextItem(it.State, on)
	if err != nil {
		return err
	}
	o.moveItem(it, t, fact, reason)
	return nil
}

func (o *Order) moveItem(it *Item, t ItemTransition, fact ItemFact, reason string) {
	it.State = t.To
	switch t.To {
	case ItemActive, ItemDelivered:
		it.Progress = 100
	case ItemRolledBack, ItemCancelled:
		it.Progress, it.Detail = 0, ""
	case ItemPending:
		it.Generation++ // rises with each restore and never resets (D8)
	default: // the others keep the progress
	}
	if t.Emits == "" {
		return
	}
	fact.Item, fact.From, fact.To = *it, t.From, t.To
	o.Record(Event{Type: t.Emits, From: o.State, Item: &fact, Payment: o.LivePayment(), Reason: reason})
}

// AbandonItem ends the clean-up of a stuck item, which a person has taken over. The item is rolled back if its
// refund is accepted or none is owed, else compensating until the refund is accepted (D4). Package app decides
// who may do it and asks for the proof.
func (o *Order) AbandonItem(it *Item, reason string) error {
	t, err := NextItem(it.State, Abandon)
	if err != nil {
		return err
	}
	if r := o.RefundOf(it.ID); r != nil && !r.State.Accepted() {
		t.To, t.Emits = ItemCompensating, EvItemCompensating
	}
	o.moveItem(it, t, ItemFact{}, reason)
	return nil
}

// RequestRefund opens the refund of an item's allocation of the live payment, once. It returns nil if nothing
// was paid or the refund exists.
func (o *Order) RequestRefund(refund RefundID, it *Item, reason string) *Refund {
	p := o.LivePayment()
	if p == nil || o.RefundOf(it.ID) != nil {
		return nil
	}
	o.Refunds = append(o.Refunds, Refund{
		ID: refund, Payment: p.ID, Item: it.ID, State: RefundRequested, Cents: p.ShareOf(it.ID), Currency: p.Currency,
	})
	r := &o.Refunds[len(o.Refunds)-1]
	o.recordRefund(EvRefundRequested, r, reason)
	return r
}

// MoveRefund moves a refund to a state and records the event. An empty reference keeps the stored one.
func (o *Order) MoveRefund(r *Refund, to RefundState, reference string, at time.Time, reason string) {
	r.State = to
	if reference != "" {
		r.Reference = reference
	}
	types := map[RefundState]EventType{
		RefundAccepted: EvRefundAccepted, RefundCompleted: EvRefundCompleted, RefundStuck: EvRefundFailed,
		RefundRequested: EvRefundRequested,
	}
	if to == RefundAccepted && r.AcceptedAt == nil {
		r.AcceptedAt = &at
	}
	o.recordRefund(types[to], r, reason)
}

func (o *Order) recordRefund(t EventType, r *Refund, reason string) {
	copied := *r
	var fact *ItemFact
	if it := o.Find(r.Item); it != nil {
		fact = &ItemFact{Item: *it, From: it.State, To: it.State}
	}
	o.Record(Event{Type: t, From: o.State, Refund: &copied, Item: fact, Reason: reason})
}

// Resettle derives state, outcome and settlement from items and refunds, and records the event of a changed
// state. It is called once per transaction, after everything else has moved.
func (o *Order) Resettle(reason string) {
	f := Facts{State: o.State, Closing: o.Closing, DeliveryStuck: o.DeliveryStuck}
	for _, it := range o.Items {
		f.Items = append(f.Items, it.State)
	}
	for _, r := range o.Refunds {
		f.Refunds = append(f.Refunds, r.State)
	}
	s := Settle(f)
	from := o.State
	o.State, o.Outcome, o.Settlement = s.State, s.Outcome, s.Settlement
	for i := range o.recorded { // events of one transaction are committed together, so they show one settlement
		o.recorded[i].Settlement = s.Settlement
	}
	if s.State == from {
		return
	}
	for _, t := range Lifecycle {
		if t.From == from && t.To == s.State && (t.On == ItemsChanged || t.How == Closes) {
			emits := t.Emits
			if t.How == Closes {
				emits = map[State]EventType{Cancelled: EvCancelled, Failed: EvFailed}[s.State]
			}
			o.Record(Event{Type: emits, From: from, Reason: reason})
			return
		}
	}
}

// Record appends an event with the order's present state and the next sequence number.
func (o *Order) Record(e Event) {
	o.LastSeq++
	e.Seq, e.To, e.Outcome, e.Settlement = o.LastSeq, o.State, o.Outcome, o.Settlement
	if e.From == 0 {
		e.From = o.State
	}
	e.Items = make([]ItemStatus, len(o.Items))
	for i, it := range o.Items {
		e.Items[i] = ItemStatus{ID: it.ID, Product: it.Snapshot.Product, State: it.State}
	}
	o.recorded = append(o.recorded, e)
}

// TakeEvents returns the events that were recorded since the last call and clears them.
func (o *Order) TakeEvents() []Event {
	taken := o.recorded
	o.recorded = nil
	return taken
}

// Totals are an order's sums in its currency: per billing cycle, and what is due now (D15).
type Totals struct {
	Monthly, Annual, DueNow money.Cents
}

// Totals adds up the items: a month of each monthly item, a year of each annual one.
func (o *Order) Totals() Totals {
	var t Totals
	for _, it := range o.Items {
		if it.Snapshot.BillingCycle == "annual" {
			t.Annual += it.Price
		} else {
			t.Monthly += it.Price
		}
		t.DueNow += it.Price
	}
	return t
}
