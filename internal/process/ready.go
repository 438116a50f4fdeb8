package process

import (
	"encoding/json"
	"net/http"

	"github.com/platforma-cloud/orders/internal/app"
)

// RelayStatus is how the relay of the process stands; ok is false where it runs none.
func (p *Process) RelayStatus() (s app.RelayStatus, ok bool) {
	if p.relay == nil {
		return s, false
	}
	return p.relay.Status(), true
}

// degraded names what of the process waits for somebody else: orders go on without it (D20).
func (p *Process) degraded() []string {
	if s, ok := p.RelayStatus(); ok && s.Failing {
		return []string{string(Relay)}
	}
	return nil
}

// health answers for a process without the API what the API answers for itself: that it lives, that its
// databases answer, and what of it is degraded.
func (p *Process) health(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok", nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		for login, db := range p.logins {
			if err := db.Ping(r.Context()); err != nil {
				p.cfg.Log.WarnContext(r.Context(), "not ready", "login", login, "error", err)
				say(w, http.StatusServiceUnavailable, "not-ready", nil)
				return
			}
		}
		if waiting := p.degraded(); len(waiting) > 0 {
			say(w, http.StatusOK, "degraded", waiting)
			return
		}
		say(w, http.StatusOK, "ready", nil)
	})
}

func say(w http.ResponseWriter, code int, status string, waiting []string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct { // the client may be gone
		Degraded []string `json:"degraded,omitempty"`
		Status   string   `json:"status"`
	}{waiting, status})
}
