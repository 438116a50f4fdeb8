package keyed

import "sync"

// Semaphore counts the holders of each key. The zero value is ready for use, and it is safe for concurrent
// use. It keeps nothing for a key that nobody holds.
type Semaphore[K comparable] struct {
	mu      sync.Mutex
	holders map[K]int // guarded by mu
}

// TryAcquire takes a place of the key if fewer than limit are taken, and reports whether it did. It does not
// wait. A caller that got a place must call Release exactly once.
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

// Release frees a place of the key.
func (s *Semaphore[K]) Release(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holders[key]--; s.holders[key] <= 0 {
		delete(s.holders, key)
	}
}
