package main

import (
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// major is the version of every payload today.
const major = event.Major

// kind is what is said about a type beyond what its Go type says.
type kind struct {
	Type  event.Type
	Says  string
	Needs []string // optional members of the payload that this type always carries
}

// kinds is the one table of all types, in the order of D17.
var kinds = []kind{
	{order.EvCreated, "A draft was made.", nil},
	{order.EvUpdated, "The items or the reference of a draft were changed.", nil},
	{order.EvSubmitted, "The customer ordered; prices are frozen and payment is awaited.", nil},
	{order.EvPaymentConfirmed, "The money is in. Provisioning begins with this event.", []string{"payment"}},
	{order.EvPaymentReverted, "An operator set a payment aside before provisioning.", []string{"payment"}},
	{order.EvValidating, "The order is checked against what the providers offer now.", nil},
	{order.EvProvisioningStarted, "Every item can be built, and is queued.", nil},
	{order.EvPartiallyFulfilled, "An item is up while others are on their way.", nil},
	{order.EvFulfilled, "Every item has ended and at least one was delivered; outcome says whether all were.", nil},
	{order.EvCancelRequested, "A cancel was accepted; what is not delivered goes back.", nil},
	{order.EvCancelled, "Nothing is left of the order, and what was paid is refunded.", nil},
	{order.EvFailed, "Nothing could be delivered; everything is removed and refunded.", nil},
	{order.EvRestored, "A cancelled order is a draft again.", nil},
	{order.EvHeld, "An operator held the order back before provisioning.", nil},
	{order.EvReleased, "A held order goes on.", nil},
	{order.EvItemProvisioning, "Work on an item begins, or begins again after a wait.", []string{"item"}},
	{order.EvItemRetrying, "A call for an item failed and will be repeated.", []string{"item"}},
	{order.EvItemWaiting, "The provider has no room for an item now.", []string{"item"}},
	{order.EvItemActive, "An item is up, and its access is sealed.", []string{"item"}},
	{order.EvItemCompensating, "An item goes back: its resources are removed and its payment refunded.", []string{"item"}},
	{order.EvItemRolledBack, "Nothing is left of an item, and its refund is accepted.", []string{"item"}},
	{order.EvItemCancelled, "An item was dropped before anything was built.", []string{"item"}},
	{order.EvItemStuck, "Removing an item needs a person.", []string{"item"}},
	{order.EvServiceDelivered, "An item was delivered; it carries all that billing needs.", []string{"item"}},
	{order.EvRedeliveryRequested, "An item's access is sent again.", []string{"item"}},
	{order.EvRefundRequested, "An item's share of a payment is to be given back.", []string{"refund"}},
	{order.EvRefundAccepted, "The payment provider has taken a refund over.", []string{"refund"}},
	{order.EvRefundCompleted, "The money is back.", []string{"refund"}},
	{order.EvRefundFailed, "A refund was refused, bounced or ran out of retries: it needs a person.", []string{"refund"}},
}
