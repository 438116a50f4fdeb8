package httpkit

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryAnswerHasTheSecurityHeadersAndHSTSOnlyOverHTTPS(t *testing.T) {
	t.Parallel()
	want := http.Header{
		"Content-Security-Policy": {"default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; " +
			"form-action 'self'"},
		"X-Content-Type-Options": {"nosniff"},
		"Referrer-Policy":        {"no-referrer"},
		"Cache-Control":          {"no-store"},
	}
	w, _ := Front{}.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Errorf("over http (-want +got):\n%s", diff)
	}
	want.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	w, _ = Front{HTTPS: true}.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Errorf("over https (-want +got):\n%s", diff)
	}
}

func TestRequestIDIsNeverTheClients(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]Front{"req-1": {NewRequestID: func() string { return "req-1" }}, "": {}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Request-Id", "the client's")
		w, r := f.Begin(httptest.NewRecorder(), r)
		if got := RequestID(r.Context()); got != name || w.Header().Get("X-Request-Id") != name {
			t.Errorf("the id is %q, in the answer %q, want %q", got, w.Header().Get("X-Request-Id"), name)
		}
	}
}

func TestRecorderKnowsTheFirstStatusOfAnAnswer(t *testing.T) {
	t.Parallel()
	for want, answer := range map[int]func(http.ResponseWriter){
		0:   func(http.ResponseWriter) {},
		200: func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) },
		404: func(w http.ResponseWriter) { w.WriteHeader(404); _, _ = w.Write([]byte("x")) },
	} {
		inner := httptest.NewRecorder()
		out := &Recorder{ResponseWriter: inner}
		answer(out)
		if out.Status() != want {
			t.Errorf("status %d, want %d", out.Status(), want)
		}
		if err := http.NewResponseController(out).Flush(); err != nil || !inner.Flushed {
			t.Errorf("the recorder hides the connection: %v", err)
		}
	}
}

func TestUnroutableIsA404OrA405WithTheMethods(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/orders/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("PATCH /v1/orders/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	got := map[string]StatusError{}
	for _, request := range []string{
		"GET /v1/orders/1", "HEAD /v1/orders/1", "DELETE /v1/orders/1", "GET /v1/orders/1/", "GET /v1//orders/1",
		"GET /v1/x/../orders/1", "GET /",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL.Path = request[:slices.Index([]byte(request), ' ')], request[slices.Index([]byte(request), ' ')+1:]
		if err := Unroutable(mux, r, "Look elsewhere."); err != nil {
			var e *StatusError
			if !errors.As(err, &e) {
				t.Fatalf("%s: %T", request, err)
			}
			got[request] = *e
		}
	}
	absent := StatusError{Status: 404, Code: "route-not-found", Detail: "Look elsewhere."}
	want := map[string]StatusError{
		"DELETE /v1/orders/1": {
			Status: 405, Code: "method-not-allowed", Detail: "The Allow header lists the methods of this path.",
			Allow: "GET, HEAD, PATCH",
		},
		"GET /v1/orders/1/": absent, "GET /v1//orders/1": absent, "GET /v1/x/../orders/1": absent, "GET /": absent,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v (-want +got):\n%s", slices.Sorted(maps.Keys(got)), diff)
	}
}

func TestPanicIsHandledWithoutItsValueAndErrAbortHandlerIsPassedOn(t *testing.T) {
	t.Parallel()
	var got []Panic
	run := func(value any) (passed any) {
		defer func() { passed = recover() }()
		defer Recover(func(p Panic) { got = append(got, p) })
		if value != nil {
			panic(value)
		}
		return nil
	}
	if passed := run("a customer's text"); passed != nil || len(got) != 1 {
		t.Fatalf("passed on %v, handled %d", passed, len(got))
	}
	if got[0].Type != "string" || got[0].Stack == "" || cmp.Diff("a customer's text", got[0].Type) == "" {
		t.Errorf("handled %+v", got[0])
	}
	if attrs := got[0].Attrs(); len(attrs) != 2 || attrs[0].Key != "type" || attrs[1].Key != "stack" {
		t.Errorf("logged %v", attrs)
	}
	//nolint:errorlint // the value itself
	if passed := run(http.ErrAbortHandler); passed != http.ErrAbortHandler || len(got) != 1 {
		t.Errorf("an abort: passed on %v, handled %d", passed, len(got))
	}
	if passed := run(nil); passed != nil || len(got) != 1 {
		t.Errorf("no panic: passed on %v, handled %d", passed, len(got))
	}
}

func TestServerHasEveryLimit(t *testing.T) {
	t.Parallel()
	s := NewServer(http.NotFoundHandler())
	if s.Handler == nil || s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 ||
		s.MaxHeaderBytes <= 0 {
		t.Errorf("a limit is missing: %+v", s)
	}
	if RequestTimeout >= s.WriteTimeout || s.ReadHeaderTimeout > s.ReadTimeout {
		t.Errorf("a request of %s is cut off by the write timeout of %s", RequestTimeout, s.WriteTimeout)
	}
}
