package httpkit

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

var (
	now  = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	acme = id.MustParse[tenant.Tenant]("01900000-0000-7000-8000-0000000000f1")
	beta = id.MustParse[tenant.Tenant]("01900000-0000-7000-8000-0000000000f2")
	ana  = id.MustParse[tenant.Member]("01900000-0000-7000-8000-0000000000c1")
)

func TestBucketsThatAreFullAgainAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBuckets[int](Rate{1, 1})
	for i := range maxTracked {
		b.take(i, now)
	}
	b.take(maxTracked, now.Add(time.Minute))
	if len(b.byKey) != 1 {
		t.Errorf("%d buckets are left, want 1", len(b.byKey))
	}
}

func TestLimitsHoldUnderConcurrency(t *testing.T) {
	t.Parallel()
	b := newBuckets[string](Rate{1, 50})
	var wg sync.WaitGroup
	var mu sync.Mutex
	granted := 0
	for range 10 {
		wg.Go(func() {
			for range 20 {
				if _, ok := b.take("k", now); ok {
					mu.Lock()
					granted++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if granted != 50 {
		t.Errorf("%d were granted, want 50", granted)
	}
}

func TestDefaultLimitsAreThoseOfProduction(t *testing.T) {
	t.Parallel()
	want := Limits{Requests: Rate{PerSecond: 100, Burst: 200}, Writes: Rate{PerSecond: 20, Burst: 40}, FailedKeys: 10}
	if diff := cmp.Diff(want, DefaultLimits()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteCountsAsARequestTooAndTenantsHaveSeparateBuckets(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Limits{Requests: Rate{PerSecond: 1, Burst: 3}, Writes: Rate{PerSecond: 0.5, Burst: 1}})
	if err := l.Write(acme, "k", now); err != nil {
		t.Fatalf("the first write: %v", err)
	}
	f := fault.Of(l.Write(acme, "k", now))
	if f == nil || f.Kind != fault.KindTooMany || f.After != 2*time.Second {
		t.Errorf("the second write: %+v, want to wait 2 s", f)
	}
	if err := l.Read(acme, "k", now); err != nil {
		t.Errorf("the third request, a read: %v", err)
	}
	if f := fault.Of(l.Read(acme, "k", now)); f == nil || f.After != time.Second {
		t.Errorf("the fourth request: %+v, want to wait 1 s", f)
	}
	if err := l.Read(acme, "another", now); fault.Of(err) == nil {
		t.Error("another key of the tenant is not counted in the tenant's bucket")
	}
	if err := l.Write(beta, "beta's key", now); err != nil {
		t.Errorf("another tenant is refused: %v", err)
	}
}

func TestZeroRateRefusesNobody(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Limits{})
	for i := range 1000 {
		if err := l.Write(acme, "k", now); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
}
