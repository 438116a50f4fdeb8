package httpapi

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

//go:embed static/docs.html static/docs.js static/swagger-ui.css static/swagger-ui-bundle.js
var static embed.FS

// docsPolicy also allows the images that are embedded in the style sheet of the documentation page.
const docsPolicy = httpkit.ContentPolicy + "; img-src 'self' data:"

// publicRoutes registers the routes that need no API key: health, the documents about the API, and the webhook of
// the payment providers, which is signed.
func (s *server) publicRoutes() {
	s.public("/healthz", "healthz", "Check that the process is alive",
		"It depends on nothing else.", func(w http.ResponseWriter, _ *http.Request) error {
			return writeJSON(w, map[string]string{"status": "ok"})
		})
	s.public("/readyz", "readyz", "Check that the process can serve",
		"The database answers and has the schema that this version knows. If Kafka is down, the process still serves, "+
			"and the answer lists the relay as degraded.", func(w http.ResponseWriter, r *http.Request) error {
			if s.cfg.Ready != nil {
				if err := s.cfg.Ready(r.Context()); err != nil {
					s.cfg.Log.WarnContext(r.Context(), "not ready", "error", err)
					return fault.New(fault.KindUnavailable, "not-ready",
						"The database is down, or its schema is not the one that this version knows.")
				}
			}
			return s.writeReady(w)
		})
	s.public("/openapi.json", "openapi", "Read this document",
		"In OpenAPI 3.1.", func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Type", httpkit.MediaJSON)
			return s.serveFile(w, r, s.openapi)
		})
	s.public("/docs", "docs", "Browse this document", "A page to read and try the API. It works offline.",
		s.docs("docs.html", "text/html; charset=utf-8"))
	for name, media := range map[string]string{
		"docs.js": "text/javascript; charset=utf-8", "swagger-ui.css": "text/css; charset=utf-8",
		"swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	} {
		s.bare(http.MethodGet, "/docs/"+name, s.docs(name, media))
	}
	s.schemaRoute()
	s.webhookRoute()
}

// writeReady answers that the process serves, and lists what is degraded.
func (s *server) writeReady(w http.ResponseWriter) error {
	var degraded []string
	if s.cfg.Degraded != nil {
		degraded = s.cfg.Degraded()
	}
	if len(degraded) > 0 {
		return writeJSON(w, map[string]any{"status": "degraded", "degraded": degraded})
	}
	return writeJSON(w, map[string]string{"status": "ready"})
}

func (s *server) docs(name, media string) func(http.ResponseWriter, *http.Request) error {
	content, err := static.ReadFile("static/" + name)
	if err != nil {
		panic(err) // the file is embedded in the binary
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", media)
		w.Header().Set("Content-Security-Policy", docsPolicy)
		return s.serveFile(w, r, content)
	}
}

// serveFile answers with content that is the same for everybody and may be cached for an hour.
func (s *server) serveFile(w http.ResponseWriter, r *http.Request, content []byte) error {
	sum := sha256.Sum256(content)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, _ = w.Write(content) //nolint:gosec // the content is embedded in the binary; the client may have gone
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := httpkit.EncodeJSON(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", httpkit.MediaJSON)
	_, _ = w.Write(b) // the client may have gone
	return nil
}

// public registers a route that needs no API key, and documents it.
func (s *server) public(path, id, summary, doc string, h func(http.ResponseWriter, *http.Request) error) {
	s.bare(http.MethodGet, path, h)
	s.api.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: path, OperationID: id, Summary: summary, Description: doc, Tags: []string{"public"},
		Security:  []map[string][]string{},
		Responses: map[string]*huma.Response{"200": {Description: "OK"}, "503": {Description: "Not available at the moment"}},
	})
}

// bare registers a route outside huma.
func (s *server) bare(method, path string, h func(http.ResponseWriter, *http.Request) error) {
	rt := &route{Method: method, Path: path}
	s.mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
		req := requestFrom(r.Context())
		req.route = rt
		if err := h(w, r); err != nil {
			s.fail(w, req, err)
		}
	})
}

// schemaRoute serves the schemas that the ce_dataschema of events refers to.
func (s *server) schemaRoute() {
	const path = "/schemas/events/{type}/{version}"
	s.bare(http.MethodGet, path, func(w http.ResponseWriter, r *http.Request) error {
		version, isJSON := strings.CutSuffix(r.PathValue("version"), ".json")
		major, err := strconv.Atoi(version)
		schema, known := event.Schema(event.Type(r.PathValue("type")), major)
		if !isJSON || err != nil || !known {
			return fault.Absent()
		}
		w.Header().Set("Content-Type", "application/schema+json")
		return s.serveFile(w, r, schema)
	})
	s.api.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: path, OperationID: "event-schema", Tags: []string{"public"},
		Summary: "Read the JSON Schema of an event's data", Security: []map[string][]string{},
		Description: "The ce_dataschema of an event is such a path.",
		Parameters: []*huma.Param{
			{Name: "type", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}, Example: "order.fulfilled"},
			{
				Name: "version", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
				Description: "The major version, followed by .json.", Example: "1.json",
			},
		},
		Responses: map[string]*huma.Response{
			"200": {
				Description: "OK",
				Content:     map[string]*huma.MediaType{"application/schema+json": {Schema: &huma.Schema{Type: huma.TypeObject}}},
			},
			"404": {Description: "There is no such type or version"},
		},
	})
}

// webhookRoute accepts the messages of payment providers. A message is signed over its raw bytes, so it is not
// decoded here.
func (s *server) webhookRoute() {
	const path = "/v1/payments/webhook/{provider}"
	s.bare(http.MethodPost, path, func(w http.ResponseWriter, r *http.Request) error {
		raw, err := httpkit.ReadBody(w, r)
		if err != nil {
			return err
		}
		if err := s.useCases.ReceivePaymentWebhook(r.Context(), r.PathValue("provider"), r.Header, raw); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
	s.api.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodPost, Path: path, OperationID: "receive-payment-webhook", Tags: []string{"payments"},
		Summary: "Receive a payment provider's message", Security: []map[string][]string{},
		Description: "The provider signs the raw body in its own scheme; a signature is valid for five minutes. A message " +
			"is stored once by its event id and processed later. Repeat it until the answer is 204.",
		Parameters: []*huma.Param{{
			Name: "provider", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
			Example: "demo",
		}},
		RequestBody: &huma.RequestBody{
			Required: true,
			Content: map[string]*huma.MediaType{httpkit.MediaJSON: {Schema: &huma.Schema{
				Description: "In the form that the provider defines.",
			}, Example: s.examples["receive-payment-webhook"].Request}},
		},
		Responses: map[string]*huma.Response{
			"204": {Description: "Stored"},
			"401": {Description: "The signature is not valid"}, "404": {Description: "There is no such provider"},
			"413": {Description: "The message is too large"}, "503": {Description: "Repeat it later"},
		},
	})
}
