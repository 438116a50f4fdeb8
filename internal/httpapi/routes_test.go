package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/httpkit"
)

// operations returns the documented operations by "METHOD path".
func operations(s *server) map[string]*huma.Operation {
	operations := map[string]*huma.Operation{}
	for path, item := range s.api.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{
			"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete,
		} {
			if op != nil {
				operations[method+" "+path] = op
			}
		}
	}
	return operations
}

// concrete replaces the parameters of a path by ids.
func concrete(path string) string {
	return strings.NewReplacer("{id}", theOrder.String(), "{item}", theItem.String(), "{delivery}", theItem.String(),
		"{product}", "vps", "{provider}", "demo").Replace(path)
}

// wantRoutes lists every route, written by hand. A public route needs no API key, a keyed one takes an Idempotency-Key,
// and a versioned one takes If-Match.
var wantRoutes = map[string]struct{ public, keyed, versioned bool }{
	"GET /v1/catalog":                                     {},
	"GET /v1/catalog/{product}":                           {},
	"POST /v1/quotes":                                     {},
	"POST /v1/orders":                                     {keyed: true},
	"GET /v1/orders":                                      {},
	"GET /v1/orders/{id}":                                 {},
	"PATCH /v1/orders/{id}":                               {keyed: true, versioned: true},
	"POST /v1/orders/{id}/submit":                         {keyed: true, versioned: true},
	"POST /v1/orders/{id}/payment/confirm":                {keyed: true, versioned: true},
	"POST /v1/orders/{id}/payment/revert":                 {keyed: true, versioned: true},
	"POST /v1/orders/{id}/cancel":                         {keyed: true, versioned: true},
	"POST /v1/orders/{id}/restore":                        {keyed: true, versioned: true},
	"POST /v1/orders/{id}/hold":                           {keyed: true, versioned: true},
	"POST /v1/orders/{id}/release":                        {keyed: true, versioned: true},
	"GET /v1/orders/{id}/events":                          {},
	"GET /v1/orders/{id}/stream":                          {},
	"GET /v1/orders/{id}/saga":                            {},
	"POST /v1/orders/{id}/items/{item}/redeliver":         {keyed: true, versioned: true},
	"GET /v1/dead-letters":                                {},
	"GET /v1/dead-letters/{id}":                           {},
	"POST /v1/dead-letters/{id}/redrive":                  {keyed: true},
	"POST /v1/dead-letters/redrive":                       {keyed: true},
	"POST /v1/dead-letters/{id}/adopt":                    {keyed: true},
	"POST /v1/dead-letters/{id}/abandon":                  {keyed: true},
	"DELETE /v1/dead-letters/{id}/abandon":                {keyed: true},
	"GET /v1/work-items":                                  {},
	"POST /v1/work-items/{id}/done":                       {keyed: true},
	"GET /v1/analytics/orders":                            {},
	"GET /v1/routing":                                     {},
	"GET /v1/me":                                          {},
	"GET /v1/me/delivery-key":                             {},
	"PUT /v1/me/delivery-key":                             {keyed: true},
	"DELETE /v1/me/delivery-key":                          {keyed: true},
	"GET /v1/settings":                                    {},
	"PUT /v1/settings":                                    {keyed: true, versioned: true},
	"POST /v1/webhooks":                                   {keyed: true},
	"GET /v1/webhooks":                                    {},
	"GET /v1/webhooks/{id}":                               {},
	"PATCH /v1/webhooks/{id}":                             {keyed: true, versioned: true},
	"DELETE /v1/webhooks/{id}":                            {keyed: true, versioned: true},
	"POST /v1/webhooks/{id}/rotate":                       {keyed: true, versioned: true},
	"GET /v1/webhooks/{id}/deliveries":                    {},
	"GET /v1/webhooks/{id}/deliveries/{delivery}":         {},
	"POST /v1/webhooks/{id}/deliveries/{delivery}/replay": {keyed: true},
	"POST /v1/payments/webhook/{provider}":                {public: true},
	"GET /healthz":                                        {public: true},
	"GET /readyz":                                         {public: true},
	"GET /schemas/events/{type}/{version}":                {public: true},
	"GET /openapi.json":                                   {public: true},
	"GET /docs":                                           {public: true},
}

func TestRoutesAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	got := operations(k.api)
	for name, want := range wantRoutes {
		op, ok := got[name]
		if !ok {
			t.Errorf("%s is not served", name)
			continue
		}
		if public := op.Security != nil && len(op.Security) == 0; public != want.public {
			t.Errorf("%s: public = %t", name, public)
		}
		has := func(header string) bool {
			return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "header" && p.Name == header })
		}
		if has("Idempotency-Key") != want.keyed || has("If-Match") != want.versioned {
			t.Errorf("%s: Idempotency-Key %t, If-Match %t", name, has("Idempotency-Key"), has("If-Match"))
		}
	}
	for name := range got {
		if _, ok := wantRoutes[name]; !ok {
			t.Errorf("%s is served and has no row in wantRoutes: add one, and one in wantRoles", name)
		}
	}
}

