package httpkit

import (
	"slices"
	"sync"
	"time"
)

// throttleWindow is how long a failed attempt counts.
const throttleWindow = time.Minute

// Throttle refuses an address that has failed too often within a minute. It is for whoever guesses keys:
// what succeeds is never counted.
type Throttle struct {
	most int

	mu     sync.Mutex
	failed map[string][]time.Time // by address, oldest first, at most `most`; guarded by mu
}

// NewThrottle refuses an address after that many failures in a minute; 0 or less refuses nobody.
func NewThrottle(most int) *Throttle {
	return &Throttle{most: most, failed: map[string][]time.Time{}}
}

// Wait returns how long an address has to wait before its next attempt; 0 when it may try now.
func (t *Throttle) Wait(addr string, now time.Time) time.Duration {
	if t.most <= 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := recentOf(t.failed[addr], now)
	if len(recent) < t.most {
		return 0
	}
	return throttleWindow - now.Sub(recent[0])
}

// Fail counts a failed attempt of an address.
func (t *Throttle) Fail(addr string, now time.Time) {
	if t.most <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := append(recentOf(t.failed[addr], now), now)
	t.failed[addr] = slices.Clone(recent[max(0, len(recent)-t.most):])
	if len(t.failed) <= maxTracked {
		return
	}
	for a, times := range t.failed {
		if len(recentOf(times, now)) == 0 {
			delete(t.failed, a)
		}
	}
}

// recentOf is the part of the times that still counts.
func recentOf(times []time.Time, now time.Time) []time.Time {
	for i, at := range times {
		if now.Sub(at) < throttleWindow {
			return times[i:]
		}
	}
	return nil
}
