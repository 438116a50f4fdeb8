package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/platforma-cloud/orders/internal/cache"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ttl = 5 * time.Minute

var (
	alpha = tenant.ID{15: 1}
	beta  = tenant.ID{15: 2}
)

// testCache is a cache with a clock that only the test moves.
type testCache struct {
	*cache.ByTenant[string]
	now    atomic.Int64
	random float64
}

func newTestCache(t *testing.T, random float64) *testCache {
	t.Helper()
	s := &testCache{random: random}
	s.now.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	c, err := cache.New[string](cache.Config{
		TTL: ttl, Now: func() time.Time { return time.Unix(0, s.now.Load()) }, Random: func() float64 { return s.random },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.ByTenant = c
	return s
}

func (s *testCache) advance(d time.Duration) { s.now.Add(int64(d)) }

func (s *testCache) get(t *testing.T, id tenant.ID, fresh string) string {
	t.Helper()
	v, err := s.Get(t.Context(), id, func(context.Context) (string, error) { return fresh, nil })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAnAnswerIsKeptForFiveMinutesAndNoLonger(t *testing.T) {
	t.Parallel()
	s := newTestCache(t, 0)
	for _, step := range []struct {
		after       time.Duration
		fresh, want string
	}{
		{0, "first", "first"},
		{ttl - time.Second, "second", "first"},
		{time.Second, "third", "third"},
		{ttl, "fourth", "fourth"},
	} {
		s.advance(step.after)
		if got := s.get(t, alpha, step.fresh); got != step.want {
			t.Errorf("%s later: %q, want %q", step.after, got, step.want)
		}
	}
}

func TestJitterEndsAnAnswerEarlierNeverLater(t *testing.T) {
	t.Parallel()
	s := newTestCache(t, 0.999)
	s.get(t, alpha, "first")
	s.advance(ttl * 89 / 100)
	if got := s.get(t, alpha, "second"); got != "first" {
		t.Errorf("after 89 %% of the time: %q, want the first", got)
	}
	s.advance(ttl * 2 / 100)
	if got := s.get(t, alpha, "third"); got != "third" {
		t.Errorf("after 91 %% of the time: %q, want the third", got)
	}
}

func TestATenantNeverGetsTheAnswerOfAnother(t *testing.T) {
	t.Parallel()
	s := newTestCache(t, 0)
	s.get(t, alpha, "alpha's")
	if got := s.get(t, beta, "beta's"); got != "beta's" {
		t.Errorf("beta got %q", got)
	}
	if got := s.get(t, alpha, "new"); got != "alpha's" {
		t.Errorf("alpha got %q", got)
	}
	if _, err := s.Get(t.Context(), tenant.ID{}, func(context.Context) (string, error) {
		return "nobody's", nil
	}); err == nil {
		t.Error("Get without a tenant succeeded")
	}
}

func TestConcurrentMissesShareOneLoad(t *testing.T) {
	t.Parallel()
	s := newTestCache(t, 0)
	var loads atomic.Int64
	started, release := make(chan struct{}), make(chan struct{})
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			v, err := s.Get(t.Context(), alpha, func(context.Context) (string, error) {
				if loads.Add(1) == 1 {
					close(started)
				}
				<-release
				return "one", nil
			})
			if err != nil || v != "one" {
				t.Errorf("got %q, %v", v, err)
			}
		})
	}
	<-started
	close(release)
	callers.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("%d loads, want 1", n)
	}
}

func TestAFailedLoadIsNotKept(t *testing.T) {
	t.Parallel()
	s := newTestCache(t, 0)
	failure := errors.New("the database is away")
	if _, err := s.Get(t.Context(), alpha, func(context.Context) (string, error) {
		return "", failure
	}); !errors.Is(err, failure) {
		t.Errorf("Get() = %v, want the load's error", err)
	}
	if got := s.get(t, alpha, "mended"); got != "mended" {
		t.Errorf("got %q after the database is back", got)
	}
}

func TestALoadGoesOnWhenTheCallerThatStartedItIsGone(t *testing.T) {
	t.Parallel()
	s := newTestCache(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	v, err := s.Get(ctx, alpha, func(ctx context.Context) (string, error) {
		cancel()
		return "loaded", ctx.Err()
	})
	if err != nil || v != "loaded" {
		t.Errorf("got %q, %v", v, err)
	}
}