func TestRouterServesEveryDocumentedRoute(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for name := range operations(k.api) {
		method, path, _ := strings.Cut(name, " ")
		if _, pattern := k.api.mux.Handler(httptest.NewRequest(method, concrete(path), nil)); pattern != name {
			t.Errorf("%s is routed to %q", name, pattern)
		}
	}
}

// shownOnce matches the part of an answer that its replay does not have.
var shownOnce = regexp.MustCompile(`"secret":"[^"]+","secret_already_shown":false`)

// TestEveryWriteRoutePassesItsKeyOnAndReplays fails for a new write route without idempotency (D22).
func TestEveryWriteRoutePassesItsKeyOnAndReplays(t *testing.T) {
	t.Parallel()
	for name, op := range operations(newKit(t).api) {
		method, path, _ := strings.Cut(name, " ")
		if method == "GET" || name == "POST /v1/quotes" || name == "POST /v1/payments/webhook/{provider}" {
			continue
		}
		k := newKit(t)
		body := validBody(k, op)
		first := k.do(method, concrete(path), body, "Idempotency-Key", "walk")
		again := k.do(method, concrete(path), body, "Idempotency-Key", "walk")
		same := again.Body.String() == first.Body.String()
		if strings.Contains(first.Body.String(), `"secret":"`) {
			same = again.Body.String() == shownOnce.ReplaceAllString(first.Body.String(),
				`"secret":null,"secret_already_shown":true`)
		}
		if first.Code/100 != 2 || again.Code != first.Code || again.Header().Get("Idempotent-Replayed") != "true" || !same {
			t.Errorf("%s answered %d, then %d (replayed %q):\n%s\n%s", name, first.Code, again.Code,
				again.Header().Get("Idempotent-Replayed"), first.Body, again.Body)
		}
		if got := k.fake.Called(); len(got) != 1 {
			t.Errorf("%s: effects %v, want one", name, got)
		}
	}
}

// validBody returns the example of an operation's body.
func validBody(k *kit, op *huma.Operation) string {
	if op.RequestBody == nil {
		return ""
	}
	media := op.RequestBody.Content[httpkit.MediaJSON]
	if media.Example == nil {
		return ""
	}
	raw, err := json.Marshal(media.Example)
	if err != nil {
		k.Fatal(err)
	}
	return string(raw)
}

func TestEveryRouteGivesTheSame401WithoutAValidKey(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	first := ""
	for name := range wantRoutes {
		if wantRoutes[name].public {
			continue
		}
		method, path, _ := strings.Cut(name, " ")
		for _, auth := range []string{
			"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + rightKey, rightKey, "Bearer " + strings.Repeat("x", 600),
			"Bearer " + rightKey + " x",
		} {
			w := k.do(method, concrete(path), "{not json", "Authorization", auth)
			k.wantProblem(w, 401, "unauthenticated")
			if w.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: WWW-Authenticate is missing", name)
			}
			if first == "" {
				first = w.Body.String()
			}
			if w.Body.String() != first {
				t.Errorf("%s with %q answers another 401:\n%s", name, auth, w.Body)
			}
		}
	}
	if got := k.fake.Called(); len(got) != 0 {
		t.Errorf("use cases were called: %v", got)
	}
}

func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	r := httptest.NewRequest("GET", "/v1/orders", nil)
	r.Header["Authorization"] = []string{"Bearer " + rightKey, "Bearer " + rightKey}
	w := httptest.NewRecorder()
	k.api.ServeHTTP(w, r)
	k.wantProblem(w, 401, "unauthenticated")
}

// TestNoMalformedRequestCausesAServerError sends many wrong requests. The answer must be a success or a documented
// client error, and never a 5xx.
func TestNoMalformedRequestCausesAServerError(t *testing.T) {
	t.Parallel()
	bodies := []string{
		"", "{}", "null", "[]", "0", `"x"`, "{", `{"version":1.5}`, `{"version":"x"}`, `{"reason":7}`,
		`{"reason":"` + strings.Repeat("a", 501) + `"}`, `{"items":{}}`, `{"items":[[]]}`,
		`{"amount":{"amount":1,"currency":"EUR"}}`, `{"reference":"","amount":{}}`,
		`{"paid_at":"yesterday","reference":"r","amount":{"amount":"1","currency":"EUR"}}`, `{"public_key":""}`,
		`{"order":"x"}`, `{"name":1}`, "\xff\xfe", strings.Repeat("[", 5000), strings.Repeat(" ", httpkit.MaxBody+1),
		`{"a":"` + strings.Repeat("b", httpkit.MaxBody) + `"}`,
	}
	ids := []string{theOrder.String(), absent, "x", "%00", "..%2f", strings.Repeat("9", 400), "%F0%28%8C%28"}
	documented := map[int]bool{
		200: true, 201: true, 204: true, 400: true, 404: true, 409: true, 412: true, 413: true,
		415: true, 422: true, 428: true,
	}
	n, k := 0, newKit(t)
	for name := range wantRoutes {
		method, path, _ := strings.Cut(name, " ")
		if strings.HasSuffix(path, "/stream") {
			continue // a stream ends only when its client leaves
		}
		for _, i := range ids {
			p := strings.NewReplacer("{id}", i, "{item}", i, "{delivery}", i, "{product}", i, "{provider}", i).Replace(path)
			for _, body := range bodies {
				if method == "GET" && body != "" {
					continue
				}
				w := k.do(method, p, body)
				n++
				if !documented[w.Code] {
					t.Errorf("%s %s with %.60q answered %d: %s", method, p, body, w.Code, w.Body)
				}
				if ct := w.Header().Get("Content-Type"); w.Code >= 400 && ct != httpkit.MediaProblem {
					t.Errorf("%s %s with %.60q answered %s", method, p, body, ct)
				}
			}
			if !strings.Contains(path, "{") {
				break
			}
		}
	}
	if n < 1000 {
		t.Errorf("only %d requests were made", n)
	}
}

