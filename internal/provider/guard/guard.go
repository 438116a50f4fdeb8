// Package guard stands before every call to a provider: a rate limiter holds the calls within the account's
// budget, and a circuit breaker refuses them while the account or the region fails. All processes share both
// through the Store. A call that guard refuses was not sent: its error has a class that costs no retry. It
// knows the contract of providers, and neither orders nor tenants.
package guard

import (
	"context"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Account is what a rate budget and a circuit breaker hold for: one provider's account in one region. Region
// "" is the account as a whole.
type Account struct{ Provider, Region string }

// Store shares the state of the accounts between processes.
type Store interface {
	// TakeTokens takes up to n calls of an account's budget. When it grants none, next is the moment at
	// which there is another.
	TakeTokens(
		ctx context.Context, a Account, r provider.Rate, n int, now time.Time,
	) (granted int, next time.Time, err error)
	// Breaker reads an account's breaker; the zero value when it was never moved.
	Breaker(ctx context.Context, a Account) (Breaker, error)
	// MoveBreaker replaces the breaker of an account whose stored Moves is to.Moves - 1. It reports false
	// when somebody else moved it meanwhile.
	MoveBreaker(ctx context.Context, a Account, to Breaker) (bool, error)
}

// Clock tells the time. Speed divides the waits of the breaker: 1 but in development and in tests.
type Clock interface {
	Now() time.Time
	Speed() int
}

// Guard is the rate limiter and the circuit breaker of one process. Deletes pass through it too. It may be
// used by many goroutines.
type Guard struct {
	limits   limiter
	breakers breakers
}

// New makes the guard of a process.
func New(store Store, clock Clock) *Guard {
	return &Guard{limits: limiter{store: store, clock: clock}, breakers: breakers{store: store, clock: clock}}
}

// Admit lets one call through, or returns a *provider.Error that says how long to wait.
func (g *Guard) Admit(ctx context.Context, a Account, r provider.Rate) error {
	if err := g.breakers.admit(ctx, a); err != nil {
		return err
	}
	return g.limits.admit(ctx, a, r)
}

// Record notes how an admitted call went.
func (g *Guard) Record(ctx context.Context, a Account, class fault.Class) {
	g.breakers.record(ctx, a, class)
}

// refusal is the answer for a call that was not sent.
func refusal(class fault.Class, after time.Duration, code, detail string) error {
	return &provider.Error{Class: class, After: max(after, 10*time.Millisecond), Code: code, Detail: detail}
}

// perAccount keeps one T for each account. The zero value is ready.
type perAccount[T any] struct {
	mu  sync.Mutex
	all map[Account]*T // guarded by mu
}

func (p *perAccount[T]) of(a Account) *T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[Account]*T{}
	}
	if p.all[a] == nil {
		p.all[a] = new(T)
	}
	return p.all[a]
}
