package fulfil

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// WebhookWaits are the waits between the ten calls of a webhook delivery: D5's named exception, about
// three days in all, because a customer's endpoint may sleep over a night or a weekend (ADR 0018).
var WebhookWaits = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour,
}

// longestAsk bounds what a receiver may ask for by Retry-After: the longest wait there is.
const longestAsk = 24 * time.Hour

// Post decides what follows from one call of a webhook delivery: done, called again later, or over. A
// wait that the receiver asked for makes it longer, never shorter, and uses up the call all the same.
// Between two calls the task is queued and not open: a tenant's place among the open ones is not held
// for hours.
func Post(task Task, r Result) Move {
	n, m := task, Move{Result: r}
	n.Epoch, n.Sent, n.NextAt = task.Epoch+1, false, r.At
	switch {
	case r.Class == fault.None:
		m.Done, n.State = true, Closed
	case task.Try >= len(WebhookWaits):
		m.Dead, n.State = true, Closed
	default:
		wait := task.scaled(Jitter(task, WebhookWaits[task.Try]))
		n.Try, n.State, n.NextAt = task.Try+1, Queued, r.At.Add(max(wait, min(r.After, longestAsk)))
	}
	m.Task = n
	return m
}