func TestPaymentWebhookTakesRawBytesWithoutAKey(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	w := k.do("POST", "/v1/payments/webhook/demo", "not json at all \xff", "Authorization", "",
		"Content-Type", "text/plain")
	if w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if in := k.fake.Last().In; in != "demo:not json at all \xff" {
		t.Errorf("the use case got %q", in)
	}
	k.wantProblem(k.do("POST", "/v1/payments/webhook/demo", strings.Repeat("a", httpkit.MaxBody+1), "Authorization", ""),
		413, "body-too-large")
	k.fake.Break("ReceivePaymentWebhook", httpkit.Unauthenticated())
	k.wantProblem(k.do("POST", "/v1/payments/webhook/demo", "x", "Authorization", ""), 401, "unauthenticated")
}

func TestDeliveryKeyIsNullOrAFingerprintAndDeleteRemovesIt(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	got := []string{
		k.do("GET", "/v1/me/delivery-key", "").Body.String(),
		k.do("PUT", "/v1/me/delivery-key", `{"public_key":"-----BEGIN PGP PUBLIC KEY BLOCK-----"}`).Body.String(),
		k.do("DELETE", "/v1/me/delivery-key", "").Body.String(),
	}
	want := []string{
		`{"delivery_key":null}`,
		`{"delivery_key":{"fingerprint":"5d3e9a1c77f0b2468ace13579bdf02468ace1357","user_ids":["ana@example.com"],"expires_at":"2028-01-31T12:00:00Z"}}`, `{"delivery_key":null}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if in := k.fake.Last().In; in.([]byte) != nil {
		t.Errorf("delete put %q", in)
	}
}

func TestSettingsAreReadInTheFormThatPutAccepts(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	read := k.do("GET", "/v1/settings", "")
	if read.Header().Get("ETag") != `"4"` {
		t.Errorf("ETag = %q", read.Header().Get("ETag"))
	}
	put := k.do("PUT", "/v1/settings", read.Body.String())
	if put.Code != 200 || put.Header().Get("ETag") != `"5"` {
		t.Errorf("PUT of what GET answered: %d %s", put.Code, put.Body)
	}
}

func TestOperationsAnswersHaveExactlyTheseMembers(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for path, want := range map[string]string{
		"/v1/dead-letters": `{"data":[{"id":"00000000-0000-0000-0000-000000000007","cause":"compensation-exhausted","source":"step","class":"retryable","detail":null,"order":"01900000-0000-7000-8000-000000000001",` +
			`"item":"01900000-0000-7000-8000-0000000000a1","step":"server","tries":6,` +
			`"first_at":"2026-01-31T12:00:00Z","last_at":"2026-01-31T12:01:00Z","suggested":"redrive",` +
			`"state":"open","closed_at":null,"reason":null,"abandonment":null,"event":null}],"next_cursor":null}`,
		"/v1/analytics/orders": `{"as_of":"2026-01-31T12:00:00Z","time_zone":"Europe/Ljubljana","orders":{"today":1,"week":0,"month":0},"by_state":{"fulfilled":2},"average_value":{"amount":"84.10","currency":"EUR"},"revenue":{"amount":"168.20","currency":"EUR"},"conversion":0.5,"days":[{"day":"2026-01-31","orders":1,"paid":1,"revenue":{"amount":"168.20","currency":"EUR"}}]}`,
		"/v1/routing":          `{"events":[{"type":"order.created","consumers":["audit","portal"]}],"consumers":[{"name":"audit","applied":3,"duplicates":0,"retried":0,"parked":0,"blocked":0,"refused":0,"stopped_partitions":0,"lag_events":2,"lag_seconds":1.5}]}`,
		"/v1/me":               `{"id":"01900000-0000-7000-8000-0000000000c1","tenant_id":"01900000-0000-7000-8000-0000000000f1","role":"admin","email":"ana@example.com"}`,
	} {
		if diff := cmp.Diff(want, k.do("GET", path, "").Body.String()); diff != "" {
			t.Errorf("GET %s (-want +got):\n%s", path, diff)
		}
	}
}
