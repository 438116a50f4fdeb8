// Package keyed provides a mutex and a semaphore per key, within one process. Callers with the same key
// exclude each other, or are counted together; callers with different keys do not affect each other. The
// package knows nothing of what a key names.
package keyed

import (
	"context"
	"sync"
)

// Mutex is one lock per key. The zero value is ready for use, and it is safe for concurrent use. It keeps
// nothing for a key that nobody holds or waits for.
type Mutex[K comparable] struct {
	mu    sync.Mutex
	locks map[K]*lock // guarded by mu
}

type lock struct {
	held  chan struct{} // holds one token while somebody has the lock
	users int           // number of holders and waiters; guarded by Mutex.mu
}

// Lock waits until the caller has the key's lock. If ctx ends first, it returns the cause of ctx. The caller
// must call unlock exactly once.
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
