package process

import (
	"net/http"

	"github.com/platforma-cloud/orders/internal/metrics"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// Metrics returns the handler for Prometheus: the state of this process's relay and consumers. Serve it on a
// separate listener that customers do not reach.
func (p *Process) Metrics() http.Handler {
	s := metrics.Sources{}
	if len(p.consumers) > 0 {
		s.Consumers = p.localStatus
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
