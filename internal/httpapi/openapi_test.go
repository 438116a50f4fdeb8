package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/httpkit"
)

func TestServedOpenAPIDocumentIsTheCommittedOne(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	w := k.do("GET", "/openapi.json", "", "Authorization", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("answered %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	golden(t, "openapi.json", w.Body.Bytes())
	var doc struct{ OpenAPI string }
	decode(t, w.Body.Bytes(), &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi = %q", doc.OpenAPI)
	}
	again := k.do("GET", "/openapi.json", "", "If-None-Match", w.Header().Get("ETag"))
	if again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("a known ETag answered %d with %d bytes", again.Code, again.Body.Len())
	}
}

func TestEveryOperationIsDescribedWithItsErrorsAndAnExample(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	seen := map[string]string{}
	for name, op := range operations(k.api) {
		if op.OperationID == "" || op.Summary == "" || op.Description == "" || len(op.Tags) != 1 {
			t.Errorf("%s is not described", name)
		}
		if other, twice := seen[op.OperationID]; twice {
			t.Errorf("%s and %s have the same operationId %s", name, other, op.OperationID)
		}
		seen[op.OperationID] = name
		if wantRoutes[name].public {
			continue
		}
		for _, status := range []string{"400", "401", "403", "422", "429", "500", "503"} {
			if op.Responses[status] == nil {
				t.Errorf("%s does not document %s", name, status)
			}
		}
		e := k.api.examples[op.OperationID]
		if e.Response == nil {
			t.Errorf("%s has no example", name)
		}
		if (op.RequestBody != nil) != (e.Request != nil) {
			t.Errorf("%s: has a body %t, has an example of it %t", name, op.RequestBody != nil, e.Request != nil)
		}
	}
	for id := range k.api.examples {
		if _, ok := seen[id]; !ok {
			t.Errorf("example %s belongs to no operation", id)
		}
	}
}

func TestExamplesMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	schemas := k.api.api.OpenAPI().Components.Schemas
	check := func(name string, s *huma.Schema, v any) {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := httpkit.ParseJSON(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range schemaFaults(schemas, s, parsed) {
			t.Errorf("%s: %s %s %s %v", name, f.Pointer, f.Code, f.Message, f.Allowed)
		}
	}
	n := 0
	for name, op := range operations(k.api) {
		if op.RequestBody != nil {
			if media := op.RequestBody.Content[httpkit.MediaJSON]; media.Example != nil {
				check(name+" request", media.Schema, media.Example)
				n++
			}
		}
		for status, r := range op.Responses {
			if media := r.Content[httpkit.MediaJSON]; media != nil && media.Example != nil {
				check(name+" "+status, media.Schema, media.Example)
				n++
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d examples were checked", n)
	}
}

// TestAnswersMatchTheirSchemas compares real answers with the schemas of the document.
func TestAnswersMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit("order.created")
	schemas := k.api.api.OpenAPI().Components.Schemas
	for name, op := range operations(k.api) {
		method, path, _ := strings.Cut(name, " ")
		if wantRoutes[name].public || strings.HasSuffix(path, "/stream") {
			continue
		}
		w := k.do(method, concrete(path), validBody(k, op))
		r := op.Responses[strconv.Itoa(w.Code)]
		if r == nil || w.Code/100 != 2 {
			t.Errorf("%s answered %d: %s", name, w.Code, w.Body)
			continue
		}
		parsed, err := httpkit.ParseJSON(w.Body.Bytes())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, f := range schemaFaults(schemas, r.Content[httpkit.MediaJSON].Schema, parsed) {
			t.Errorf("%s: %s %s %s %v", name, f.Pointer, f.Code, f.Message, f.Allowed)
		}
	}
	p := k.do("POST", "/v1/orders", `{"items":[{}]}`)
	parsed, err := httpkit.ParseJSON(p.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range schemaFaults(schemas,
		operations(k.api)["POST /v1/orders"].Responses["422"].Content[httpkit.MediaProblem].Schema, parsed) {
		t.Errorf("problem: %s %s %s", f.Pointer, f.Code, f.Message)
	}
}

func TestAnswersHaveNoSchemaLinksAndTheDocumentationPageIsSelfContained(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, path := range []string{orderPath, "/v1/catalog", "/v1/orders"} {
		w := k.do("GET", path, "")
		if strings.Contains(w.Body.String(), `"$schema":"http://`) ||
			strings.Contains(w.Header().Get("Link"), "describedBy") {
			t.Errorf("GET %s carries a schema link", path)
		}
	}
	page := k.do("GET", "/docs", "", "Authorization", "")
	if page.Code != 200 || page.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("docs answered %d", page.Code)
	}
	for _, forbidden := range []string{"http://", "https://", "<script>", "style=", "onload"} {
		if strings.Contains(page.Body.String(), forbidden) {
			t.Errorf("the page contains %s", forbidden)
		}
	}
	for _, file := range []string{"/docs/docs.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"} {
		if !strings.Contains(page.Body.String(), `"`+file+`"`) {
			t.Errorf("the page does not load %s", file)
		}
		if w := k.do("GET", file, "", "Authorization", ""); w.Code != 200 || w.Body.Len() == 0 ||
			strings.Contains(w.Header().Get("Content-Type"), "html") {
			t.Errorf("%s answered %d %s", file, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

func TestVendoredFilesHaveTheChecksumsOfTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("static/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"swagger-ui-bundle.js", "swagger-ui.css"} {
		content, err := static.ReadFile("static/" + file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		if !strings.Contains(string(readme), hex.EncodeToString(sum[:])+"  "+file) {
			t.Errorf("%s does not have the checksum of the readme", file)
		}
	}
}

func TestHealthDependsOnNothingAndReadinessOnTheDatabase(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	if w := k.do("GET", "/healthz", "", "Authorization", ""); w.Code != 200 || w.Body.String() != `{"status":"ok"}` {
		t.Errorf("healthz answered %d %s", w.Code, w.Body)
	}
	if w := k.do("GET", "/readyz", "", "Authorization", ""); w.Code != 200 {
		t.Errorf("readyz answered %d", w.Code)
	}
	k = newKit(t, func(c *Config) { c.Degraded = func() []string { return []string{"relay"} } })
	if w := k.do("GET", "/readyz", "", "Authorization", ""); w.Code != 200 ||
		w.Body.String() != `{"degraded":["relay"],"status":"degraded"}` {
		t.Errorf("readyz without a broker answered %d %s", w.Code, w.Body)
	}
	k = newKit(t, func(c *Config) { c.Ready = notReady })
	w := k.do("GET", "/readyz", "", "Authorization", "")
	k.wantProblem(w, 503, "not-ready")
	if strings.Contains(w.Body.String(), "10.0.0.1") || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered %v %s", w.Header(), w.Body)
	}
	if w := k.do("GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("healthz answered %d while the database is down", w.Code)
	}
}
