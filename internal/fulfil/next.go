package fulfil

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
)

// Intend is the write-ahead of a call: no mutating call happens before it has committed. The undo of
// a step is registered by it too, because going back starts at the step whose intent stands here.
func Intend(u Unit, now time.Time) Move {
	limit := u.deadline(u.Limit) // the product's (D6), from the first start
	if u.Undoing {
		limit = u.deadline(u.DeleteTimeout) // the adapter's, per part, from the part's first delete
	}
	if u.Deadline.IsZero() {
		u.Deadline = now.Add(limit)
	}
	u.Epoch, u.Sent, u.NextAt = u.Epoch+1, true, now
	m := Move{Unit: u, Result: Result{At: now}}
	if !u.Undoing {
		m.Item = order.Start // the commit ignores it when the item is provisioning already
	}
	return m
}

// Next decides what follows from one result for a unit of steps (provision). The item's trigger is
// Ready after the last step, Undone once the clean-up is confirmed (the commit fires it when the
// refund is accepted too), Unrecoverable when it turns back.
func Next(u Unit, r Result) Move {
	n, m := u, Move{Result: r}
	n.Epoch, n.NextAt, n.Sent = u.Epoch+1, r.At, u.Sent && !r.NotSent
	if r.Progress > n.Progress {
		n.Progress = r.Progress
	}
	if r.Detail != "" {
		n.Detail = r.Detail
	}
	if r.Judged {
		n.Claim = Claim{}
	}
	outside := r.Class == fault.Parked || r.Class == fault.Capacity // not the operation's fault: its deadline moves along
	if outside {
		n.Deadline = u.Deadline.Add(u.wait(r))
	}
	late := !outside && r.At.After(u.Deadline)
	switch {
	case r.Class == fault.None && !u.Undoing:
		if n.Step, n.Try, n.Sent = u.Step+1, 0, false; n.Step == len(u.Parts) {
			m.Item, n.State = order.Ready, Closed
		}
	case r.Class == fault.None:
		n.Step, n.Try, n.Sent, n.Deadline = u.Step-1, 0, false, time.Time{}
		if n.Step < 0 {
			m.Item, n.State, n.Step = order.Undone, Closed, 0
		}
	case r.Class <= fault.Parked && !late: // waiting costs no retry
		n.NextAt = r.At.Add(u.wait(r))
	case r.Class == fault.Capacity && !u.Undoing && u.Waited < u.CapacityLimit:
		m.Item, n.Sent, n.Waited, n.NextAt = order.NoCapacity, false, u.Waited+r.After, r.At.Add(u.wait(r))
		m.Corpse = r.Corpse
	case r.Class == fault.Retryable && u.Try < len(Backoff) && !late:
		m.Item, n.Try, n.Sent = order.CallFailed, u.Try+1, false
		n.NextAt = r.At.Add(u.scaled(Jitter(u, Backoff[u.Try])))
		m.Corpse = r.Corpse
	case !u.Undoing: // turn round ON the failed step: it may have half happened
		m.Item, m.Dead = order.Unrecoverable, true
		n = TurnBack(n)
	default: // in undo: the delete's time is over, the retries are spent, or it was refused for good
		m.Item, m.Dead, n.State = order.UndoExhausted, true, Stuck
	}
	m.Unit = n
	return m
}

// TurnBack makes a unit go back from the step it is at, with a fresh budget.
func TurnBack(u Unit) Unit {
	u.Undoing, u.Sent, u.Try, u.Deadline = true, false, 0, time.Time{}
	if len(u.Parts) > 0 {
		u.Step = min(u.Step, len(u.Parts)-1)
	}
	return u
}

// Once decides what follows from one result for a unit of a single call (validate, refund, deliver,
// notify): done, wait, one of five retries (D5), or stuck with a dead letter.
func Once(u Unit, r Result) Move {
	n, m := u, Move{Result: r}
	n.Epoch, n.NextAt, n.Sent = u.Epoch+1, r.At, false
	switch {
	case r.Class == fault.None:
		m.Done, n.State = true, Closed
	case r.Class == fault.Pending || r.Class == fault.RateLimited || r.Class == fault.Parked || r.Class == fault.Capacity:
		n.NextAt = r.At.Add(u.wait(r))
	case (r.Class == fault.Retryable || r.Class == fault.Ambiguous) && u.Try < len(Backoff): // the call carries its own key, so repeating it is safe
		n.Try, n.NextAt = u.Try+1, r.At.Add(u.scaled(Jitter(u, Backoff[u.Try])))
	default:
		m.Dead, n.State = true, Stuck
	}
	m.Unit = n
	return m
}

// shortestDeadline is what a hurried clock leaves of a deadline: a restart of the process, which takes
// real time, must not look like a cloud that hangs.
const shortestDeadline = 2 * time.Minute

func (u Unit) deadline(d time.Duration) time.Duration {
	return max(u.scaled(d), min(d, shortestDeadline))
}

// wait is how long a result asks to wait: as told by the provider or the guard before it, in real time,
// or by policy, in the clock's.
func (u Unit) wait(r Result) time.Duration {
	if r.Class == fault.RateLimited || r.Class == fault.Parked {
		return r.After
	}
	return u.scaled(r.After)
}

func (u Unit) scaled(d time.Duration) time.Duration {
	if u.Speed > 1 {
		return d / time.Duration(u.Speed)
	}
	return d
}
