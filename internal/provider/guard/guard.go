// Package guard checks every call to a provider before it is sent. A rate limiter keeps the calls within the
// account's budget, and a circuit breaker refuses them while the account or the region fails. All processes share
// both through the Store. A call that guard refuses was not sent; its error has a class that uses up no retry. The
// package must not know orders or tenants, only the contract of providers.
package guard

import (
	"context"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Account is what has a rate budget and a circuit breaker: a provider's account in one region. Region "" means
// the account as a whole.
type Account struct{ Provider, Region string }

// Store shares the state of the accounts between processes.
type Store interface {
	// TakeTokens takes up to n tokens, one for each call, from an account's budget. If it grants none, next is
	// the moment at which there will be one.
	TakeTokens(ctx context.Context, a Account, r provider.Rate, n int, now time.Time) (
		granted int, next time.Time, err error)
	// Breaker reads an account's breaker. It returns the zero value if the breaker was never changed.
	Breaker(ctx context.Context, a Account) (Breaker, error)
	// MoveBreaker replaces the breaker of an account if its stored Moves is to.Moves - 1. It reports false if
	// another process has changed the breaker meanwhile.
	MoveBreaker(ctx context.Context, a Account, to Breaker) (bool, error)
}

// Clock returns the time. Speed divides the waits of the breaker; it is 1 except in development and tests.
type Clock interface {
	Now() time.Time
	Speed() int
}

// Guard is the rate limiter and the circuit breaker of one process. Deletes are guarded as well. It is safe for
// concurrent use.
type Guard struct {
	limits   limiter
	breakers breakers
}

// New returns the guard of a process.
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

// Record stores the outcome of an admitted call.
func (g *Guard) Record(ctx context.Context, a Account, class fault.Class) {
	g.breakers.record(ctx, a, class)
}

// refusal returns the error of a call that was not sent.
func refusal(class fault.Class, after time.Duration, code, detail string) error {
	return &provider.Error{Class: class, After: max(after, 10*time.Millisecond), Code: code, Detail: detail}
}

// perAccount keeps one T for each account. The zero value is ready.
type perAccount[T any] struct {
	mu     sync.Mutex
	values map[Account]*T // guarded by mu
}

func (p *perAccount[T]) of(a Account) *T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.values == nil {
		p.values = map[Account]*T{}
	}
	if p.values[a] == nil {
		p.values[a] = new(T)
	}
	return p.values[a]
}
