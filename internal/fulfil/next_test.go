package fulfil

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
)

var nine = time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)

func vps() Unit {
	return Unit{Kind: Provision, Parts: []string{"port", "server", "credentials"}, Limit: 10 * time.Minute, DeleteTimeout: 5 * time.Minute, CapacityLimit: 30 * time.Minute, Speed: 1}
}

// call commits an intent and the result of its call.
func call(u Unit, at time.Time, r Result) (Unit, Move) {
	r.At = at
	m := Next(Intend(u, at).Unit, r)
	return m.Unit, m
}

func TestAFailingStepIsCalledSixTimesOverSixtySecondsAndThenTurnsBackOnItself(t *testing.T) {
	t.Parallel()
	u, now, calls := vps(), nine, 0
	u.Step = 1
	var triggers []order.ItemTrigger
	var waits []time.Duration
	for !u.Undoing {
		var m Move
		u, m = call(u, now, Result{Class: fault.Retryable})
		calls++
		triggers = append(triggers, m.Item)
		if m.Item == order.CallFailed {
			waits = append(waits, u.NextAt.Sub(now))
		}
		now = u.NextAt
	}
	if calls != 6 {
		t.Errorf("called %d times, want 6 (D5)", calls)
	}
	for i, d := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second} {
		if waits[i] < d || waits[i] > d*110/100 {
			t.Errorf("wait %d = %s, want within [%s, %s]", i+1, waits[i], d, d*110/100)
		}
	}
	if u.Step != 1 || u.Try != 0 || u.Sent {
		t.Errorf("turned back at step %d try %d sent %t, want at step 1 (the failed one), 0, false", u.Step, u.Try, u.Sent)
	}
	want := []order.ItemTrigger{order.CallFailed, order.CallFailed, order.CallFailed, order.CallFailed, order.CallFailed, order.Unrecoverable}
	if diff := cmp.Diff(want, triggers); diff != "" {
		t.Errorf("item triggers (-want +got):\n%s", diff)
	}
}

func TestWaitingUsesUpNoRetry(t *testing.T) {
	t.Parallel()
	for _, class := range []fault.Class{fault.Pending, fault.RateLimited, fault.Ambiguous, fault.Parked} {
		u, m := call(vps(), nine, Result{Class: class, After: 3 * time.Second})
		if u.Try != 0 || m.Item != 0 || u.NextAt != nine.Add(3*time.Second) || !u.Sent {
			t.Errorf("after %s: try %d, item %s, due %s, sent %t; want 0, none, 3 s later, true", class, u.Try, m.Item, u.NextAt, u.Sent)
		}
	}
}

func TestAHardRefusalIsNotRetried(t *testing.T) {
	t.Parallel()
	for _, class := range []fault.Class{fault.Invalid, fault.Forbidden, fault.Quota} {
		u, m := call(vps(), nine, Result{Class: class})
		if m.Item != order.Unrecoverable || !m.Dead || !u.Undoing {
			t.Errorf("after %s: item %s dead %t undoing %t; want unrecoverable at once", class, m.Item, m.Dead, u.Undoing)
		}
	}
}

func TestPastItsDeadlineAnItemTurnsBackAndTimeParkedExtendsIt(t *testing.T) {
	t.Parallel()
	u, _ := call(vps(), nine, Result{Class: fault.Pending, After: time.Minute})
	late := Next(u, Result{Class: fault.Pending, At: nine.Add(10*time.Minute + time.Second)})
	if late.Item != order.Unrecoverable {
		t.Errorf("pending past the deadline: item %s, want unrecoverable (D6)", late.Item)
	}
	parked := Next(u, Result{Class: fault.Parked, At: nine.Add(time.Minute), After: 5 * time.Minute})
	if want := nine.Add(15 * time.Minute); parked.Unit.Deadline != want {
		t.Errorf("deadline after 5 parked minutes = %s, want %s", parked.Unit.Deadline, want)
	}
}

