package httpkit

import (
	"slices"
	"sync"
	"time"
)

// throttleWindow is how long a failed attempt counts.
const throttleWindow = time.Minute

// Throttle refuses an address after too many failed attempts within a minute, so that nobody can guess keys.
// Successful attempts are not counted.
type Throttle struct {
	limit int

	mu     sync.Mutex
	failed map[string][]time.Time // by address, the oldest first, at most limit of them; guarded by mu
}

// NewThrottle returns a throttle that refuses an address after limit failures in a minute. With a limit of 0 or
// less it refuses nobody.
func NewThrottle(limit int) *Throttle {
	return &Throttle{limit: limit, failed: map[string][]time.Time{}}
}

// Wait returns how long an address has to wait before its next attempt. It is 0 if it may try now.
func (t *Throttle) Wait(addr string, now time.Time) time.Duration {
	if t.limit <= 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := recentOf(t.failed[addr], now)
	if len(recent) < t.limit {
		return 0
	}
	return throttleWindow - now.Sub(recent[0])
}

// Fail counts a failed attempt of an address.
func (t *Throttle) Fail(addr string, now time.Time) {
	if t.limit <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := append(recentOf(t.failed[addr], now), now)
	t.failed[addr] = slices.Clone(recent[max(0, len(recent)-t.limit):])
	if len(t.failed) <= maxTracked {
		return
	}
	for a, times := range t.failed {
		if len(recentOf(times, now)) == 0 {
			delete(t.failed, a)
		}
	}
}

// recentOf returns the times that are within the window.
func recentOf(times []time.Time, now time.Time) []time.Time {
	for i, at := range times {
		if now.Sub(at) < throttleWindow {
			return times[i:]
		}
	}
	return nil
}
