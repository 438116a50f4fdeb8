package queue

import (
	"sync"

	"github.com/platforma-cloud/orders/internal/tenant"
)

// slots keeps one tenant from taking every worker of a queue in this process: open-source River hands
// jobs out by time alone. It may be used by many goroutines.
type slots struct {
	mu      sync.Mutex
	running map[string]map[tenant.ID]int // by queue; guarded by mu
}

// spare is how many workers a lone tenant leaves free, so that the next one's job starts at once.
const spare = 2

// take asks for a worker; false: the tenant has its share, and the job steps back for a moment. Every
// true is given back.
func (s *slots) take(queue string, t tenant.ID, workers int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running = map[string]map[tenant.ID]int{}
	}
	if s.running[queue] == nil {
		s.running[queue] = map[tenant.ID]int{}
	}
	at := s.running[queue]
	if at[t] >= share(at, t, workers) {
		return false
	}
	at[t]++
	return true
}

// share is how many of a queue's workers a tenant may have: all but the spare ones while it is alone,
// else an equal part, and always one.
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

func (s *slots) give(queue string, t tenant.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.running[queue]
	if at[t]--; at[t] <= 0 {
		delete(at, t)
	}
}
