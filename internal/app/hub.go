package app

import (
	"sync"

	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Hub wakes the followers of an order in this process. It carries no data: a woken follower reads the order with its
// own rights. A subscription is to one order of one tenant and cannot reach another. The live reader calls Wake for
// each event that it reads.
type Hub struct {
	mu        sync.Mutex
	followers map[hubKey]map[*follower]struct{} // guarded by mu; no empty inner map
}

type hubKey struct {
	tenant tenant.ID
	order  order.ID
}

// follower buffers one wake-up; further ones before it looks are the same one.
type follower struct{ woken chan struct{} }

// NewHub returns a hub without followers.
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

// Wake wakes the followers of an order after something was committed for it. It never blocks: a follower with a
// pending wake-up will see this change too.
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

// Followed returns the number of followed orders, for metrics and for tests of leaks.
func (h *Hub) Followed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.followers)
}
