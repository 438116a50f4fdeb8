package sim_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
)

// buckets creates n buckets and returns their steps.
func buckets(t *testing.T, p *sim.Provider, n int) []provider.Step {
	t.Helper()
	var steps []provider.Step
	for i := range n {
		spec := provider.Spec{
			Product: "object_storage", Plan: "standard", Region: "lj-1",
			Configuration: []byte(`{"capacity_tb":1,"replication":"single"}`),
			Labels:        map[string]string{"label": fmt.Sprint("b", i)},
		}
		plan, err := p.Plan(spec, provider.Key{
			Installation: "test", Tenant: "t", Order: "o", Item: fmt.Sprint("item-", i), Generation: 1,
		})
		if err != nil {
			t.Fatalf("Plan: %v", err)
		}
		noJournal := provider.JournalFunc(func(context.Context, provider.Ref) error { return nil })
		if _, err := p.Create(t.Context(), plan[0], noJournal); err != nil {
			t.Fatalf("Create: %v", err)
		}
		steps = append(steps, plan[0])
	}
	return steps
}

func TestConcurrentObservationsShareRequestsAndEachKeepsItsOwnFault(t *testing.T) {
	t.Parallel()
	cloud := simtest.Start(t, simtest.Options{})
	target, err := url.Parse(cloud.URL)
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	counter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	defer counter.Close()
	p := cloud.ProviderAt(counter.URL)
	steps := buckets(t, p, 40)
	cloud.Script(sim.Fault{Label: "b7", Operation: sim.OpObserve, Kind: "unavailable"})
	cloud.Script(sim.Fault{Label: "b8", Operation: sim.OpObserve, Kind: "lost_reply"})
	requests.Store(0)
	classes := make([]fault.Class, len(steps))
	var wg sync.WaitGroup
	for i, s := range steps {
		wg.Go(func() {
			o, err := p.Observe(t.Context(), s, "")
			if classes[i] = provider.ClassOf(err); err == nil && len(o.Matches) != 1 {
				t.Errorf("Observe(%d) found %d, want 1", i, len(o.Matches))
			}
		})
	}
	wg.Wait()
	for i, c := range classes {
		want := fault.None
		if i == 7 || i == 8 {
			want = fault.Retryable
		}
		if c != want {
			t.Errorf("Observe(%d) = %s, want %s", i, c, want)
		}
	}
	if n := requests.Load(); n > 20 {
		t.Errorf("40 observations took %d requests, want at most 20", n)
	}
	if n := len(cloud.Calls(sim.OpObserve, "")); n != 40 {
		t.Errorf("the cloud's log holds %d observations, want 40: each read has its own line", n)
	}
}
