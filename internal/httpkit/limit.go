package httpkit

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// maxTracked bounds the memory of a limiter and of a throttle: beyond it, whoever has recovered is forgotten.
const maxTracked = 10_000

// Limits bound how often somebody may call. A zero rate is no limit.
type Limits struct {
	// Requests and Writes hold per tenant and per API key.
	Requests, Writes Rate
	// FailedKeys is how many wrong API keys an address may present in a minute; then it is refused
	// until its minute is over, with a right key too. Sign-ins of the portal are counted alike.
	FailedKeys int
}

// Rate of a token bucket.
type Rate struct {
	PerSecond float64
	Burst     int
}

// DefaultLimits are those of production, and the one place where they are written. A client that works
// through its orders stays far below; a runaway loop meets them before it slows other tenants. Ten wrong
// keys a minute are enough for whoever mistypes, and nothing for whoever guesses.
func DefaultLimits() Limits {
	return Limits{
		Requests:   Rate{PerSecond: 100, Burst: 200},
		Writes:     Rate{PerSecond: 20, Burst: 40},
		FailedKeys: 10,
	}
}

// buckets are token buckets by key. The zero Rate never refuses.
type buckets[K comparable] struct {
	rate Rate

	mu   sync.Mutex
	held map[K]bucket // guarded by mu
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newBuckets[K comparable](r Rate) *buckets[K] {
	return &buckets[K]{rate: r, held: map[K]bucket{}}
}

// take removes a token, or returns how long it takes until there is one.
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
	b.held[key] = t
	if len(b.held) > maxTracked {
		b.forget(now)
	}
	return 0, true
}

func (b *buckets[K]) level(key K, now time.Time) bucket {
	full := float64(max(1, b.rate.Burst))
	t, known := b.held[key]
	if !known {
		return bucket{full, now}
	}
	return bucket{min(full, t.tokens+max(0, now.Sub(t.at).Seconds())*b.rate.PerSecond), now}
}

// forget drops what is full again: it is as if it had never been seen.
func (b *buckets[K]) forget(now time.Time) {
	for k := range b.held {
		if b.level(k, now).tokens >= float64(max(1, b.rate.Burst)) {
			delete(b.held, k)
		}
	}
}

// keyHash names an API key without holding it.
type keyHash [32]byte

func hashOf(bearer string) keyHash { return sha256.Sum256([]byte(bearer)) }

// Limiter refuses requests beyond the rates of their tenant and of their API key, before any work is done.
type Limiter struct {
	requestsOf, writesOf *buckets[tenant.ID]
	requestsBy, writesBy *buckets[keyHash]
}

// NewLimiter makes a limiter of full buckets.
func NewLimiter(l Limits) *Limiter {
	return &Limiter{
		requestsOf: newBuckets[tenant.ID](l.Requests), writesOf: newBuckets[tenant.ID](l.Writes),
		requestsBy: newBuckets[keyHash](l.Requests), writesBy: newBuckets[keyHash](l.Writes),
	}
}

// Read counts a request of a tenant's key. The fault, of KindTooMany, says how long to wait.
func (l *Limiter) Read(t tenant.ID, key string, now time.Time) error {
	if wait, ok := l.requestsBy.take(hashOf(key), now); !ok {
		return TooMany(wait)
	}
	if wait, ok := l.requestsOf.take(t, now); !ok {
		return TooMany(wait)
	}
	return nil
}

// Write counts a request that may change something: as a request and as a write.
func (l *Limiter) Write(t tenant.ID, key string, now time.Time) error {
	if err := l.Read(t, key, now); err != nil {
		return err
	}
	if wait, ok := l.writesBy.take(hashOf(key), now); !ok {
		return TooMany(wait)
	}
	if wait, ok := l.writesOf.take(t, now); !ok {
		return TooMany(wait)
	}
	return nil
}

// TooMany is the fault of whoever calls too often.
func TooMany(wait time.Duration) *fault.Error {
	e := fault.New(fault.KindTooMany, "rate-limited",
		"Too many requests. Wait as long as Retry-After says, then go on.")
	e.After = wait
	return e
}
