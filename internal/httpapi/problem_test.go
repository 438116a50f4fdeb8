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
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares with a committed file, or renews it.
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
		t.Errorf("%s differs; renew it with -update when that is meant (-want +got):\n%s", name, diff)
	}
}

func TestProblemsReadAsTheyAlwaysDid(t *testing.T) {
	t.Parallel()
	conflict := fault.New(fault.KindConflict, fault.CodeVersionConflict, "The order is at version 5, not 4. Read it again, then decide.")
	conflict.Members = map[string]any{"current_version": 5, "code": "must not replace ours", "status": 200}
	late := fault.New(fault.KindTooMany, "redelivery-too-often", "At most 3 an hour.")
	late.After = 90*time.Second + time.Millisecond
	away := fault.New(fault.KindUnavailable, "database-away", "Try again.")
	var out strings.Builder
	for _, err := range []error{
		fault.Violated([]fault.Violation{{Pointer: "/items/0/plan", Code: "plan-unknown", Message: "There is no such plan.", Allowed: []any{"core", "business"}}, {Pointer: "", Code: "order-odd", Message: "Odd."}}),
		fault.New(fault.KindMalformed, "malformed-json", "This is not JSON."),
		unauthenticated(),
		fault.New(fault.KindForbidden, fault.CodeForbidden, "This needs payments:confirm."),
		fault.Absent(),
		conflict,
		fault.New(fault.KindPrecondition, "precondition-failed", "The order is at version 5."),
		fault.New(fault.KindPreconditionMissing, "version-required", "Send the version you read."),
		late,
		away,
		noRoute(),
		&statusFault{status: 405, code: codeMethod, detail: "Allow names them.", allow: "GET, HEAD"},
		contentFault("text/plain"),
		badParameter("cursor", "This is not a cursor of this list."),
		fmt.Errorf("lock order: %w", context.DeadlineExceeded),
		errors.New("ERROR: duplicate key value violates unique constraint (SQLSTATE 23505)"),
	} {
		p, hidden := problemOf(fmt.Errorf("wrapped: %w", err), "01900000-0000-7000-8000-00000000beef")
		a, err := p.answer()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%d hidden=%t", a.Status, hidden)
		for _, h := range []string{"Content-Type", "Retry-After", "Allow", "WWW-Authenticate"} {
			if v, ok := a.Header[h]; ok {
				fmt.Fprintf(&out, " %s=%s", h, v)
			}
		}
		fmt.Fprintf(&out, "\n%s\n\n", a.Body)
	}
	golden(t, "testdata/problems.txt", []byte(out.String()))
}

func TestEveryKindHasItsStatus(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]int{
		fault.KindInvalid: 422, fault.KindMalformed: 400, fault.KindUnauthenticated: 401, fault.KindForbidden: 403, fault.KindNotFound: 404, fault.KindConflict: 409,
		fault.KindPrecondition: 412, fault.KindPreconditionMissing: 428, fault.KindTooMany: 429, fault.KindUnavailable: 503,
	}
	if diff := cmp.Diff(want, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
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
	if log := k.log.String(); !strings.Contains(log, "relation orders_pkey does not exist") || !strings.Contains(log, p.RequestID) || !strings.Contains(log, tenantA.String()) {
		t.Errorf("log = %s", log)
	}
}

func TestPanicIsAnInternalErrorAndItsValueIsNotLogged(t *testing.T) {
	t.Parallel()
	for verb, path := range map[string]string{"Order": orderPath, "Orders": "/v1/orders"} {
		k := newKit(t)
		k.fake.Panic(verb, "secret text of a customer")
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("the panic came out: %v", p)
				}
			}()
			k.wantProblem(k.do("GET", path, ""), 500, "internal")
		}()
		if log := k.log.String(); strings.Contains(log, "secret text") || !strings.Contains(log, "type=string") {
			t.Errorf("log = %s", log)
		}
	}
}

func TestDeadlineOfARequestIs503WithRetryAfter(t *testing.T) {
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
	for _, path := range []string{"/", "/v1", "/v1/", "/v2/orders", "/v1/orders/", "/v1//orders", "/v1/orders/../orders", "/v1/orders/a/b/c", "/docs/", "/docs/other.js", "/schemas/Order.json", "/openapi.yaml"} {
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
	k := newKit(t)
	for _, path := range []string{orderPath, "/v1/orders/" + absent, "/nowhere", "/healthz", "/docs", "/openapi.json"} {
		h := k.do("GET", path, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Request-Id": "01900000-0000-7000-8000-00000000beef",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s = %q, want %q", path, name, h.Get(name), want)
			}
		}
		if !strings.HasPrefix(h.Get("Strict-Transport-Security"), "max-age=") || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'") {
			t.Errorf("%s: headers = %v", path, h)
		}
		public := path == "/docs" || path == "/openapi.json"
		if got := h.Get("Cache-Control"); public == (got == "no-store") {
			t.Errorf("%s: Cache-Control = %q", path, got)
		}
	}
}
