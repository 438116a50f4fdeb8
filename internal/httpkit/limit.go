package httpkit

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// maxTracked bounds the memory of a limiter and of a throttle. Beyond it, entries that no longer limit anybody are
// dropped.
const maxTracked = 10_000

// Limits bound how often clients may call. A zero rate means that there is no limit.
type Limits struct {
	// Requests and Writes apply to each tenant, and to each API key.
	Requests, Writes Rate
	// FailedKeys is how many wrong API keys an address may send in a minute. After that it is refused, even
	// with a right key, until the first of these is a minute old. The portal limits failed sign-ins likewise.
	FailedKeys int
}

// Rate is the rate of a token bucket.
type Rate struct {
	PerSecond float64
	Burst     int
}

// DefaultLimits returns the limits of production. A client that processes its orders stays far below them, and a
// client in a runaway loop meets them before it slows down other tenants. Ten wrong keys a minute are enough
// for typing errors, and far too few for guessing.
func DefaultLimits() Limits {
	return Limits{
		Requests:   Rate{PerSecond: 100, Burst: 200},
		Writes:     Rate{PerSecond: 20, Burst: 40},
		FailedKeys: 10,
	}
}

// buckets holds a token bucket per key. With a zero rate it never refuses.
type buckets[K comparable] struct {
	rate Rate

	mu    sync.Mutex
	byKey map[K]bucket // guarded by mu
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newBuckets[K comparable](r Rate) *buckets[K] {
	return &buckets[K]{rate: r, byKey: map[K]bucket{}}
}

// take takes a token, or returns how long it takes until there is one.
func (b *buckets[K]) take(key K, now time.Time) (wait time.Duration, ok bool) {
	if b.rate.PerSecond <= 0 {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.level(key, now)
	if t.tokens < 1 {
		return time.Duration((1 - t.tokens) / b.rate.PerSecond * float64(time.Second)), false
	}
	t.tokens--
	b.byKey[key] = t
	if len(b.byKey) > maxTracked {
		b.forget(now)
	}
	return 0, true
}

// level returns the bucket of a key as it is now. The bucket of an unknown key is full.
func (b *buckets[K]) level(key K, now time.Time) bucket {
	full := float64(max(1, b.rate.Burst))
	t, known := b.byKey[key]
	if !known {
		return bucket{full, now}
	}
	return bucket{min(full, t.tokens+max(0, now.Sub(t.at).Seconds())*b.rate.PerSecond), now}
}

// forget drops the buckets that are full again, which equal those of unknown keys.
func (b *buckets[K]) forget(now time.Time) {
	for k := range b.byKey {
		if b.level(k, now).tokens >= float64(max(1, b.rate.Burst)) {
			delete(b.byKey, k)
		}
	}
}

// keyHash identifies an API key without storing the key.
type keyHash [32]byte

func hashOf(bearer string) keyHash { return sha256.Sum256([]byte(bearer)) }

// Limiter refuses requests beyond the rates of their tenant and of their API key, before any work is done for them.
type Limiter struct {
	tenantRequests, tenantWrites *buckets[tenant.ID]
	keyRequests, keyWrites       *buckets[keyHash]
}

// NewLimiter returns a limiter whose buckets are full.
func NewLimiter(l Limits) *Limiter {
	return &Limiter{
		tenantRequests: newBuckets[tenant.ID](l.Requests), tenantWrites: newBuckets[tenant.ID](l.Writes),
		keyRequests: newBuckets[keyHash](l.Requests), keyWrites: newBuckets[keyHash](l.Writes),
	}
}

// Read counts a request of a tenant's key. Beyond the rate it returns a fault of KindTooMany, which says how long
// to wait.
func (l *Limiter) Read(t tenant.ID, key string, now time.Time) error {
	if wait, ok := l.keyRequests.take(hashOf(key), now); !ok {
		return TooMany(wait)
	}
	if wait, ok := l.tenantRequests.take(t, now); !ok {
		return TooMany(wait)
	}
	return nil
}

// Write counts a request that may change something, both as a request and as a write.
func (l *Limiter) Write(t tenant.ID, key string, now time.Time) error {
	if err := l.Read(t, key, now); err != nil {
		return err
	}
	if wait, ok := l.keyWrites.take(hashOf(key), now); !ok {
		return TooMany(wait)
	}
	if wait, ok := l.tenantWrites.take(t, now); !ok {
		return TooMany(wait)
	}
	return nil
}

// TooMany returns the fault for a client that calls too often.
func TooMany(wait time.Duration) *fault.Error {
	e := fault.New(fault.KindTooMany, "rate-limited",
		"Too many requests. Wait as long as Retry-After says, then go on.")
	e.After = wait
	return e
}
