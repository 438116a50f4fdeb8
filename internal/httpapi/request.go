package httpapi

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

// request holds what is known of a request besides its decoded input. Only one goroutine uses it.
type request struct {
	id      string
	http    *http.Request
	route   *route
	bearer  string
	caller  app.Caller
	ifMatch *int // nil if there is no If-Match
}

type requestKey struct{}

func requestFrom(ctx context.Context) *request {
	req, _ := ctx.Value(requestKey{}).(*request)
	return req
}

// attrs returns the attributes for the log: ids, never a customer's text.
func (q *request) attrs(more ...slog.Attr) []slog.Attr {
	attrs := []slog.Attr{slog.String("request_id", q.id), slog.String("method", q.http.Method)}
	if q.route != nil {
		attrs = append(attrs, slog.String("route", q.route.Path))
	}
	if !q.caller.Tenant.IsZero() {
		attrs = append(attrs, slog.String("tenant", q.caller.Tenant.String()),
			slog.String("member", q.caller.Member.String()))
	}
	return append(attrs, more...)
}

// guard is the middleware of every route. It authenticates the caller, applies the rate limits, and checks the
// headers and the body. The faults come in this order: 401, 429, 400 for the headers, then those of the body.
func (s *server) guard(hc huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(hc)
	req := requestFrom(hc.Context())
	req.route, _ = hc.Operation().Metadata["route"].(*route)
	if err := s.admit(req, w, r, hc.Operation()); err != nil {
		s.fail(w, req, err)
		return
	}
	if req.route.Stream {
		next(hc)
		return
	}
	ctx, cancel := context.WithTimeout(hc.Context(), httpkit.RequestTimeout)
	defer cancel()
	next(huma.WithContext(hc, ctx))
}

// admit completes the request, or returns why it is refused.
func (s *server) admit(req *request, w http.ResponseWriter, r *http.Request, op *huma.Operation) error {
	if err := s.authenticate(req, r); err != nil {
		return err
	}
	now, limit := s.cfg.Now(), s.limits.Read
	if req.route.Key {
		limit = s.limits.Write
	}
	if err := limit(req.caller.Tenant, req.bearer, now); err != nil {
		return err
	}
	if !req.route.Write() {
		return nil
	}
	key, err := httpkit.IdempotencyKey(r.Header)
	if err != nil && req.route.Key {
		return err
	}
	if req.ifMatch, err = httpkit.IfMatch(r.Header); err != nil && req.route.Versioned {
		return err
	}
	raw, err := httpkit.ReadBody(w, r)
	if err != nil {
		return err
	}
	if err := s.validateBody(r, op, raw); err != nil {
		return err
	}
	req.caller.NeedsKey = req.route.Key
	if key != "" && req.route.Key {
		fingerprint := httpkit.Fingerprint(r, req.caller.Actor, raw)
		req.caller.Key = &app.IdempotencyKey{Key: key, Fingerprint: fingerprint}
	}
	r.Header.Set("Content-Type", httpkit.MediaJSON) // the library knows only this spelling
	return nil
}

// authenticate sets the caller of a request.
func (s *server) authenticate(req *request, r *http.Request) error {
	actor, key, err := s.keys.Authenticate(r)
	if err != nil {
		return err
	}
	req.bearer = key
	req.caller = app.Caller{Actor: actor, Traceparent: httpkit.Traceparent(r.Header)}
	return nil
}

// validateBody checks a body against the schema of its route, and returns every fault at once.
func (s *server) validateBody(r *http.Request, op *huma.Operation, raw []byte) error {
	if op.RequestBody == nil {
		return nil
	}
	if len(raw) == 0 {
		if op.RequestBody.Required {
			return httpkit.Malformed("A body is required.")
		}
		return nil
	}
	if err := httpkit.CheckMediaType(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	body, err := httpkit.ParseJSON(raw)
	if err != nil {
		return err
	}
	if faults := schemaFaults(s.api.OpenAPI().Components.Schemas, op.RequestBody.Content[httpkit.MediaJSON].Schema,
		body); len(faults) > 0 {
		return fault.Violated(faults)
	}
	return nil
}

// precondition returns the version of the body together with that of If-Match.
func (q *request) precondition(version *int) app.Precondition {
	return app.Precondition{Version: version, IfMatch: q.ifMatch}
}
