// Package cache keeps answers that may be slightly stale, in the memory of one process. It knows tenants,
// because no entry may answer two of them. It knows nothing about the answers that it keeps.
package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	maxJitter   = 0.1              // share of the TTL that is taken off at random, so that entries do not expire together
	maxEntries  = 4096             // tenants; the least used ones are evicted
	loadTimeout = 10 * time.Second // of one load
)

// Config configures a cache.
type Config struct {
	TTL    time.Duration // the maximum age of an answer
	Now    func() time.Time
	Random func() float64 // in [0,1), safe for concurrent use
}

// ByTenant keeps one answer per tenant. It is safe for concurrent use.
type ByTenant[V any] struct {
	entries *otter.Cache[key, V]
}

// key identifies an entry.
type key struct{ tenant tenant.ID }

// New returns an empty cache.
func New[V any](c Config) (*ByTenant[V], error) {
	entries, err := otter.New(&otter.Options[key, V]{
		MaximumSize: maxEntries,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(otter.Entry[key, V]) time.Duration {
			return c.TTL - time.Duration(c.Random()*maxJitter*float64(c.TTL))
		}),
		Clock: clock{c.Now},
	})
	if err != nil {
		return nil, fmt.Errorf("make a cache: %w", err)
	}
	return &ByTenant[V]{entries}, nil
}

// Get returns the tenant's answer if load produced one within the TTL, and calls load otherwise. Concurrent
// callers that find no entry share one load, which goes on even if the caller that started it goes away. All
// of them get its error, and an error is not cached.
func (c *ByTenant[V]) Get(ctx context.Context, t tenant.ID, load func(ctx context.Context) (V, error)) (V, error) {
	if t.IsZero() {
		var none V
		return none, errors.New("cache: no tenant is given")
	}
	return c.entries.Get(ctx, key{t}, otter.LoaderFunc[key, V](func(ctx context.Context, _ key) (V, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return load(ctx)
	}))
}

// clock adapts the process's clock to the library. Without ticks an expired entry stays in memory until another
// one is written, but it is never returned.
type clock struct{ now func() time.Time }

// NowNano returns the time in nanoseconds.
func (c clock) NowNano() int64 { return c.now().UnixNano() }

// Tick never ticks.
func (clock) Tick(time.Duration) <-chan time.Time { return nil }
