package event

import "github.com/platforma-cloud/orders/internal/order"

// Consumer is one of the five consumers of the topic.
type Consumer string

// The consumers, in the order of the specification's table.
const (
	Notify    Consumer = "notify"
	Billing   Consumer = "billing"
	Audit     Consumer = "audit"
	Provision Consumer = "provision"
	Portal    Consumer = "portal"
)

// Consumers lists all five.
func Consumers() []Consumer { return []Consumer{Notify, Billing, Audit, Provision, Portal} }

// routed returns the consumers of an event: those given, and Audit and Portal, which handle every event
// (D19).
func routed(to ...Consumer) []Consumer { return append(to, Audit, Portal) }

// Routing is the routing matrix (D19): the consumers of each event. The consumers subscribe by it, and the
// API, the portal and docs/events.md show it. The marks of the specification's own table were lost; ADR
// 0003 says how this one was filled.
var Routing = map[Type][]Consumer{
	order.EvCreated:             routed(),
	order.EvUpdated:             routed(),
	order.EvSubmitted:           routed(Billing), // makes the checkout due, if the provider confirms by itself (D28)
	order.EvPaymentConfirmed:    routed(Notify, Billing, Provision),
	order.EvPaymentReverted:     routed(Billing),
	order.EvValidating:          routed(),
	order.EvProvisioningStarted: routed(Notify),
	order.EvPartiallyFulfilled:  routed(),
	order.EvFulfilled:           routed(Notify, Billing),
	order.EvCancelRequested:     routed(),
	order.EvCancelled:           routed(Notify, Billing, Provision),
	order.EvFailed:              routed(Notify, Billing),
	order.EvRestored:            routed(),
	order.EvHeld:                routed(),
	order.EvReleased:            routed(),
	order.EvItemProvisioning:    routed(),
	order.EvItemRetrying:        routed(),
	order.EvItemWaiting:         routed(),
	order.EvItemActive:          routed(),
	order.EvItemCompensating:    routed(),
	order.EvItemRolledBack:      routed(),
	order.EvItemCancelled:       routed(),
	order.EvItemStuck:           routed(Notify), // informs the operators
	order.EvServiceDelivered:    routed(Billing),
	order.EvRedeliveryRequested: routed(),
	order.EvRefundRequested:     routed(Notify, Billing),
	order.EvRefundAccepted:      routed(Notify, Billing), // informs the customer if it was delayed
	order.EvRefundCompleted:     routed(Billing),
	order.EvRefundFailed:        routed(Notify, Billing), // informs customer and operators
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