func TestWaitingForRoomEndsAtItsOwnLimit(t *testing.T) {
	t.Parallel()
	u, now := vps(), nine
	var m Move
	for !u.Undoing {
		after := min(CapacityWait(u.Waited), max(0, u.CapacityLimit-u.Waited))
		u, m = call(u, now, Result{Class: fault.Capacity, After: after})
		now = u.NextAt
	}
	if waited := now.Sub(nine); waited != 30*time.Minute || m.Item != order.Unrecoverable {
		t.Errorf("gave up after %s with %s, want after 30 minutes, unrecoverable (D6)", waited, m.Item)
	}
}

func TestUndoWalksBackToTheFirstPartAndEndsStuckAfterItsRetries(t *testing.T) {
	t.Parallel()
	u := TurnBack(Unit{Kind: Provision, Parts: vps().Parts, Step: 3, DeleteTimeout: 5 * time.Minute, Speed: 1})
	var steps []int
	for u.State != Closed {
		steps = append(steps, u.Step)
		u, _ = call(u, nine, Result{Class: fault.None})
	}
	if diff := cmp.Diff([]int{2, 1, 0}, steps); diff != "" {
		t.Errorf("steps undone (-want +got):\n%s", diff)
	}
	u = TurnBack(vps())
	now, calls := nine, 0
	var m Move
	for u.State != Stuck {
		u, m = call(u, now, Result{Class: fault.Retryable})
		now, calls = u.NextAt, calls+1
	}
	if calls != 6 || m.Item != order.UndoExhausted || !m.Dead {
		t.Errorf("undo: %d calls, then %s dead %t; want 6, undo-exhausted, true", calls, m.Item, m.Dead)
	}
}

func TestEveryMoveRaisesTheFenceByOne(t *testing.T) {
	t.Parallel()
	u := vps()
	m := Intend(u, nine)
	if m.Unit.Epoch != 1 {
		t.Errorf("epoch after the intent = %d, want 1", m.Unit.Epoch)
	}
	for c := fault.None; c <= fault.NotFound; c++ {
		if got := Next(m.Unit, Result{Class: c, At: nine}).Unit.Epoch; got != 2 {
			t.Errorf("epoch after %s = %d, want 2", c, got)
		}
		if got := Once(m.Unit, Result{Class: c, At: nine}).Unit.Epoch; got != 2 {
			t.Errorf("Once: epoch after %s = %d, want 2", c, got)
		}
	}
}

func TestASingleCallIsRepeatedUnderItsKeyAndThenStandsOnTheDesk(t *testing.T) {
	t.Parallel()
	u, now, calls := Unit{Kind: Refund, Speed: 1}, nine, 0
	for u.State != Stuck {
		m := Once(Intend(u, now).Unit, Result{Class: fault.Ambiguous, At: now})
		u, now, calls = m.Unit, m.Unit.NextAt, calls+1
	}
	if calls != 6 {
		t.Errorf("called %d times, want 6 (D5)", calls)
	}
	if m := Once(u, Result{Class: fault.None, At: now}); !m.Done || m.Unit.State != Closed {
		t.Errorf("Once(none) = done %t, %s; want done, closed", m.Done, m.Unit.State)
	}
}

func TestTheClocksScaleShortensPolicyWaitsAlone(t *testing.T) {
	t.Parallel()
	u := vps()
	u.Speed = 20
	u, _ = call(u, nine, Result{Class: fault.Retryable})
	if wait := u.NextAt.Sub(nine); wait < 100*time.Millisecond || wait > 110*time.Millisecond {
		t.Errorf("first wait at twenty times speed = %s, want 100 to 110 ms", wait)
	}
	if u.Deadline != nine.Add(2*time.Minute) {
		t.Errorf("deadline = %s, want 2 minutes after the start: a restart must not look like a hanging cloud", u.Deadline)
	}
}
