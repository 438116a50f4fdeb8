// Package httpkit holds what every HTTP facade of the product needs: request ids, security headers, statuses and
// problem answers, authentication by API key, rate limits, idempotency keys, strict JSON, and the limits of a
// server. Each facade (the REST API, the portal) has its own routes, views and texts. Package httpkit must not
// know a route, an order's state, a router library or any adapter.
package httpkit

import (
	"context"
	"net/http"
)

// Front prepares every request of a facade, and its answer.
type Front struct {
	// NewRequestID makes a request's id, which is in the answer's X-Request-Id, in problems, on error pages and
	// in the log. An id that the client sends is ignored, so that nobody else writes into our log. If it is
	// nil, requests have no id.
	NewRequestID func() string
	// HTTPS says that clients reach the facade over https. Answers then have HSTS (see setHeaders).
	HTTPS bool
}

type requestIDKey struct{}

// Begin gives the request an id, and sets the headers that every answer has. The caller goes on with the
// returned recorder and request.
func (f Front) Begin(w http.ResponseWriter, r *http.Request) (*Recorder, *http.Request) {
	out := &Recorder{ResponseWriter: w}
	setHeaders(out.Header())
	if f.HTTPS {
		out.Header().Set("Strict-Transport-Security", hsts)
	}
	if f.NewRequestID == nil {
		return out, r
	}
	id := f.NewRequestID()
	out.Header().Set("X-Request-Id", id)
	return out, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
}

// RequestID returns the id that Begin gave to the request of ctx, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
