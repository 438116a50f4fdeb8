package app

import (
	"context"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

// CloudAccount is what a provider's rate budget and circuit breaker hold for: one account in one
// region. Region "" is the account as a whole.
type CloudAccount struct{ Provider, Region string }

// Breaker of an account, as all processes share it. The zero value is closed.
type Breaker struct {
	Open  bool
	Until time.Time // open: nobody calls before; then one probes
	Level int       // openings in a row: each doubles the time
	Moves int       // +1 with each move: who moves it says from which
}

// AccountStore shares the accounts' state between processes.
type AccountStore interface {
	// TakeTokens takes up to n calls of an account's budget; next is when there is another when fewer
	// than one was granted.
	TakeTokens(ctx context.Context, a CloudAccount, r provider.Rate, n int, now time.Time) (granted int, next time.Time, err error)
	// Breaker reads an account's; the zero value when it was never moved.
	Breaker(ctx context.Context, a CloudAccount) (Breaker, error)
	// MoveBreaker replaces it, unless somebody moved it since it was read as to.Moves - 1: then false.
	MoveBreaker(ctx context.Context, a CloudAccount, to Breaker) (bool, error)
}

// The circuit breaker's figures (ADR 0017): it opens after so many failures in a
// row, or when half of at least so many calls within the window failed.
const (
	tripInRow     = 5
	tripCalls     = 20
	tripWindow    = time.Minute
	openFor       = 30 * time.Second
	openAtMost    = 5 * time.Minute
	probeFor      = 15 * time.Second // a probe that never came back
	breakerStale  = time.Second      // how old this process's view may be
	tokensAtATime = 20
)

// Gate stands before every call to a provider: a call beyond the account's budget, or while its
// breaker is open, is refused here with a class that costs no retry and says that nothing was sent.
// Deletes pass through it too. It may be used by many goroutines.
type Gate struct {
	store AccountStore
	clock Clock

	mu       sync.Mutex
	accounts map[CloudAccount]*gateAccount // guarded by mu
}

type gateAccount struct {
	mu      sync.Mutex // guards all below
	tokens  int
	breaker Breaker
	readAt  time.Time
	inRow   int
	calls   []gateCall // of the window
}

type gateCall struct {
	at  time.Time
	bad bool
}

// NewGate makes a gate for a process.
func NewGate(store AccountStore, clock Clock) *Gate {
	return &Gate{store: store, clock: clock, accounts: map[CloudAccount]*gateAccount{}}
}

func (g *Gate) account(a CloudAccount) *gateAccount {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.accounts[a] == nil {
		g.accounts[a] = &gateAccount{}
	}
	return g.accounts[a]
}

// closedGate is the answer for a call that was not sent.
func closedGate(class fault.Class, after time.Duration, code, detail string) error {
	return &provider.Error{Class: class, After: max(after, 10*time.Millisecond), Code: code, Detail: detail}
}

// Enter lets one call through, or says how long to wait. The account's lock is held over the
// database's answer: the callers behind would only ask the same.
func (g *Gate) Enter(ctx context.Context, a CloudAccount, r provider.Rate) error {
	acc := g.account(a)
	acc.mu.Lock()
	defer acc.mu.Unlock()
	now := g.clock.Now()
	if now.Sub(acc.readAt).Abs() > breakerStale {
		b, err := g.store.Breaker(ctx, a)
		if err != nil {
			return closedGate(fault.RateLimited, time.Second, "gate-unavailable", "the account's state cannot be read")
		}
		acc.breaker, acc.readAt = b, now
	}
	if acc.breaker.Open {
		if wait := acc.breaker.Until.Sub(now); wait > 0 {
			return closedGate(fault.Parked, wait, "breaker-open", "calls to this region are held back after failures")
		}
		probe := Breaker{Open: true, Until: now.Add(g.scaled(probeFor)), Level: acc.breaker.Level, Moves: acc.breaker.Moves + 1}
		won, err := g.store.MoveBreaker(ctx, a, probe)
		if acc.readAt = (time.Time{}); err != nil || !won {
			return closedGate(fault.Parked, g.scaled(time.Second), "breaker-open", "somebody else is asking whether the region is back")
		}
		acc.breaker, acc.readAt = probe, now
	}
	return g.token(ctx, acc, a, r, now)
}

func (g *Gate) token(ctx context.Context, acc *gateAccount, a CloudAccount, r provider.Rate, now time.Time) error {
	if r.PerSecond <= 0 {
		return nil
	}
	if acc.tokens == 0 {
		granted, next, err := g.store.TakeTokens(ctx, a, r, tokensAtATime, now)
		if err != nil {
			return closedGate(fault.RateLimited, time.Second, "gate-unavailable", "the account's budget cannot be read")
		}
		if granted == 0 {
			return closedGate(fault.RateLimited, next.Sub(now), "budget", "the account's budget of calls is used up for now")
		}
		acc.tokens = granted
	}
	acc.tokens--
	return nil
}

// Leave notes how a call went, and opens or closes the breaker. A failure to share that is no failure
// of the call: the next one tells again.
func (g *Gate) Leave(ctx context.Context, a CloudAccount, class fault.Class) {
	acc := g.account(a)
	acc.mu.Lock()
	defer acc.mu.Unlock()
	now := g.clock.Now()
	bad := class == fault.Retryable || class == fault.Ambiguous || class == fault.Parked
	acc.note(now, bad, g.scaled(tripWindow))
	switch {
	case acc.breaker.Open && !bad:
		g.move(ctx, acc, a, Breaker{Moves: acc.breaker.Moves + 1}, now)
	case acc.breaker.Open || class == fault.Parked || acc.tripped():
		level := acc.breaker.Level
		wait := min(g.scaled(openFor)<<min(level, 8), g.scaled(openAtMost))
		g.move(ctx, acc, a, Breaker{Open: true, Until: now.Add(wait), Level: level + 1, Moves: acc.breaker.Moves + 1}, now)
		acc.inRow, acc.calls = 0, nil
	}
}

func (g *Gate) move(ctx context.Context, acc *gateAccount, a CloudAccount, to Breaker, now time.Time) {
	won, err := g.store.MoveBreaker(context.WithoutCancel(ctx), a, to)
	acc.readAt = time.Time{} // lost or failed: read it again
	if err == nil && won {
		acc.breaker, acc.readAt = to, now
	}
}

func (acc *gateAccount) note(now time.Time, bad bool, window time.Duration) {
	if acc.inRow++; !bad {
		acc.inRow = 0
	}
	for len(acc.calls) > 0 && (now.Sub(acc.calls[0].at) > window || len(acc.calls) >= 1000) {
		acc.calls = acc.calls[1:]
	}
	acc.calls = append(acc.calls, gateCall{now, bad})
}

func (acc *gateAccount) tripped() bool {
	if acc.inRow >= tripInRow {
		return true
	}
	bad := 0
	for _, c := range acc.calls {
		if c.bad {
			bad++
		}
	}
	return len(acc.calls) >= tripCalls && bad*2 >= len(acc.calls)
}

func (g *Gate) scaled(d time.Duration) time.Duration {
	return d / time.Duration(max(1, g.clock.Speed()))
}

// Gated puts a gate before a provider. Its reads count too: a budget is of requests.
func (g *Gate) Gated(name string, p provider.Provider) provider.Provider {
	return gated{Provider: p, gate: g, name: name}
}

type gated struct {
	provider.Provider
	gate *Gate
	name string
}

func (p gated) through(ctx context.Context, region string, call func() error) error {
	a := CloudAccount{Provider: p.name, Region: region}
	if err := p.gate.Enter(ctx, a, p.Capabilities().Rate); err != nil {
		return err
	}
	err := call()
	p.gate.Leave(ctx, a, provider.ClassOf(err))
	return err
}

func (p gated) Validate(ctx context.Context, s provider.Spec) (v []provider.Violation, err error) {
	err = p.through(ctx, s.Region, func() error { v, err = p.Provider.Validate(ctx, s); return err })
	return v, err
}

func (p gated) Create(ctx context.Context, s provider.Step, j provider.Journal) (r provider.Ref, err error) {
	err = p.through(ctx, s.Spec.Region, func() error { r, err = p.Provider.Create(ctx, s, j); return err })
	return r, err
}

func (p gated) Observe(ctx context.Context, s provider.Step, r provider.Ref) (o provider.Observation, err error) {
	err = p.through(ctx, s.Spec.Region, func() error { o, err = p.Provider.Observe(ctx, s, r); return err })
	return o, err
}

func (p gated) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	return p.through(ctx, s.Spec.Region, func() error { return p.Provider.Delete(ctx, s, r) })
}

func (p gated) Credentials(ctx context.Context, refs []provider.Ref) (s provider.Secret, err error) {
	err = p.through(ctx, "", func() error { s, err = p.Provider.Credentials(ctx, refs); return err })
	return s, err
}
