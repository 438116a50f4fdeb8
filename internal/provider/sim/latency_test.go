package sim

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestDrawsAreLognormalWithTheGivenPercentiles(t *testing.T) {
	t.Parallel()
	const n = 20_000
	draws := make([]time.Duration, 0, n)
	for i := range n {
		draws = append(draws, lognormal(draw(1, "key", "ready", i), 25*time.Second, 70*time.Second))
	}
	slices.Sort(draws)
	for q, want := range map[float64]time.Duration{0.5: 25 * time.Second, 0.95: 70 * time.Second} {
		got := draws[int(q*n)]
		if math.Abs(float64(got)/float64(want)-1) > 0.04 {
			t.Errorf("quantile %v of %d draws = %s, want about %s", q, n, got, want)
		}
	}
}

func TestSlowestDrawStaysWithinTheProductsDeadline(t *testing.T) {
	t.Parallel()
	deadlines := map[string]time.Duration{ // D6
		"vps": 10 * time.Minute, "object_storage": 5 * time.Minute, "database": 20 * time.Minute,
		"gpu": 30 * time.Minute, "kubernetes": 45 * time.Minute, "private_cloud": 5 * 24 * time.Hour,
	}
	for product, limit := range deadlines {
		var sum time.Duration
		for _, p := range stepsOf(product) {
			sum += lognormal(1, p.readyP50, p.readyP95)
		}
		if sum == 0 || sum > limit {
			t.Errorf("%s takes up to %s, want at most %s", product, sum, limit)
		}
	}
}
