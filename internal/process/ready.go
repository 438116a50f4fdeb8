package process

import (
	"encoding/json"
	"net/http"

	"github.com/platforma-cloud/orders/internal/app"
)

// RelayStatus returns the state of the process's relay; ok is false when it runs none.
func (p *Process) RelayStatus() (s app.RelayStatus, ok bool) {
	if p.relay == nil {
		return s, false
	}
	return p.relay.Status(), true
}

// degraded returns the roles of the process that cannot work because something outside does not answer.
// Orders go on without them (D20).
func (p *Process) degraded() []string {
	if s, ok := p.RelayStatus(); ok && s.Failing {
		return []string{string(Relay)}
	}
	return nil
}

// health serves the health checks of a process without the API, with the same answers as the API's: whether
// the process is alive, whether its database logins answer, and which of its roles are degraded.
func (p *Process) health(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, "ok", nil)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		for login, db := range p.logins {
			if err := db.Ping(r.Context()); err != nil {
				p.cfg.Log.WarnContext(r.Context(), "not ready", "login", login, "error", err)
				writeHealth(w, http.StatusServiceUnavailable, "not-ready", nil)
				return
			}
		}
		if roles := p.degraded(); len(roles) > 0 {
			writeHealth(w, http.StatusOK, "degraded", roles)
			return
		}
		writeHealth(w, http.StatusOK, "ready", nil)
	})
}

func writeHealth(w http.ResponseWriter, code int, status string, degraded []string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct { // the client may be gone
		Degraded []string `json:"degraded,omitempty"`
		Status   string   `json:"status"`
	}{degraded, status})
}
