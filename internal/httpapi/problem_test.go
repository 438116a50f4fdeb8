package httpapi

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a committed file, or writes the file with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; if that is intended, write it with -update (-want +got):\n%s", name, diff)
	}
}

func TestInternalErrorIsHiddenAndLoggedUnderItsRequestID(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.fake.Break("Order", errors.New("lock order: relation orders_pkey does not exist"))
	w := k.do("GET", orderPath, "")
	p := k.wantProblem(w, 500, "internal")
	if strings.Contains(w.Body.String(), "relation") {
		t.Errorf("the text is shown: %s", w.Body)
	}
	log := k.log.String()
	for _, want := range []string{"relation orders_pkey does not exist", p.RequestID, tenantA.String()} {
		if !strings.Contains(log, want) {
			t.Errorf("log = %s, want %s in it", log, want)
		}
	}
}

func TestPanicIsAnInternalErrorAndItsValueIsNotLogged(t *testing.T) {
	t.Parallel()
	for useCase, path := range map[string]string{"Order": orderPath, "Orders": "/v1/orders"} {
		k := newKit(t)
		k.fake.Panic(useCase, "secret text of a customer")
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("the panic was not recovered: %v", p)
				}
			}()
			k.wantProblem(k.do("GET", path, ""), 500, "internal")
		}()
		if log := k.log.String(); strings.Contains(log, "secret text") || !strings.Contains(log, "type=string") {
			t.Errorf("log = %s", log)
		}
	}
}

func TestDeadlineOfARequestIsA503WithRetryAfter(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.fake.Break("Order", fmt.Errorf("read order: %w", context.DeadlineExceeded))
	w := k.do("GET", orderPath, "")
	k.wantProblem(w, 503, "unavailable")
	if w.Header().Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v2/orders", "/v1/orders/", "/v1//orders", "/v1/orders/../orders", "/v1/orders/a/b/c", "/docs/",
		"/docs/other.js", "/schemas/Order.json", "/openapi.yaml",
	} {
		k.wantProblem(k.do("GET", path, ""), 404, "route-not-found")
	}
	w := k.do("DELETE", orderPath, "")
	k.wantProblem(w, 405, "method-not-allowed")
	if got := w.Header().Get("Allow"); got != "GET, HEAD, PATCH" {
		t.Errorf("Allow = %q", got)
	}
	for _, method := range []string{http.MethodTrace, http.MethodOptions, "BREW", http.MethodPut} {
		k.wantProblem(k.do(method, "/v1/orders", ""), 405, "method-not-allowed")
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.HTTPS = true })
	for _, path := range []string{orderPath, "/v1/orders/" + absent, "/nowhere", "/healthz", "/docs", "/openapi.json"} {
		h := k.do("GET", path, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"X-Request-Id": "01900000-0000-7000-8000-00000000beef",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s = %q, want %q", path, name, h.Get(name), want)
			}
		}
		if h.Get("Strict-Transport-Security") != "max-age=63072000; includeSubDomains" ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"),
				"default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'") {
			t.Errorf("%s: headers = %v", path, h)
		}
		public := path == "/docs" || path == "/openapi.json"
		if got := h.Get("Cache-Control"); public == (got == "no-store") {
			t.Errorf("%s: Cache-Control = %q", path, got)
		}
	}
}

func TestHSTSIsSentOnlyIfClientsUseHTTPS(t *testing.T) {
	t.Parallel()
	if got := newKit(t).do("GET", "/healthz", "").Header().Get("Strict-Transport-Security"); got != "" {
		t.Errorf("over plain http: %q", got)
	}
}
