package fulfil

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
)

// Intend returns the move that records the intent of a call. No mutating call is made before it has committed.
// Compensation starts at the step of the last intent, so an intent also registers the step for compensation.
func Intend(task Task, now time.Time) Move {
	limit := task.deadline(task.Limit) // the product's (D6), from the first start
	if task.Compensating {
		limit = task.deadline(task.DeleteTimeout) // the adapter's, for each step, from its first delete
	}
	if task.Deadline.IsZero() {
		task.Deadline = now.Add(limit)
	}
	task.Epoch, task.Sent, task.NextAt = task.Epoch+1, true, now
	m := Move{Task: task, Result: Result{At: now}}
	if !task.Compensating {
		m.Item = order.Start // the commit ignores it when the item is already provisioning
	}
	return m
}

// Next returns the move that follows from the result of a call, for a task with steps (provision). The item's trigger
// is Ready after the last step, Unrecoverable when the compensation starts, and Compensated when all resources are
// confirmed gone; the commit fires Compensated once the refund is accepted too.
func Next(task Task, r Result) Move {
	n, m := task, Move{Result: r}
	n.Epoch, n.NextAt, n.Sent = task.Epoch+1, r.At, task.Sent && !r.NotSent
	if r.Progress > n.Progress {
		n.Progress = r.Progress
	}
	if r.Detail != "" {
		n.Detail = r.Detail
	}
	if r.AssertionChecked {
		n.Assertion = Assertion{}
	}
	// These waits are not the operation's own time, so they extend its deadline.
	extends := r.Class == fault.Suspended || r.Class == fault.Capacity
	if extends {
		n.Deadline = task.Deadline.Add(task.wait(r))
	}
	late := !extends && r.At.After(task.Deadline)
	switch {
	case r.Class == fault.None && !task.Compensating:
		if n.Step, n.Try, n.Sent = task.Step+1, 0, false; n.Step == len(task.Steps) {
			m.Item, n.State = order.Ready, Closed
		}
	case r.Class == fault.None:
		n.Step, n.Try, n.Sent, n.Deadline = task.Step-1, 0, false, time.Time{}
		if n.Step < 0 {
			m.Item, n.State, n.Step = order.Compensated, Closed, 0
		}
	case r.Class <= fault.Suspended && !late: // a wait uses up no retry
		n.NextAt = r.At.Add(task.wait(r))
	case r.Class == fault.Capacity && !task.Compensating && task.Waited < task.CapacityLimit:
		m.Item, n.Sent, n.Waited, n.NextAt = order.NoCapacity, false, task.Waited+r.After, r.At.Add(task.wait(r))
		m.NewGeneration = r.FailedRemoved
	case r.Class == fault.Retryable && task.Try < len(Backoff) && !late:
		m.Item, n.Try, n.Sent = order.CallFailed, task.Try+1, false
		n.NextAt = r.At.Add(task.scaled(Jitter(task, Backoff[task.Try])))
		m.NewGeneration = r.FailedRemoved
	case !task.Compensating: // compensation starts with the failed step, which may have half happened
		m.Item, m.Dead = order.Unrecoverable, true
		n = Compensate(n)
	default: // the delete timed out, ran out of retries or was refused
		m.Item, m.Dead, n.State = order.CompensationExhausted, true, Stuck
	}
	m.Task = n
	return m
}

// Compensate returns the task compensating, from its current step backwards, with all retries.
func Compensate(task Task) Task {
	task.Compensating, task.Sent, task.Try, task.Deadline = true, false, 0, time.Time{}
	if len(task.Steps) > 0 {
		task.Step = min(task.Step, len(task.Steps)-1)
	}
	return task
}

// Once returns the move that follows from the result of a call, for a single-call task (validate, refund, deliver,
// notify, redrive, checkout). The task is done, waits, has one of five retries (D5), or is stuck with a dead letter.
func NextSingle(task Task, r Result) Move {
	n, m := task, Move{Result: r}
	n.Epoch, n.NextAt, n.Sent = task.Epoch+1, r.At, false
	switch {
	case r.Class == fault.None:
		m.Done, n.State = true, Closed
	case r.Class == fault.Pending || r.Class == fault.RateLimited || r.Class == fault.Suspended ||
		r.Class == fault.Capacity:
		n.NextAt = r.At.Add(task.wait(r))
	case (r.Class == fault.Retryable || r.Class == fault.Ambiguous) && task.Try < len(Backoff):
		// the call has its own key, so it is safe to repeat
		n.Try, n.NextAt = task.Try+1, r.At.Add(task.scaled(Jitter(task, Backoff[task.Try])))
	default:
		m.Dead, n.State = true, Stuck
	}
	m.Task = n
	return m
}

// minDeadline is the least to which an accelerated clock shortens a deadline. A restart of the process takes real
// time, and must not look like a cloud that hangs.
const minDeadline = 2 * time.Minute

// deadline scales a deadline by the clock's speed.
func (task Task) deadline(d time.Duration) time.Duration {
	return max(task.scaled(d), min(d, minDeadline))
}

// wait returns how long a result asks to wait. A wait that the provider or its guard asked for is in real time; a
// policy's wait is scaled by the clock's speed.
func (task Task) wait(r Result) time.Duration {
	if r.Class == fault.RateLimited || r.Class == fault.Suspended {
		return r.After
	}
	return task.scaled(r.After)
}

func (task Task) scaled(d time.Duration) time.Duration {
	if task.Speed > 1 {
		return d / time.Duration(task.Speed)
	}
	return d
}
