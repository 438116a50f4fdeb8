// Package keyed has a lock and a limit that are held by key, within one process. The callers of one key
// wait for each other, or are counted together; the callers of different keys do not notice each other.
// It knows nothing of what a key names.
package keyed

import (
	"context"
	"sync"
)

// Mutex is one lock per key. The zero value is ready; it may be used by many goroutines. It keeps nothing
// for a key that nobody holds or waits for.
type Mutex[K comparable] struct {
	mu    sync.Mutex
	locks map[K]*lock // guarded by mu
}

type lock struct {
	held  chan struct{} // holds one token while somebody has the lock
	users int           // who holds it or waits for it; guarded by Mutex.mu
}

// Lock waits until the caller has the key's lock or ctx ends, and then returns the cause of ctx. The caller
// calls unlock once.
func (m *Mutex[K]) Lock(ctx context.Context, key K) (unlock func(), err error) {
	l := m.join(key)
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; m.leave(key, l) }, nil
	case <-ctx.Done():
		m.leave(key, l)
		return nil, context.Cause(ctx)
	}
}

func (m *Mutex[K]) join(key K) *lock {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks == nil {
		m.locks = map[K]*lock{}
	}
	l := m.locks[key]
	if l == nil {
		l = &lock{held: make(chan struct{}, 1)}
		m.locks[key] = l
	}
	l.users++
	return l
}

func (m *Mutex[K]) leave(key K, l *lock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(m.locks, key)
	}
}
