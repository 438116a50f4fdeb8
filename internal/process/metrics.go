package process

import (
	"net/http"

	"github.com/platforma-cloud/orders/internal/metrics"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// Metrics answers Prometheus' scrapes: how this process's relay and consumers stand. It is meant for a
// listener of its own that customers do not reach.
func (p *Process) Metrics() http.Handler {
	s := metrics.Sources{}
	if len(p.readers) > 0 {
		s.Consumers = p.here
	}
	if p.relay != nil {
		s.Relay, s.Outbox = p.relay.Status, p.logins[postgres.LoginRelay].OutboxStatus
	}
	if p.useCases.Audit != nil {
		s.Findings = p.useCases.Audit.Findings
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(s))
	return mux
}
