// Package httpapi is the REST API: it decodes a request strictly, calls one verb and encodes its
// answer, with RFC 9457 problems, idempotency keys, event streams and the OpenAPI document that
// describes it all. It must not know a state, a price, a role's rights or a table: those are the
// verbs' and the domain's. It alone knows statuses and headers.
package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Version of the API, as the OpenAPI document says it.
const Version = "1.0.0"

// server is what the routes share.
type server struct {
	useCases UseCases
	cfg      Config
	mux      *http.ServeMux
	api      huma.API
	limits   *limiter
	openapi  []byte
	examples map[string]example
}

// New makes the handler of the whole API. It panics on a missing dependency: a fault of the wiring,
// seen at start.
func New(useCases UseCases, cfg Config) http.Handler { return newServer(useCases, cfg) }

func newServer(useCases UseCases, cfg Config) *server {
	if useCases == nil || cfg.Now == nil || cfg.NewRequestID == nil || cfg.Hub == nil || cfg.Log == nil {
		panic("httpapi: use cases, clock, request ids, hub and log are required")
	}
	cfg.Stream = cfg.Stream.withDefaults()
	s := &server{useCases: useCases, cfg: cfg, mux: http.NewServeMux(), limits: newLimiter(cfg.Limits), examples: readExamples()}
	s.api = humago.New(s.mux, libraryConfig())
	s.api.UseMiddleware(s.guard)
	s.shopRoutes()
	s.orderRoutes()
	s.moneyRoutes()
	s.timelineRoutes()
	s.deskRoutes()
	s.accountRoutes()
	s.webhookRoutes()
	s.publicRoutes()
	s.openapi = describe(s.api)
	return s
}

// libraryConfig turns off what the library would do unasked: schema links in bodies, documentation
// pages from elsewhere, other formats.
func libraryConfig() huma.Config {
	return huma.Config{
		OpenAPI:                      &huma.OpenAPI{OpenAPI: "3.1.0", Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName)}},
		Formats:                      map[string]huma.Format{applicationJSON: jsonFormat(), "json": jsonFormat()},
		DefaultFormat:                applicationJSON,
		RejectUnknownQueryParameters: true,
	}
}

// ServeHTTP gives the request its id and its answer the headers that all have, and lets no panic out.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := &request{id: s.cfg.NewRequestID(), http: r}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, req))
	req.http = r
	out := &recorder{ResponseWriter: w}
	secure(out.Header(), req.id)
	start := s.cfg.Now()
	defer func() {
		if p := recover(); p != nil {
			s.panicked(out, r, req, p)
		}
		s.cfg.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", req.attrs(slog.Int("status", out.status), slog.Duration("took", s.cfg.Now().Sub(start)))...)
	}()
	if err := s.unroutable(r); err != nil {
		s.fail(out, req, err)
		return
	}
	s.mux.ServeHTTP(out, r)
}

// panicked answers as for any internal error. The value may hold a customer's text: only its type and
// the stack are logged.
func (s *server) panicked(out *recorder, r *http.Request, req *request, p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		panic(p)
	}
	s.cfg.Log.LogAttrs(r.Context(), slog.LevelError, "panic", req.attrs(slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))...)
	if out.status == 0 {
		s.fail(out, req, internalFault())
	}
}

// secure sets the security headers. An answer that may be kept says so itself afterwards.
func secure(h http.Header, requestID string) {
	h.Set("X-Request-Id", requestID)
	h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", contentPolicy)
}

const contentPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// unroutable answers for paths and methods that are not ours: the mux would answer in plain text.
func (s *server) unroutable(r *http.Request) error {
	if p := r.URL.Path; p == "" || path.Clean(p) != p {
		return noRoute()
	}
	h, pattern := s.mux.Handler(r)
	if pattern != "" && r.Method != http.MethodConnect {
		return nil
	}
	var probe recorder
	probe.ResponseWriter = discard{http.Header{}}
	h.ServeHTTP(&probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		return noRoute()
	}
	return &statusFault{status: http.StatusMethodNotAllowed, code: codeMethod, detail: "Allow names the methods of this path.", allow: probe.Header().Get("Allow")}
}

func noRoute() error {
	return &statusFault{status: http.StatusNotFound, code: codeRouteNotFound, detail: "The OpenAPI document at /openapi.json lists every path."}
}

// fail writes the problem that an error becomes, and logs what must not be shown.
func (s *server) fail(w http.ResponseWriter, req *request, err error) {
	p, hidden := problemOf(err, req.id)
	if hidden {
		s.cfg.Log.LogAttrs(req.http.Context(), slog.LevelError, "request failed", req.attrs(slog.Any("error", err))...)
	}
	a, err := p.answer()
	if err != nil {
		s.cfg.Log.LogAttrs(req.http.Context(), slog.LevelError, "encode problem", req.attrs(slog.Any("error", err))...)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the client may be gone; there is nobody left to tell
}

// recorder knows whether an answer was begun, and with which status.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write begins the answer when nobody has.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard is a response that goes nowhere.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
