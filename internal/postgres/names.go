package postgres

import (
	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// The states and kinds that statements compare with, as text of SQL. Columns hold them as smallint
// (ADR 0022); each name takes its number from the Go constant when it is compiled, so that a statement
// stays a constant and its partial indexes match. A test fails for a bare number beside such a column.
const (
	orderPendingPayment = string('0' + rune(order.PendingPayment))

	itemActive    = string('0' + rune(order.ItemActive))
	itemDelivered = string('0' + rune(order.ItemDelivered))

	paymentReverted = string('0' + rune(order.PaymentReverted))

	refundAccepted  = string('0' + rune(order.RefundAccepted))
	refundCompleted = string('0' + rune(order.RefundCompleted))

	taskQueued = string('0' + rune(fulfil.Queued))
	taskOpen   = string('0' + rune(fulfil.Open))
	taskStuck  = string('0' + rune(fulfil.Stuck))
	taskClosed = string('0' + rune(fulfil.Closed))
	taskLive   = taskQueued + `, ` + taskOpen // a list for IN

	taskProvision = string('0' + rune(fulfil.Provision)) // a kind
	taskWebhook   = string('0' + rune(fulfil.Webhook))   // a kind

	deadLetterOpen   = string('0' + rune(app.DeadLetterOpen))
	deadLetterParked = string('0' + rune(app.DeadLetterParked))

	webhookEndpointDisabled = string('0' + rune(app.WebhookEndpointDisabled))

	webhookDeliveryPending = string('0' + rune(app.WebhookDeliveryPending))
	webhookDeliveryDropped = string('0' + rune(app.WebhookDeliveryDropped))
)
