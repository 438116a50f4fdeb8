package fulfil

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
)

var nine = time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)

func vps() Task {
	return Task{
		Kind: Provision, Steps: []string{"port", "server", "credentials"}, Limit: 10 * time.Minute,
		DeleteTimeout: 5 * time.Minute, CapacityLimit: 30 * time.Minute, Speed: 1,
	}
}

// call commits an intent and the result of its call.
func call(task Task, at time.Time, r Result) (Task, Move) {
	r.At = at
	m := Next(Intend(task, at).Task, r)
	return m.Task, m
}

func TestAFailingStepIsCalledSixTimesInSixtySecondsAndIsCompensatedItself(t *testing.T) {
	t.Parallel()
	task, now, calls := vps(), nine, 0
	task.Step = 1
	var triggers []order.ItemTrigger
	var waits []time.Duration
	for !task.Compensating {
		var m Move
		task, m = call(task, now, Result{Class: fault.Retryable})
		calls++
		triggers = append(triggers, m.Item)
		if m.Item == order.CallFailed {
			waits = append(waits, task.NextAt.Sub(now))
		}
		now = task.NextAt
	}
	if calls != 6 {
		t.Errorf("called %d times, want 6 (D5)", calls)
	}
	for i, d := range []time.Duration{
		2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second,
	} {
		if waits[i] < d || waits[i] > d*110/100 {
			t.Errorf("wait %d = %s, want within [%s, %s]", i+1, waits[i], d, d*110/100)
		}
	}
	if task.Step != 1 || task.Try != 0 || task.Sent {
		t.Errorf("compensates at step %d try %d sent %t, want at step 1 (the failed one), 0, false",
			task.Step, task.Try, task.Sent)
	}
	want := []order.ItemTrigger{
		order.CallFailed, order.CallFailed, order.CallFailed, order.CallFailed, order.CallFailed, order.Unrecoverable,
	}
	if diff := cmp.Diff(want, triggers); diff != "" {
		t.Errorf("item triggers (-want +got):\n%s", diff)
	}
}

func TestWaitingUsesUpNoRetry(t *testing.T) {
	t.Parallel()
	for _, class := range []fault.Class{fault.Pending, fault.RateLimited, fault.Ambiguous, fault.Suspended} {
		task, m := call(vps(), nine, Result{Class: class, After: 3 * time.Second})
		if task.Try != 0 || m.Item != 0 || task.NextAt != nine.Add(3*time.Second) || !task.Sent {
			t.Errorf("after %s: try %d, item %s, due %s, sent %t; want 0, none, 3 s later, true", class, task.Try,
				m.Item, task.NextAt, task.Sent)
		}
	}
}

func TestAHardRefusalIsNotRetried(t *testing.T) {
	t.Parallel()
	for _, class := range []fault.Class{fault.Invalid, fault.Forbidden, fault.Quota} {
		task, m := call(vps(), nine, Result{Class: class})
		if m.Item != order.Unrecoverable || !m.Dead || !task.Compensating {
			t.Errorf("after %s: item %s dead %t compensating %t; want unrecoverable at once", class, m.Item,
				m.Dead, task.Compensating)
		}
	}
}

func TestPastItsDeadlineAnItemIsCompensatedAndTimeSuspendedExtendsIt(t *testing.T) {
	t.Parallel()
	task, _ := call(vps(), nine, Result{Class: fault.Pending, After: time.Minute})
	late := Next(task, Result{Class: fault.Pending, At: nine.Add(10*time.Minute + time.Second)})
	if late.Item != order.Unrecoverable {
		t.Errorf("pending past the deadline: item %s, want unrecoverable (D6)", late.Item)
	}
	suspended := Next(task, Result{Class: fault.Suspended, At: nine.Add(time.Minute), After: 5 * time.Minute})
	if want := nine.Add(15 * time.Minute); suspended.Task.Deadline != want {
		t.Errorf("deadline after 5 suspended minutes = %s, want %s", suspended.Task.Deadline, want)
	}
}

