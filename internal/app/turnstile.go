package app

import (
	"context"
	"sync"

	"github.com/platforma-cloud/orders/internal/order"
)

// Turnstile lets the workers of one process at an order one after the other. The order's row lock
// would do the same, but who waits there holds a database connection, and the many items of one order
// would keep everybody else's work from getting one. The zero value is ready; it may be used by many
// goroutines.
type Turnstile struct {
	mu    sync.Mutex
	gates map[order.ID]*turn // guarded by mu
}

type turn struct {
	busy    chan struct{} // holds one token while somebody is through
	waiting int           // guarded by Turnstile.mu
}

// Enter waits for the order's turn; leave must be called once when it worked.
func (t *Turnstile) Enter(ctx context.Context, o order.ID) (leave func(), err error) {
	t.mu.Lock()
	if t.gates == nil {
		t.gates = map[order.ID]*turn{}
	}
	g := t.gates[o]
	if g == nil {
		g = &turn{busy: make(chan struct{}, 1)}
		t.gates[o] = g
	}
	g.waiting++
	t.mu.Unlock()
	gone := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if g.waiting--; g.waiting == 0 {
			delete(t.gates, o)
		}
	}
	select {
	case g.busy <- struct{}{}:
		return func() { <-g.busy; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, context.Cause(ctx)
	}
}
