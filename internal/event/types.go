package event

import (
	"slices"

	"github.com/platforma-cloud/orders/internal/order"
)

// Definition is what is fixed about an event type.
type Definition struct {
	Type      Type
	Consumers []Consumer // that receive it (D19)
	Summary   string     // one sentence for docs/events.md, the schema and docs/asyncapi.yaml
	Required  []string   // optional members of the payload that an event of this type always has
}

// definitions has a row for every event type of package order, in the order of D17. The consumers subscribe by
// it, and the API, the portal, the schemas and the documents list what is in it. ADR 0003 says how the
// consumers were chosen.
var definitions = []Definition{
	{
		Type: order.EvCreated, Consumers: routed(),
		Summary: "A draft was created.",
	},
	{
		Type: order.EvUpdated, Consumers: routed(),
		Summary: "The items or the reference of a draft were changed.",
	},
	// Makes the checkout due, if the provider confirms by itself (D28).
	{
		Type: order.EvSubmitted, Consumers: routed(Billing),
		Summary: "The customer ordered; prices are frozen and payment is awaited.",
	},
	{
		Type: order.EvPaymentConfirmed, Consumers: routed(Notify, Billing, Provision),
		Summary:  "The payment is confirmed. Provisioning begins with this event.",
		Required: []string{"payment"},
	},
	{
		Type: order.EvPaymentReverted, Consumers: routed(Billing),
		Summary:  "An operator reverted a payment before provisioning.",
		Required: []string{"payment"},
	},
	{
		Type: order.EvValidating, Consumers: routed(),
		Summary: "The order is checked against what the providers offer now.",
	},
	{
		Type: order.EvProvisioningStarted, Consumers: routed(Notify),
		Summary: "Every item can be built, and is queued.",
	},
	{
		Type: order.EvPartiallyFulfilled, Consumers: routed(),
		Summary: "An item is active while others are still provisioned.",
	},
	{
		Type: order.EvFulfilled, Consumers: routed(Notify, Billing),
		Summary: "Every item has ended and at least one was delivered; outcome says whether all were.",
	},
	{
		Type: order.EvCancelRequested, Consumers: routed(),
		Summary: "A cancellation was accepted; what is not delivered is removed and refunded.",
	},
	{
		Type: order.EvCancelled, Consumers: routed(Notify, Billing, Provision),
		Summary: "Nothing is left of the order, and what was paid is refunded.",
	},
	{
		Type: order.EvFailed, Consumers: routed(Notify, Billing),
		Summary: "Nothing could be delivered; everything is removed and refunded.",
	},
	{
		Type: order.EvRestored, Consumers: routed(),
		Summary: "A cancelled order is a draft again.",
	},
	{
		Type: order.EvHeld, Consumers: routed(),
		Summary: "An operator put the order on hold before provisioning.",
	},
	{
		Type: order.EvReleased, Consumers: routed(),
		Summary: "An order that was on hold continues.",
	},
	{
		Type: order.EvItemProvisioning, Consumers: routed(),
		Summary:  "Work on an item begins, or begins again after a wait.",
		Required: []string{"item"},
	},
	{
		Type: order.EvItemRetrying, Consumers: routed(),
		Summary:  "A call for an item failed and will be repeated.",
		Required: []string{"item"},
	},
	{
		Type: order.EvItemWaiting, Consumers: routed(),
		Summary:  "The provider has no capacity for an item now.",
		Required: []string{"item"},
	},
	{
		Type: order.EvItemActive, Consumers: routed(),
		Summary:  "An item is active, and its credentials are sealed.",
		Required: []string{"item"},
	},
	{
		Type: order.EvItemCompensating, Consumers: routed(),
		Summary:  "Compensation of an item begins: its resources are removed and its payment is refunded.",
		Required: []string{"item"},
	},
	{
		Type: order.EvItemRolledBack, Consumers: routed(),
		Summary:  "Nothing is left of an item, and its refund is accepted.",
		Required: []string{"item"},
	},
	{
		Type: order.EvItemCancelled, Consumers: routed(),
		Summary:  "An item was dropped before anything was built.",
		Required: []string{"item"},
	},
	// Informs the operators.
	{
		Type: order.EvItemStuck, Consumers: routed(Notify),
		Summary:  "Removing an item needs a person.",
		Required: []string{"item"},
	},
	{
		Type: order.EvServiceDelivered, Consumers: routed(Billing),
		Summary:  "An item was delivered; the event has all that billing needs.",
		Required: []string{"item"},
	},
	{
		Type: order.EvRedeliveryRequested, Consumers: routed(),
		Summary:  "An item's credentials are sent again.",
		Required: []string{"item"},
	},
	{
		Type: order.EvRefundRequested, Consumers: routed(Notify, Billing),
		Summary:  "An item's share of a payment is to be refunded.",
		Required: []string{"refund"},
	},
	// Informs the customer if it was delayed.
	{
		Type: order.EvRefundAccepted, Consumers: routed(Notify, Billing),
		Summary:  "The payment provider has accepted a refund.",
		Required: []string{"refund"},
	},
	{
		Type: order.EvRefundCompleted, Consumers: routed(Billing),
		Summary:  "The customer has the money back.",
		Required: []string{"refund"},
	},
	// Informs customer and operators.
	{
		Type: order.EvRefundFailed, Consumers: routed(Notify, Billing),
		Summary:  "A refund was refused, bounced or ran out of retries: it needs a person.",
		Required: []string{"refund"},
	},
}

// Definitions returns the definition of every event type, in the order of D17.
func Definitions() []Definition { return slices.Clone(definitions) }

// Types returns every event type, in the order of D17.
func Types() []Type {
	types := make([]Type, len(definitions))
	for i, d := range definitions {
		types[i] = d.Type
	}
	return types
}

// Known reports whether an event type has a definition.
func Known(t Type) bool {
	return slices.ContainsFunc(definitions, func(d Definition) bool { return d.Type == t })
}

// ConsumersOf returns the consumers that receive an event type. An unknown type has none.
func ConsumersOf(t Type) []Consumer {
	i := slices.IndexFunc(definitions, func(d Definition) bool { return d.Type == t })
	if i < 0 {
		return nil
	}
	return slices.Clone(definitions[i].Consumers)
}