func TestWaitingForCapacityEndsAtItsOwnLimit(t *testing.T) {
	t.Parallel()
	task, now := vps(), nine
	var m Move
	for !task.Compensating {
		after := min(CapacityWait(task.Waited), max(0, task.CapacityLimit-task.Waited))
		task, m = call(task, now, Result{Class: fault.Capacity, After: after})
		now = task.NextAt
	}
	if waited := now.Sub(nine); waited != 30*time.Minute || m.Item != order.Unrecoverable {
		t.Errorf("gave up after %s with %s, want after 30 minutes, unrecoverable (D6)", waited, m.Item)
	}
}

func TestCompensationGoesToTheFirstStepAndIsStuckAfterItsRetries(t *testing.T) {
	t.Parallel()
	task := Compensate(Task{Kind: Provision, Steps: vps().Steps, Step: 3, DeleteTimeout: 5 * time.Minute, Speed: 1})
	var steps []int
	for task.State != Closed {
		steps = append(steps, task.Step)
		task, _ = call(task, nine, Result{Class: fault.None})
	}
	if diff := cmp.Diff([]int{2, 1, 0}, steps); diff != "" {
		t.Errorf("steps compensated (-want +got):\n%s", diff)
	}
	task = Compensate(vps())
	now, calls := nine, 0
	var m Move
	for task.State != Stuck {
		task, m = call(task, now, Result{Class: fault.Retryable})
		now, calls = task.NextAt, calls+1
	}
	if calls != 6 || m.Item != order.CompensationExhausted || !m.Dead {
		t.Errorf("compensation: %d calls, then %s dead %t; want 6, compensation-exhausted, true", calls, m.Item, m.Dead)
	}
}

func TestEveryMoveRaisesTheFenceByOne(t *testing.T) {
	t.Parallel()
	task := vps()
	m := Intend(task, nine)
	if m.Task.Epoch != 1 {
		t.Errorf("epoch after the intent = %d, want 1", m.Task.Epoch)
	}
	for c := fault.None; c <= fault.NotFound; c++ {
		if got := Next(m.Task, Result{Class: c, At: nine}).Task.Epoch; got != 2 {
			t.Errorf("epoch after %s = %d, want 2", c, got)
		}
		if got := NextSingle(m.Task, Result{Class: c, At: nine}).Task.Epoch; got != 2 {
			t.Errorf("Once: epoch after %s = %d, want 2", c, got)
		}
	}
}

func TestASingleCallIsRepeatedUnderItsKeyAndThenIsStuck(t *testing.T) {
	t.Parallel()
	task, now, calls := Task{Kind: Refund, Speed: 1}, nine, 0
	for task.State != Stuck {
		m := NextSingle(Intend(task, now).Task, Result{Class: fault.Ambiguous, At: now})
		task, now, calls = m.Task, m.Task.NextAt, calls+1
	}
	if calls != 6 {
		t.Errorf("called %d times, want 6 (D5)", calls)
	}
	if m := NextSingle(task, Result{Class: fault.None, At: now}); !m.Done || m.Task.State != Closed {
		t.Errorf("Once(none) = done %t, %s; want done, closed", m.Done, m.Task.State)
	}
}

func TestTheClocksSpeedShortensOnlyPolicyWaits(t *testing.T) {
	t.Parallel()
	task := vps()
	task.Speed = 20
	task, _ = call(task, nine, Result{Class: fault.Retryable})
	if wait := task.NextAt.Sub(nine); wait < 100*time.Millisecond || wait > 110*time.Millisecond {
		t.Errorf("first wait at twenty times speed = %s, want 100 to 110 ms", wait)
	}
	if task.Deadline != nine.Add(2*time.Minute) {
		t.Errorf("deadline = %s, want 2 minutes after the start: a restart must not look like a hanging cloud", task.Deadline)
	}
}
