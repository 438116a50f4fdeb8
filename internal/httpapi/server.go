// Package httpapi is the REST API. It decodes a request strictly, calls one use case and encodes the result. It has
// RFC 9457 problems, idempotency keys, event streams and an OpenAPI document. It must not know the lifecycle of an
// order, a price, the rights of a role or a table, which belong to the use cases and the domain. What all facades
// share, such as statuses, headers and limits, is in httpkit.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/platforma-cloud/orders/internal/httpkit"
)

// Version is the version of the API in the OpenAPI document.
const Version = "1.0.0"

// server holds what the routes share.
type server struct {
	useCases UseCases
	cfg      Config
	mux      *http.ServeMux
	api      huma.API
	front    httpkit.Front
	keys     *httpkit.Keys
	limits   *httpkit.Limiter
	openapi  []byte
	examples map[string]example
}

// New returns the handler of the whole API. It panics if a dependency is missing, which is a mistake in the wiring
// and shows at start.
func New(useCases UseCases, cfg Config) http.Handler { return newServer(useCases, cfg) }

func newServer(useCases UseCases, cfg Config) *server {
	if useCases == nil || cfg.Now == nil || cfg.NewRequestID == nil || cfg.Hub == nil || cfg.Log == nil {
		panic("httpapi: use cases, clock, request ids, hub and log are required")
	}
	cfg.Stream = cfg.Stream.withDefaults()
	s := &server{
		useCases: useCases, cfg: cfg, mux: http.NewServeMux(), examples: readExamples(),
		front:  httpkit.Front{NewRequestID: cfg.NewRequestID, HTTPS: cfg.HTTPS},
		keys:   httpkit.NewKeys(useCases, cfg.Limits.FailedKeys, cfg.Now),
		limits: httpkit.NewLimiter(cfg.Limits),
	}
	s.api = humago.New(s.mux, libraryConfig())
	s.api.UseMiddleware(s.guard)
	s.catalogRoutes()
	s.orderRoutes()
	s.paymentRoutes()
	s.timelineRoutes()
	s.operationRoutes()
	s.accountRoutes()
	s.webhookRoutes()
	s.publicRoutes()
	s.openapi = describe(s.api)
	return s
}

// libraryConfig turns off the library's own additions: schema links in bodies, documentation pages with scripts from
// other sites, and other formats.
func libraryConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0", Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName)},
		},
		Formats:                      map[string]huma.Format{httpkit.MediaJSON: jsonFormat(), "json": jsonFormat()},
		DefaultFormat:                httpkit.MediaJSON,
		RejectUnknownQueryParameters: true,
	}
}

// routeHint is the detail of a 404 for a path without a route.
const routeHint = "The OpenAPI document at /openapi.json lists every path."

// ServeHTTP gives the request an id, sets the headers of every answer, and turns a panic into an internal error.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, r := s.front.Begin(w, r)
	req := &request{id: httpkit.RequestID(r.Context())}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, req))
	req.http = r
	start := s.cfg.Now()
	defer func() {
		took := s.cfg.Now().Sub(start)
		attrs := req.attrs(slog.Int("status", out.Status()), slog.Duration("took", took))
		s.cfg.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", attrs...)
	}()
	defer httpkit.Recover(func(p httpkit.Panic) {
		s.cfg.Log.LogAttrs(r.Context(), slog.LevelError, "panic", req.attrs(p.Attrs()...)...)
		if out.Status() == 0 {
			s.fail(out, req, httpkit.Internal())
		}
	})
	if err := httpkit.Unroutable(s.mux, r, routeHint); err != nil {
		s.fail(out, req, err)
		return
	}
	s.mux.ServeHTTP(out, r)
}

// fail answers with the problem for an error.
func (s *server) fail(w http.ResponseWriter, req *request, err error) {
	a, err := s.problem(req, err)
	if err != nil {
		s.cfg.Log.LogAttrs(req.http.Context(), slog.LevelError, "encode problem", req.attrs(slog.Any("error", err))...)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	httpkit.WriteAnswer(w, a)
}
