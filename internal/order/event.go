package order

import "errors"

// ErrIllegalItemMove marks a move that ItemLifecycle does not list.
var ErrIllegalItemMove = errors.New("illegal item move")

// EventType is the name of an event (D17). The names are published and never change.
type EventType string

// Every event of D17. Each has a row in internal/event/types.go.
const (
	EvCreated             EventType = "order.created"
	EvUpdated             EventType = "order.updated"
	EvSubmitted           EventType = "order.submitted"
	EvPaymentConfirmed    EventType = "order.payment-confirmed"
	EvPaymentReverted     EventType = "order.payment-reverted"
	EvValidating          EventType = "order.validating"
	EvProvisioningStarted EventType = "order.provisioning-started"
	EvPartiallyFulfilled  EventType = "order.partially-fulfilled"
	EvFulfilled           EventType = "order.fulfilled"
	EvCancelRequested     EventType = "order.cancel-requested"
	EvCancelled           EventType = "order.cancelled"
	EvFailed              EventType = "order.failed"
	EvRestored            EventType = "order.restored"
	EvHeld                EventType = "order.held"
	EvReleased            EventType = "order.released"
	EvItemProvisioning    EventType = "order.item-provisioning"
	EvItemRetrying        EventType = "order.item-retrying"
	EvItemWaiting         EventType = "order.item-waiting"
	EvItemActive          EventType = "order.item-active"
	EvItemCompensating    EventType = "order.item-compensating"
	EvItemRolledBack      EventType = "order.item-rolled-back"
	EvItemCancelled       EventType = "order.item-cancelled"
	EvItemStuck           EventType = "order.item-stuck"
	EvServiceDelivered    EventType = "order.service-delivered"
	EvRedeliveryRequested EventType = "order.redelivery-requested"
	EvRefundRequested     EventType = "billing.refund-requested"
	EvRefundAccepted      EventType = "billing.refund-accepted"
	EvRefundCompleted     EventType = "billing.refund-completed"
	EvRefundFailed        EventType = "billing.refund-failed"
)

// Event is a change that the order recorded about itself. Package event encodes it. It holds the order's state
// right after the change, because one transaction may record several events.
type Event struct {
	Type       EventType
	Seq        int // gapless per order, from 1
	From, To   State
	Outcome    Outcome
	Settlement Settlement
	Items      []ItemStatus // all items of the order, after the change
	Item       *ItemFact    // the item concerned, or nil
	Payment    *Payment     // the payment concerned, or nil
	Refund     *Refund      // the refund concerned, or nil
	Reason     string       // a person's free text; it is published with the event (D17)
}

// ItemStatus is one entry of an event's list of items.
type ItemStatus struct {
	ID      ItemID
	Product string
	State   ItemState
}

// ItemFact is the item that an event is about, with its move.
type ItemFact struct {
	Item     Item
	From, To ItemState
	Attempt  int // in item-retrying: which of the six calls failed
}
