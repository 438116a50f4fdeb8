package fulfil

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// Backoff are the waits between the six calls of a step (D5): one call and at most five retries.
var Backoff = []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}

// CapacityWait is the next wait of an item without capacity that has waited for so long already: 1, 5,
// then always 15 minutes. It uses up no retry and ends at the product's own limit (D6).
func CapacityWait(waited time.Duration) time.Duration {
	switch {
	case waited < time.Minute:
		return time.Minute
	case waited < 6*time.Minute:
		return 5 * time.Minute
	default:
		return 15 * time.Minute
	}
}

// Jitter lengthens a wait by 0 to 10 %, never shortens it (D5). It is drawn from unit, step and try,
// so a replay waits the same.
func Jitter(u Unit, d time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write(u.ID[:])
	var b [8]byte
	binary.BigEndian.PutUint32(b[:4], uint32(u.Step))
	binary.BigEndian.PutUint32(b[4:], uint32(u.Try))
	h.Write(b[:])
	// 9.5 % leaves room for the way to the provider within the promised 10 %.
	return d + time.Duration(h.Sum64()%1000)*(d*95/1000)/1000
}
