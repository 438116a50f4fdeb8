package event

import "slices"

// Consumer is one of the five consumers of the topic.
type Consumer string

// The consumers, in the order of D19.
const (
	Notify    Consumer = "notify"
	Billing   Consumer = "billing"
	Audit     Consumer = "audit"
	Provision Consumer = "provision"
	Portal    Consumer = "portal"
)

// Consumers lists all five.
func Consumers() []Consumer { return []Consumer{Notify, Billing, Audit, Provision, Portal} }

// routed returns the consumers of an event type: those given, and Audit and Portal, which handle every event
// (D19).
func routed(to ...Consumer) []Consumer { return append(to, Audit, Portal) }

// Hears reports whether the consumer receives an event type.
func (c Consumer) Subscribes(t Type) bool { return slices.Contains(ConsumersOf(t), c) }
