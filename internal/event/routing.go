package event

import "github.com/platforma-cloud/orders/internal/order"

// Consumer is one of the five that hear the topic.
type Consumer string

// The five consumers, in the order of the specification's table.
const (
	Notify    Consumer = "notify"
	Billing   Consumer = "billing"
	Audit     Consumer = "audit"
	Provision Consumer = "provision"
	Portal    Consumer = "portal"
)

// Consumers lists all five.
func Consumers() []Consumer { return []Consumer{Notify, Billing, Audit, Provision, Portal} }

// everyone who always listens: Audit and Portal hear every event (D19).
func heard(by ...Consumer) []Consumer { return append(by, Audit, Portal) }

// Routing is the matrix (D19): who hears which event. The consumers subscribe by it, and the API,
// the console and docs/events.md print it. The source's own table lost its marks; ADR 0003 tells how
// this one was filled.
var Routing = map[Type][]Consumer{
	order.EvCreated:             heard(),
	order.EvUpdated:             heard(),
	order.EvSubmitted:           heard(Billing), // pulls the checkout of a provider that confirms by itself (D28)
	order.EvPaymentConfirmed:    heard(Notify, Billing, Provision),
	order.EvPaymentReverted:     heard(Billing),
	order.EvValidating:          heard(),
	order.EvProvisioningStarted: heard(Notify),
	order.EvPartiallyFulfilled:  heard(),
	order.EvFulfilled:           heard(Notify, Billing),
	order.EvCancelRequested:     heard(),
	order.EvCancelled:           heard(Notify, Billing, Provision),
	order.EvFailed:              heard(Notify, Billing),
	order.EvRestored:            heard(),
	order.EvHeld:                heard(),
	order.EvReleased:            heard(),
	order.EvItemProvisioning:    heard(),
	order.EvItemRetrying:        heard(),
	order.EvItemWaiting:         heard(),
	order.EvItemActive:          heard(),
	order.EvItemCompensating:    heard(),
	order.EvItemRolledBack:      heard(),
	order.EvItemCancelled:       heard(),
	order.EvItemStuck:           heard(Notify), // tells the operators
	order.EvServiceDelivered:    heard(Billing),
	order.EvRedeliveryRequested: heard(),
	order.EvRefundRequested:     heard(Notify, Billing),
	order.EvRefundAccepted:      heard(Notify, Billing), // tells the customer when it was delayed
	order.EvRefundCompleted:     heard(Billing),
	order.EvRefundFailed:        heard(Notify, Billing), // tells customer and operators
}

// Hears reports whether an event is routed to a consumer.
func (c Consumer) Hears(t Type) bool {
	for _, h := range Routing[t] {
		if h == c {
			return true
		}
	}
	return false
}
