package main

import (
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// major is the current major version of every payload.
const major = event.Major

// kind documents an event type.
type kind struct {
	Type        event.Type
	Description string
	Required    []string // optional members of the payload that an event of this type always has
}

// kinds is the table of all types, in the order of D17.
var kinds = []kind{
	{order.EvCreated, "A draft was created.", nil},
	{order.EvUpdated, "The items or the reference of a draft were changed.", nil},
	{order.EvSubmitted, "The customer ordered; prices are frozen and payment is awaited.", nil},
	{order.EvPaymentConfirmed, "The payment is confirmed. Provisioning begins with this event.", []string{"payment"}},
	{order.EvPaymentReverted, "An operator reverted a payment before provisioning.", []string{"payment"}},
	{order.EvValidating, "The order is checked against what the providers offer now.", nil},
	{order.EvProvisioningStarted, "Every item can be built, and is queued.", nil},
	{order.EvPartiallyFulfilled, "An item is active while others are still provisioned.", nil},
	{order.EvFulfilled, "Every item has ended and at least one was delivered; outcome says whether all were.", nil},
	{order.EvCancelRequested, "A cancellation was accepted; what is not delivered is removed and refunded.", nil},
	{order.EvCancelled, "Nothing is left of the order, and what was paid is refunded.", nil},
	{order.EvFailed, "Nothing could be delivered; everything is removed and refunded.", nil},
	{order.EvRestored, "A cancelled order is a draft again.", nil},
	{order.EvHeld, "An operator put the order on hold before provisioning.", nil},
	{order.EvReleased, "An order that was on hold continues.", nil},
	{order.EvItemProvisioning, "Work on an item begins, or begins again after a wait.", []string{"item"}},
	{order.EvItemRetrying, "A call for an item failed and will be repeated.", []string{"item"}},
	{order.EvItemWaiting, "The provider has no capacity for an item now.", []string{"item"}},
	{order.EvItemActive, "An item is active, and its credentials are sealed.", []string{"item"}},
	{
		order.EvItemCompensating,
		"Compensation of an item begins: its resources are removed and its payment is refunded.",
		[]string{"item"},
	},
	{order.EvItemRolledBack, "Nothing is left of an item, and its refund is accepted.", []string{"item"}},
	{order.EvItemCancelled, "An item was dropped before anything was built.", []string{"item"}},
	{order.EvItemStuck, "Removing an item needs a person.", []string{"item"}},
	{order.EvServiceDelivered, "An item was delivered; the event has all that billing needs.", []string{"item"}},
	{order.EvRedeliveryRequested, "An item's credentials are sent again.", []string{"item"}},
	{order.EvRefundRequested, "An item's share of a payment is to be refunded.", []string{"refund"}},
	{order.EvRefundAccepted, "The payment provider has accepted a refund.", []string{"refund"}},
	{order.EvRefundCompleted, "The customer has the money back.", []string{"refund"}},
	{order.EvRefundFailed, "A refund was refused, bounced or ran out of retries: it needs a person.", []string{"refund"}},
}
