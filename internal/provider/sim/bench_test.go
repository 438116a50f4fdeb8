package sim_test

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
)

// BenchmarkSaga creates a bucket, reads its credentials and deletes it, with every effect synced to disk.
func BenchmarkSaga(b *testing.B) {
	s := simtest.Start(b, simtest.Options{Modify: func(c *sim.ServerConfig) {
		c.Now, c.Speed, c.Sync = nil, 1_000_000, (*os.File).Sync
	}})
	p := s.Provider()
	var items atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := saga(b, p, strconv.FormatInt(items.Add(1), 10)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sagas/s")
}

func saga(b *testing.B, p *sim.Provider, item string) error {
	steps, err := p.Plan(specs()[5], provider.Key{Installation: "inst", Item: item, Generation: 1})
	if err != nil {
		return err
	}
	ref, err := p.Create(b.Context(), steps[0], nil)
	if err != nil {
		return err
	}
	for phase := provider.Pending; phase != provider.Ready; {
		o, err := p.Observe(b.Context(), steps[0], ref)
		if err != nil {
			return err
		}
		if o.Phase == provider.Absent {
			return fmt.Errorf("bucket of item %s is gone", item)
		}
		phase = o.Phase
	}
	if _, err := p.Credentials(b.Context(), []provider.Ref{ref}); err != nil {
		return err
	}
	return p.Delete(b.Context(), steps[0], ref)
}
