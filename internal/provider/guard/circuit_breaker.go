package guard

import (
	"context"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Breaker is the circuit breaker of an account, as all processes share it. Closed lets calls through, open
// refuses them; an open one whose time is over lets one call probe. The zero value is closed.
type Breaker struct {
	Open  bool
	Until time.Time // open: nobody calls before; then one probes
	Level int       // openings in a row: each doubles the time
	Moves int       // +1 with each move: who moves it says from which
}

// A breaker opens after failuresInRow failures in a row, or when half of at least windowCalls calls within
// the window failed (ADR 0017). A refused login opens it at once.
const (
	failuresInRow = 5
	windowCalls   = 20
	window        = time.Minute
	windowAtMost  = 1000 // calls that are kept
	openFor       = 30 * time.Second
	openAtMost    = 5 * time.Minute
	probeFor      = 15 * time.Second // a probe that never came back
	viewStale     = time.Second      // how old this process's view may be
)

// breakers has the circuit breaker of each account.
type breakers struct {
	store    Store
	clock    Clock
	accounts perAccount[view]
}

// view is what this process knows of an account's breaker, and of its own calls.
type view struct {
	mu     sync.Mutex // guards all below
	state  Breaker
	readAt time.Time // zero: it must be read
	inRow  int       // failures
	calls  []outcome // within the window, oldest first
}

type outcome struct {
	at     time.Time
	failed bool
}

// admit lets a call through while the breaker is closed, and one probe when its time is over. The account's
// lock is held while the store answers: the callers behind would only ask the same.
func (b *breakers) admit(ctx context.Context, a Account) error {
	v := b.accounts.of(a)
	v.mu.Lock()
	defer v.mu.Unlock()
	now := b.clock.Now()
	if now.Sub(v.readAt).Abs() > viewStale {
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
		return refusal(fault.Suspended, wait, "breaker-open", "somebody else is asking whether the region is back")
	}
	return nil
}

// record notes how a call went, and opens or closes the breaker. A failure to share that is no failure of
// the call: the next one tries again.
func (b *breakers) record(ctx context.Context, a Account, class fault.Class) {
	v := b.accounts.of(a)
	v.mu.Lock()
	defer v.mu.Unlock()
	now := b.clock.Now()
	failed := class == fault.Retryable || class == fault.Ambiguous || class == fault.Suspended
	v.note(outcome{now, failed}, b.scaled(window))
	shared := context.WithoutCancel(ctx) // the call is over: its context may be too
	switch {
	case v.state.Open && !failed:
		b.move(shared, v, a, Breaker{Moves: v.state.Moves + 1}, now)
	case v.state.Open || class == fault.Suspended || v.tripped():
		level := v.state.Level
		wait := min(b.scaled(openFor)<<min(level, 8), b.scaled(openAtMost))
		b.move(shared, v, a, Breaker{Open: true, Until: now.Add(wait), Level: level + 1, Moves: v.state.Moves + 1}, now)
		v.inRow, v.calls = 0, nil
	}
}

// move replaces the shared state and reports whether it did. When somebody else was first, or the store
// fails, the state is read again before the next call.
func (b *breakers) move(ctx context.Context, v *view, a Account, to Breaker, now time.Time) bool {
	v.readAt = time.Time{}
	if won, err := b.store.MoveBreaker(ctx, a, to); err != nil || !won {
		return false
	}
	v.state, v.readAt = to, now
	return true
}

func (v *view) note(o outcome, window time.Duration) {
	if v.inRow++; !o.failed {
		v.inRow = 0
	}
	for len(v.calls) > 0 && (o.at.Sub(v.calls[0].at) > window || len(v.calls) >= windowAtMost) {
		v.calls = v.calls[1:]
	}
	v.calls = append(v.calls, o)
}

// tripped reports whether this process's calls call for an open breaker.
func (v *view) tripped() bool {
	if v.inRow >= failuresInRow {
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
