package fulfil

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
)

// Intend is the write-ahead of a call: no mutating call happens before it has committed. The undo of
// a step is registered by it too, because going back starts at the step whose intent stands here.
func Intend(task Task, now time.Time) Move {
	limit := task.deadline(task.Limit) // the product's (D6), from the first start
	if task.Compensating {
		limit = task.deadline(task.DeleteTimeout) // the adapter's, per part, from the part's first delete
	}
	if task.Deadline.IsZero() {
		task.Deadline = now.Add(limit)
	}
	task.Epoch, task.Sent, task.NextAt = task.Epoch+1, true, now
	m := Move{Task: task, Result: Result{At: now}}
	if !task.Compensating {
		m.Item = order.Start // the commit ignores it when the item is provisioning already
	}
	return m
}

// Next decides what follows from one result for a task of steps (provision). The item's trigger is
// Ready after the last step, Undone once the clean-up is confirmed (the commit fires it when the
// refund is accepted too), Unrecoverable when it turns back.
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
	// not the operation's fault: its deadline moves along
	outside := r.Class == fault.Suspended || r.Class == fault.Capacity
	if outside {
		n.Deadline = task.Deadline.Add(task.wait(r))
	}
	late := !outside && r.At.After(task.Deadline)
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
	case r.Class <= fault.Suspended && !late: // waiting costs no retry
		n.NextAt = r.At.Add(task.wait(r))
	case r.Class == fault.Capacity && !task.Compensating && task.Waited < task.CapacityLimit:
		m.Item, n.Sent, n.Waited, n.NextAt = order.NoCapacity, false, task.Waited+r.After, r.At.Add(task.wait(r))
		m.NewGeneration = r.FailedRemoved
	case r.Class == fault.Retryable && task.Try < len(Backoff) && !late:
		m.Item, n.Try, n.Sent = order.CallFailed, task.Try+1, false
		n.NextAt = r.At.Add(task.scaled(Jitter(task, Backoff[task.Try])))
		m.NewGeneration = r.FailedRemoved
	case !task.Compensating: // turn round ON the failed step: it may have half happened
		m.Item, m.Dead = order.Unrecoverable, true
		n = Compensate(n)
	default: // in undo: the delete's time is over, the retries are spent, or it was refused for good
		m.Item, m.Dead, n.State = order.CompensationExhausted, true, Stuck
	}
	m.Task = n
	return m
}

// Compensate makes a task go back from the step it is at, with a fresh budget.
func Compensate(task Task) Task {
	task.Compensating, task.Sent, task.Try, task.Deadline = true, false, 0, time.Time{}
	if len(task.Steps) > 0 {
		task.Step = min(task.Step, len(task.Steps)-1)
	}
	return task
}

// Once decides what follows from one result for a task of a single call (validate, refund, deliver,
// notify): done, wait, one of five retries (D5), or stuck with a dead letter.
func Once(task Task, r Result) Move {
	n, m := task, Move{Result: r}
	n.Epoch, n.NextAt, n.Sent = task.Epoch+1, r.At, false
	switch {
	case r.Class == fault.None:
		m.Done, n.State = true, Closed
	case r.Class == fault.Pending || r.Class == fault.RateLimited || r.Class == fault.Suspended ||
		r.Class == fault.Capacity:
		n.NextAt = r.At.Add(task.wait(r))
	case (r.Class == fault.Retryable || r.Class == fault.Ambiguous) && task.Try < len(Backoff):
		// the call carries its own key, so repeating it is safe
		n.Try, n.NextAt = task.Try+1, r.At.Add(task.scaled(Jitter(task, Backoff[task.Try])))
	default:
		m.Dead, n.State = true, Stuck
	}
	m.Task = n
	return m
}

// shortestDeadline is what a hurried clock leaves of a deadline: a restart of the process, which takes
// real time, must not look like a cloud that hangs.
const shortestDeadline = 2 * time.Minute

func (task Task) deadline(d time.Duration) time.Duration {
	return max(task.scaled(d), min(d, shortestDeadline))
}

// wait is how long a result asks to wait: as told by the provider or the guard before it, in real time,
// or by policy, in the clock's.
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
