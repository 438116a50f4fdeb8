package app

import (
	"sync"

	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Hub wakes whoever follows an order in this process. It carries no data: a woken follower reads what
// is theirs to read, under their own rights. A subscription is to one order of one tenant, and there is
// no function that reaches another. The live reader calls Wake for each event it sees.
type Hub struct {
	mu        sync.Mutex
	followers map[hubKey]map[*follower]struct{} // guarded by mu; no empty inner map
}

type hubKey struct {
	tenant tenant.ID
	order  order.ID
}

// follower has room for one wake-up: several before it looks are one.
type follower struct{ woken chan struct{} }

// NewHub makes a hub that nobody follows.
func NewHub() *Hub { return &Hub{followers: map[hubKey]map[*follower]struct{}{}} }

// Subscribe follows an order of a tenant: woken receives when something was committed for it since the
// last receive. It is never closed. cancel ends the subscription and may be called more than once.
func (h *Hub) Subscribe(t tenant.ID, o order.ID) (woken <-chan struct{}, cancel func()) {
	key, f := hubKey{t, o}, &follower{woken: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.followers[key] == nil {
		h.followers[key] = map[*follower]struct{}{}
	}
	h.followers[key][f] = struct{}{}
	return f.woken, func() { h.leave(key, f) }
}

func (h *Hub) leave(key hubKey, f *follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.followers[key], f)
	if len(h.followers[key]) == 0 {
		delete(h.followers, key)
	}
}

// Wake tells the followers of an order that something was committed for it. It never waits: who has a
// wake-up pending will see this change too.
func (h *Hub) Wake(t tenant.ID, o order.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.followers[hubKey{t, o}] {
		select {
		case f.woken <- struct{}{}:
		default:
		}
	}
}

// Followed tells how many orders are followed, for metrics and for tests that nothing is left behind.
func (h *Hub) Followed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.followers)
}
