package httpapi

import (
	"crypto/sha256"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// maxTracked bounds the memory of a limiter: beyond it, whoever has recovered is forgotten.
const maxTracked = 10_000

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

// take removes a token, or says how long until there is one.
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

// limiter refuses before any work is done.
type limiter struct {
	requestsOf, writesOf *buckets[tenant.ID]
	requestsBy, writesBy *buckets[keyHash]
	failed               *failures
}

func newLimiter(l Limits) *limiter {
	return &limiter{
		requestsOf: newBuckets[tenant.ID](l.Requests), writesOf: newBuckets[tenant.ID](l.Writes),
		requestsBy: newBuckets[keyHash](l.Requests), writesBy: newBuckets[keyHash](l.Writes),
		failed: &failures{most: l.FailedKeys, seen: map[string]failure{}},
	}
}

// read and write count a request of a tenant's key; a write counts as both.
func (l *limiter) read(t tenant.ID, k keyHash, now time.Time) error {
	if wait, ok := l.requestsBy.take(k, now); !ok {
		return tooMany(wait)
	}
	if wait, ok := l.requestsOf.take(t, now); !ok {
		return tooMany(wait)
	}
	return nil
}

func (l *limiter) write(t tenant.ID, k keyHash, now time.Time) error {
	if err := l.read(t, k, now); err != nil {
		return err
	}
	if wait, ok := l.writesBy.take(k, now); !ok {
		return tooMany(wait)
	}
	if wait, ok := l.writesOf.take(t, now); !ok {
		return tooMany(wait)
	}
	return nil
}

func tooMany(wait time.Duration) *fault.Error {
	e := fault.New(fault.KindTooMany, "rate-limited", "Too many requests. Wait as long as Retry-After says, then go on.")
	e.After = wait
	return e
}

// failures count wrong keys per address in windows of a minute; at most 0 counts nothing.
type failures struct {
	most int

	mu   sync.Mutex
	seen map[string]failure // guarded by mu
}

type failure struct {
	count int
	since time.Time
}

// blocked tells how long an address is refused.
func (f *failures) blocked(addr string, now time.Time) (time.Duration, bool) {
	if f.most <= 0 {
		return 0, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.seen[addr]
	if !ok || s.count < f.most {
		return 0, false
	}
	left := time.Minute - now.Sub(s.since)
	return left, left > 0
}

func (f *failures) count(addr string, now time.Time) {
	if f.most <= 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.seen[addr]
	if !ok || now.Sub(s.since) >= time.Minute {
		s = failure{since: now}
	}
	s.count++
	f.seen[addr] = s
	if len(f.seen) <= maxTracked {
		return
	}
	for a, s := range f.seen {
		if now.Sub(s.since) >= time.Minute {
			delete(f.seen, a)
		}
	}
}

// addressOf is the address a request came from, without its port. A host of IPv6 has a network of
// addresses to come from, so there it is the /64.
func addressOf(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := from.Addr().Unmap()
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr.String()
	}
	return network.String()
}
