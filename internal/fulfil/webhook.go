package fulfil

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// WebhookWaits are the waits between the ten calls of a webhook delivery, about three days in all. They are an
// exception to D5, because a customer's endpoint may be down over a night or a weekend (ADR 0018).
var WebhookWaits = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour,
}

// maxRetryAfter bounds the wait that a receiver may ask for by Retry-After. It is the longest of WebhookWaits.
const maxRetryAfter = 24 * time.Hour

// Post returns the move that follows from one call of a webhook delivery: the delivery is done, called again later,
// or given up. A wait that the receiver asked for can lengthen the scheduled one, never shorten it; the call is used
// up in either case. Between two calls the task is queued, not open, so that it does not occupy its tenant's share
// of the open tasks for hours.
func NextWebhook(task Task, r Result) Move {
	n, m := task, Move{Result: r}
	n.Epoch, n.Sent, n.NextAt = task.Epoch+1, false, r.At
	switch {
	case r.Class == fault.None:
		m.Done, n.State = true, Closed
	case task.Try >= len(WebhookWaits):
		m.Dead, n.State = true, Closed
	default:
		wait := task.scaled(Jitter(task, WebhookWaits[task.Try]))
		n.Try, n.State, n.NextAt = task.Try+1, Queued, r.At.Add(max(wait, min(r.After, maxRetryAfter)))
	}
	m.Task = n
	return m
}
