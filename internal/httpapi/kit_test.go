package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/app/apptest"
	"github.com/platforma-cloud/orders/internal/event"
)

// kit is an API over the fake use cases, which hold one order.
type kit struct {
	*testing.T
	fake      *apptest.Fake
	aggregate *app.Aggregate // the order; a test may change it before it reads the order
	events    int            // the number of the order's events so far
	hub       *app.Hub
	api       *server
	log       *bytes.Buffer
}

func newKit(t *testing.T, change ...func(*Config)) *kit {
	t.Helper()
	clock := func() time.Time { return now }
	k := &kit{T: t, fake: apptest.New(clock), aggregate: sampleAggregate(), hub: app.NewHub(), log: &bytes.Buffer{}}
	seed(k.fake, k.aggregate)
	prepareAnswers(k.fake, k.aggregate)
	cfg := Config{
		Now: clock, NewRequestID: func() string { return "01900000-0000-7000-8000-00000000beef" }, Hub: k.hub,
		Log: slog.New(slog.NewTextHandler(&lockedWriter{w: k.log}, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	k.api = newServer(k.fake, cfg)
	return k
}

// commit adds events to the order, with consecutive numbers.
func (k *kit) commit(types ...event.Type) {
	k.Helper()
	for _, t := range types {
		k.events++
		k.fake.AddEvents(theOrder, event.Record{
			ID: event.ID{15: byte(k.events)}, Type: t, Tenant: tenantA, Order: theOrder, Seq: k.events,
			At: now.Add(time.Duration(k.events) * time.Second), Actor: "member:" + ana.String(),
			Data: json.RawMessage(`{"from":"pending_payment","to":"payment_confirmed","reason":"a transfer came"}`),
		})
	}
}

// lockedWriter is safe for concurrent use.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// do sends a request with Ana's key. headers are pairs of name and value and replace the default headers; an empty
// value removes one.
func (k *kit) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	k.Helper()
	r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	r.Header.Set("Authorization", "Bearer "+rightKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	k.api.ServeHTTP(w, r)
	return w
}

// wantProblem checks the status, code and media type of a problem, and that it is complete.
func (k *kit) wantProblem(w *httptest.ResponseRecorder, status int, code string) problemDocument {
	k.Helper()
	var p problemDocument
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		k.Fatalf("the answer is not JSON: %v\n%d %s", err, w.Code, w.Body)
	}
	if w.Code != status || p.Code != code || p.Status != status {
		k.Errorf("answered %d %q (status member %d), want %d %q\n%s", w.Code, p.Code, p.Status, status, code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		k.Errorf("Content-Type = %q, want application/problem+json", got)
	}
	hasRequestID := p.RequestID != "" && p.RequestID == w.Header().Get("X-Request-Id")
	if p.Type != "/problems/"+code || p.Title == "" || p.Instance == "" || !hasRequestID {
		k.Errorf("the problem is incomplete: %s", w.Body)
	}
	return p
}

// problemDocument is a problem as a client decodes it.
type problemDocument struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Instance  string `json:"instance"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Pointer   *string `json:"pointer"`
		Parameter string  `json:"parameter"`
		Code      string  `json:"code"`
		Message   string  `json:"message"`
		Allowed   []any   `json:"allowed"`
	} `json:"errors"`
}

func notReady(context.Context) error { return errors.New("dial 10.0.0.1: refused") }
