// Package cache keeps answers that may be a little old, in memory and per process. It knows tenants, because
// no entry may ever answer two of them, and nothing of what it keeps.
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
	jitterMost = 0.1              // of the time to live, downward: what began together does not end together
	maxEntries = 4096             // tenants; the seldom asked ones go first
	loadTime   = 10 * time.Second // a load may take, whoever waits for it
)

// Config of a cache.
type Config struct {
	TTL    time.Duration // the most an answer is old
	Now    func() time.Time
	Random func() float64 // in [0,1), safe for concurrent use
}

// ByTenant keeps one answer per tenant. It may be used by many goroutines.
type ByTenant[V any] struct {
	entries *otter.Cache[key, V]
}

// key is all that finds an entry.
type key struct{ tenant tenant.ID }

// New makes an empty cache.
func New[V any](c Config) (*ByTenant[V], error) {
	entries, err := otter.New(&otter.Options[key, V]{
		MaximumSize: maxEntries,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(otter.Entry[key, V]) time.Duration {
			return c.TTL - time.Duration(c.Random()*jitterMost*float64(c.TTL))
		}),
		Clock: clock{c.Now},
	})
	if err != nil {
		return nil, fmt.Errorf("make a cache: %w", err)
	}
	return &ByTenant[V]{entries}, nil
}

// Get answers for a tenant with what load gave within the time to live. Those that miss at the same time wait
// for one load, which goes on when the one that began it is gone. An error is given to all of them and kept
// for nobody.
func (c *ByTenant[V]) Get(ctx context.Context, t tenant.ID, load func(ctx context.Context) (V, error)) (V, error) {
	if t.IsZero() {
		var none V
		return none, errors.New("an answer is kept for a tenant only")
	}
	return c.entries.Get(ctx, key{t}, otter.LoaderFunc[key, V](func(ctx context.Context, _ key) (V, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
		defer cancel()
		return load(ctx)
	}))
}

// clock is a process's clock as the library wants it. Without ticks expired entries go when others are
// written; they are never seen.
type clock struct{ now func() time.Time }

// NowNano is the time in nanoseconds.
func (c clock) NowNano() int64 { return c.now().UnixNano() }

// Tick never ticks.
func (clock) Tick(time.Duration) <-chan time.Time { return nil }
