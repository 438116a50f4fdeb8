package httpapi

import (
	"errors"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

// manualClock is a clock that only the test moves.
type manualClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *manualClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *manualClock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// newLimitedKit returns a kit with rate limits, and its clock.
func newLimitedKit(t *testing.T, l httpkit.Limits) (*kit, *manualClock) {
	t.Helper()
	clock := &manualClock{at: now}
	return newKit(t, func(c *Config) { c.Limits, c.Now = l, clock.now }), clock
}

func TestBucketIsEmptyAfterItsBurstAndRefills(t *testing.T) {
	t.Parallel()
	k, clock := newLimitedKit(t, httpkit.Limits{Requests: httpkit.Rate{PerSecond: 2, Burst: 3}})
	for i := range 3 {
		if w := k.do("GET", "/v1/me", ""); w.Code != 200 {
			t.Fatalf("request %d answered %d", i, w.Code)
		}
	}
	w := k.do("GET", "/v1/me", "")
	k.wantProblem(w, 429, "rate-limited")
	if w.Header().Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
	calls := len(k.fake.Called())
	if calls != 3 {
		t.Errorf("%d use cases were called, want 3: a refused request does no work", calls)
	}
	clock.forward(500 * time.Millisecond)
	if w := k.do("GET", "/v1/me", ""); w.Code != 200 {
		t.Errorf("half a second later: %d", w.Code)
	}
	k.wantProblem(k.do("GET", "/v1/me", ""), 429, "rate-limited")
	// Another key of the same tenant shares the tenant's bucket.
	k.wantProblem(k.do("GET", "/v1/me", "", "Authorization", "Bearer "+secondKey), 429, "rate-limited")
}

func TestWritesHaveTheirOwnBucketAndQuotesCountAsReads(t *testing.T) {
	t.Parallel()
	k, _ := newLimitedKit(t, httpkit.Limits{
		Requests: httpkit.Rate{PerSecond: 100, Burst: 200}, Writes: httpkit.Rate{PerSecond: 1, Burst: 2},
	})
	for range 2 {
		k.do("POST", "/v1/orders", "{}")
	}
	k.wantProblem(k.do("POST", "/v1/orders", "{}"), 429, "rate-limited")
	if w := k.do("POST", "/v1/quotes", `{"items":[]}`); w.Code != 200 {
		t.Errorf("a quote answered %d", w.Code)
	}
	if w := k.do("GET", orderPath, ""); w.Code != 200 {
		t.Errorf("a read answered %d", w.Code)
	}
}

func TestTenWrongKeysAMinuteBlockOnlyTheirAddress(t *testing.T) {
	t.Parallel()
	k, clock := newLimitedKit(t, httpkit.DefaultLimits())
	sendFrom := func(addr, key string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/v1/me", nil)
		r.RemoteAddr = addr
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		k.api.ServeHTTP(w, r)
		return w
	}
	for i := range 10 {
		k.wantProblem(sendFrom("192.0.2.7:"+strconv.Itoa(4000+i), "wrong"+strconv.Itoa(i)), 401, "unauthenticated")
	}
	k.wantProblem(sendFrom("192.0.2.7:5000", "wrong"), 429, "rate-limited")
	w := sendFrom("192.0.2.7:5001", rightKey)
	k.wantProblem(w, 429, "rate-limited")
	if w.Header().Get("Retry-After") != "60" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
	if w := sendFrom("192.0.2.8:5000", rightKey); w.Code != 200 {
		t.Errorf("another address answered %d", w.Code)
	}
	clock.forward(time.Minute)
	if w := sendFrom("192.0.2.7:5002", rightKey); w.Code != 200 {
		t.Errorf("a minute later: %d", w.Code)
	}
}

func TestDatabaseDownWhileAuthenticatingIsA503AndNotAWrongKey(t *testing.T) {
	t.Parallel()
	k, _ := newLimitedKit(t, httpkit.Limits{FailedKeys: 1})
	down := fault.New(fault.KindUnavailable, "database-away", "Try again.")
	k.fake.Break("Authenticate", down)
	k.wantProblem(k.do("GET", "/v1/me", ""), 503, "database-away")
	k.fake.Break("Authenticate", errors.New("boom"))
	k.wantProblem(k.do("GET", "/v1/me", ""), 500, "internal")
	k.fake.Mend("Authenticate")
	if w := k.do("GET", "/v1/me", ""); w.Code != 200 {
		t.Errorf("answered %d: our own failure was counted as a wrong key", w.Code)
	}
}
