package fulfil

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// Backoff holds the waits before the retries of a call (D5). All retries use it. Only package invariant has a copy,
// on purpose, because it checks from outside.
var Backoff = [...]time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}

// MaxCalls is the most calls of a step in one direction: the first call, and a retry after each wait of Backoff.
const MaxCalls = 1 + len(Backoff)

// CapacityWait returns the next wait for capacity of a task that has waited for this long: 1 minute, then 5, then
// always 15.
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

// Jitter lengthens a wait by 0 to 10 % (D5). It is computed from the task, the step and the try, so a replay waits
// the same time.
func Jitter(task Task, d time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write(task.ID[:])
	var b [8]byte
	binary.BigEndian.PutUint32(b[:4], uint32(task.Step))
	binary.BigEndian.PutUint32(b[4:], uint32(task.Try))
	h.Write(b[:])
	// 9.5 % leaves room for the latency of the call within the promised 10 %.
	return d + time.Duration(h.Sum64()%1000)*(d*95/1000)/1000
}
