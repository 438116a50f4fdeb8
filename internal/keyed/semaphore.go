package keyed

import "sync"

// Semaphore counts the holders of each key. The zero value is ready; it may be used by many goroutines. It
// keeps nothing for a key that nobody holds.
type Semaphore[K comparable] struct {
	mu      sync.Mutex
	holders map[K]int // guarded by mu
}

// TryAcquire takes a place of the key and reports whether fewer than limit were taken; it does not wait. A
// caller that got a place calls Release once.
func (s *Semaphore[K]) TryAcquire(key K, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holders[key] >= limit {
		return false
	}
	if s.holders == nil {
		s.holders = map[K]int{}
	}
	s.holders[key]++
	return true
}

// Release gives a place of the key back.
func (s *Semaphore[K]) Release(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holders[key]--; s.holders[key] <= 0 {
		delete(s.holders, key)
	}
}
