package guard

import (
	"context"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Breaker is the state of an account's circuit breaker, which all processes share. A closed breaker lets calls
// through, an open one refuses them. When the time of an open one is over, one call may probe. The zero value is
// closed.
type Breaker struct {
	Open  bool
	Until time.Time // if open: no calls before; then one probe
	Level int       // how often it opened in a row; each time doubles the wait
	Moves int       // +1 with each change; a change names the number that it starts from
}

// A breaker opens after failuresInRow failures in a row, or when half of at least windowCalls calls within the
// window have failed (ADR 0017). A refused login opens it at once.
const (
	failuresInRow = 5
	windowCalls   = 20
	window        = time.Minute
	windowMost    = 1000 // calls that are kept
	openFor       = 30 * time.Second
	openMost      = 5 * time.Minute
	probeFor      = 15 * time.Second // after this time, another probe may start
	maxViewAge    = time.Second      // how old this process's view may be
)

// breakers holds the circuit breakers of all accounts.
type breakers struct {
	store    Store
	clock    Clock
	accounts perAccount[view]
}

// view is what this process knows about an account's breaker, and its own calls.
type view struct {
	mu       sync.Mutex // guards all fields below
	state    Breaker
	readAt   time.Time // zero: the state must be read
	failures int       // in a row
	calls    []outcome // within the window, oldest first
}

type outcome struct {
	at     time.Time
	failed bool
}

// admit lets calls through while the breaker is closed, and one probe when the time of an open one is over. The
// account's lock is held while the store answers, because other callers would only ask the same.
func (b *breakers) admit(ctx context.Context, a Account) error {
	v := b.accounts.of(a)
	v.mu.Lock()
	defer v.mu.Unlock()
	now := b.clock.Now()
	if now.Sub(v.readAt).Abs() > maxViewAge {
		state, err := b.store.Breaker(ctx, a)
		if err != nil {
			return refusal(fault.RateLimited, time.Second, "guard-unavailable", "the account's state cannot be read")
		}
		v.state, v.readAt = state, now
	}
	if !v.state.Open {
		return nil
	}
	if wait := v.state.Until.Sub(now); wait > 0 {
		return refusal(fault.Suspended, wait, "breaker-open", "calls to this region are held back after failures")
	}
	probe := Breaker{Open: true, Until: now.Add(b.scaled(probeFor)), Level: v.state.Level, Moves: v.state.Moves + 1}
	if !b.move(ctx, v, a, probe, now) {
		wait := b.scaled(time.Second)
		return refusal(fault.Suspended, wait, "breaker-open", "another process is probing whether the region is back")
	}
	return nil
}

// record stores the outcome of a call and opens or closes the breaker. If the new state cannot be shared, the
// call does not fail for it; the next call tries again.
func (b *breakers) record(ctx context.Context, a Account, class fault.Class) {
	v := b.accounts.of(a)
	v.mu.Lock()
	defer v.mu.Unlock()
	now := b.clock.Now()
	failed := class == fault.Retryable || class == fault.Ambiguous || class == fault.Suspended
	v.add(outcome{now, failed}, b.scaled(window))
	ctx = context.WithoutCancel(ctx) // the call is over, and its context may be too
	switch {
	case v.state.Open && !failed:
		b.move(ctx, v, a, Breaker{Moves: v.state.Moves + 1}, now)
	case v.state.Open || class == fault.Suspended || v.tripped():
		level := v.state.Level
		wait := min(b.scaled(openFor)<<min(level, 8), b.scaled(openMost))
		b.move(ctx, v, a, Breaker{Open: true, Until: now.Add(wait), Level: level + 1, Moves: v.state.Moves + 1}, now)
		v.failures, v.calls = 0, nil
	}
}

// move replaces the shared state and reports whether it did. If another process was first, or the store fails,
// the state is read again before the next call.
func (b *breakers) move(ctx context.Context, v *view, a Account, to Breaker, now time.Time) bool {
	v.readAt = time.Time{}
	if moved, err := b.store.MoveBreaker(ctx, a, to); err != nil || !moved {
		return false
	}
	v.state, v.readAt = to, now
	return true
}

// add stores an outcome and drops the calls that have left the window.
func (v *view) add(o outcome, window time.Duration) {
	if v.failures++; !o.failed {
		v.failures = 0
	}
	for len(v.calls) > 0 && (o.at.Sub(v.calls[0].at) > window || len(v.calls) >= windowMost) {
		v.calls = v.calls[1:]
	}
	v.calls = append(v.calls, o)
}

// tripped reports whether the breaker must open for the calls of this process.
func (v *view) tripped() bool {
	if v.failures >= failuresInRow {
		return true
	}
	failed := 0
	for _, c := range v.calls {
		if c.failed {
			failed++
		}
	}
	return len(v.calls) >= windowCalls && failed*2 >= len(v.calls)
}

func (b *breakers) scaled(d time.Duration) time.Duration {
	return d / time.Duration(max(1, b.clock.Speed()))
}
