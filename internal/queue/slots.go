package queue

import (
	"sync"

	"github.com/platforma-cloud/orders/internal/tenant"
)

// slots keeps one tenant from taking every worker of a queue in this process, because open-source River
// hands out jobs by time alone. It is safe for concurrent use.
type slots struct {
	mu      sync.Mutex
	running map[string]map[tenant.ID]int // by queue; guarded by mu
}

// spare is how many workers a lone tenant leaves free, so that the next one's job starts at once.
const spare = 2

// tryAcquire takes a worker for the tenant and reports whether it did. It does not if the tenant has its
// share already; the job is then snoozed for a moment. A caller that got a worker must call release.
func (s *slots) tryAcquire(queue string, t tenant.ID, workers int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running = map[string]map[tenant.ID]int{}
	}
	if s.running[queue] == nil {
		s.running[queue] = map[tenant.ID]int{}
	}
	running := s.running[queue]
	if running[t] >= share(running, t, workers) {
		return false
	}
	running[t]++
	return true
}

// share returns how many of a queue's workers a tenant may have: all but the spare ones while it is the only
// one, otherwise an equal part, and always at least one.
func share(running map[tenant.ID]int, t tenant.ID, workers int) int {
	others := len(running)
	if running[t] > 0 {
		others--
	}
	if others == 0 {
		return max(1, workers-spare)
	}
	return max(1, workers/(others+1))
}

func (s *slots) release(queue string, t tenant.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	running := s.running[queue]
	if running[t]--; running[t] <= 0 {
		delete(running, t)
	}
}
