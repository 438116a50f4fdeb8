package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// draw returns a number in (0, 1) that depends only on its arguments, so that a run can be repeated exactly.
func draw(seed int64, key, step string, call int) float64 {
	h := sha256.New()
	for _, s := range []string{strconv.FormatInt(seed, 10), key, step, strconv.Itoa(call)} {
		h.Write([]byte(s))
		h.Write([]byte{0}) // no field holds a zero byte
	}
	n := binary.BigEndian.Uint64(h.Sum(nil)[:8])
	return (float64(n>>11) + 0.5) / (1 << 53)
}

// lognormal turns a draw into a duration of a lognormal distribution with the given p50 and p95. The tail ends at
// p99.9, so that an unlucky draw is slow but not a fault.
func lognormal(u float64, p50, p95 time.Duration) time.Duration {
	const z95 = 1.6448536269514722 // the standard normal's 95th percentile
	z := math.Sqrt2 * math.Erfinv(2*min(u, 0.999)-1)
	sigma := math.Log(float64(p95)/float64(p50)) / z95
	return time.Duration(float64(p50) * math.Exp(sigma*z))
}
