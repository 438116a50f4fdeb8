// Package httpkit is what every HTTP facade of the product needs, once: the request id, security headers,
// statuses and problem answers, authentication by API key, rate limits, idempotency keys, strict JSON, and
// the bounds of a server. A facade (the REST API, the pages) keeps its own routes, views and words. It must
// not know a route, an order's state, a router library or any adapter.
package httpkit

import (
	"context"
	"net/http"
)

// Front is what every request of a facade passes first.
type Front struct {
	// NewRequestID makes the id that stands in the answer's X-Request-Id, in problems, on error pages and in
	// the log. An id that the client sends is never taken over, so that nobody else writes into our log. nil
	// gives requests no id.
	NewRequestID func() string
	// HTTPS says that clients reach the facade over https: then answers carry HSTS (see setHeaders).
	HTTPS bool
}

type requestIDKey struct{}

// Begin gives a request its id and its answer the headers that every answer has. The caller goes on with
// what it returns.
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

// RequestID returns the id that Begin gave the request of a context, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
