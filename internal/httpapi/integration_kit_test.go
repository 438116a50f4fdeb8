package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/httpapi"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// integration is the API over the real use cases and a real database, as a client sees it.
type integration struct {
	*testing.T
	*harness.Harness
	api http.Handler
}

// noID is a valid id that nothing has.
const noID = "01900000-0000-7000-8000-00000000dead"

// newIntegration returns the API of a new installation.
func newIntegration(t *testing.T, opts ...harness.Option) *integration {
	t.Helper()
	r := &integration{T: t, Harness: harness.New(t, opts...)}
	r.api = r.handler(httpkit.Limits{})
	return r
}

// handler returns an API over the harness's use cases. Its request ids are numbered, so that they differ.
func (r *integration) handler(limits httpkit.Limits) http.Handler {
	var n atomic.Int64
	return httpapi.New(r.UseCases.API, httpapi.Config{
		Now: r.Clock.Now, Hub: app.NewHub(), Log: slog.New(slog.DiscardHandler), Limits: limits,
		NewRequestID: func() string { return fmt.Sprintf("0190ffff-0000-7000-8000-%012x", n.Add(1)) },
	})
}

// request returns a request with the API key who. headers are pairs of name and value and replace the default
// headers; an empty value removes one.
func (r *integration) request(who, method, target, body string, headers ...string) *http.Request {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, "http://api.example"+target, strings.NewReader(body))
	if err != nil {
		r.Fatalf("%s %s: %v", method, target, err)
	}
	req.RemoteAddr = "192.0.2.1:1234"
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Del(headers[i]); headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return req
}

// send sends a request and returns the answer.
func (r *integration) send(who, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, r.request(who, method, target, body, headers...))
	return w
}

// keyOf returns the API key of the member with a role.
func (r *integration) keyOf(role tenant.Role) string { return r.Tenant.Keys[role] }

// customer sends a request of the tenant's customer.
func (r *integration) customer(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	return r.send(r.keyOf(tenant.Customer), method, target, body, headers...)
}

// operator sends a request of the tenant's operator.
func (r *integration) operator(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	return r.send(r.keyOf(tenant.Operator), method, target, body, headers...)
}

// admin sends a request of the tenant's admin.
func (r *integration) admin(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	return r.send(r.keyOf(tenant.Admin), method, target, body, headers...)
}

// statusAndCode returns the status of an answer, and the code of a problem.
func statusAndCode(w *httptest.ResponseRecorder) string {
	var p struct{ Code string }
	if w.Code >= 400 {
		_ = json.Unmarshal(w.Body.Bytes(), &p) // an answer without a code fails the test that wants one
	}
	return strings.TrimSpace(fmt.Sprint(w.Code, " ", p.Code))
}

func (r *integration) want(what string, w *httptest.ResponseRecorder, wantAnswer string) {
	r.Helper()
	if got := statusAndCode(w); got != wantAnswer {
		r.Errorf("%s answered %s, want %s: %s", what, got, wantAnswer, w.Body)
	}
}

// orderAnswer holds the members of an order that the tests read.
type orderAnswer struct {
	ID, Number, State, Currency string
	Version                     int
	AllowedActions              []string `json:"allowed_actions"`
	Totals                      struct {
		Monthly, Annual amount
		DueNow          amount `json:"due_now"`
	}
	FX    *struct{ Rate, Source string }
	Items []struct {
		ID, State, Label string
		Price            struct {
			Lines   []struct{ Component, Amount string }
			Monthly string
			DueNow  string `json:"due_now"`
		}
		Allocation *amount
	}
	Payments []struct {
		State       string
		Amount, Due amount
	}
	Refunds []struct{ ID, State string }
}

type amount struct{ Amount, Currency string }

func (a amount) String() string { return a.Amount + " " + a.Currency }

func (r *integration) decode(w *httptest.ResponseRecorder, into any) {
	r.Helper()
	if w.Code >= 300 {
		r.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		r.Fatalf("answer %s: %v", w.Body, err)
	}
}

func (r *integration) orderOf(w *httptest.ResponseRecorder) orderAnswer {
	r.Helper()
	var o orderAnswer
	r.decode(w, &o)
	return o
}

// create creates a draft of the customer with items, which are JSON.
func (r *integration) create(items ...string) orderAnswer {
	r.Helper()
	return r.orderOf(r.customer("POST", "/v1/orders", `{"items":[`+strings.Join(items, ",")+`]}`))
}

// theVPS is a valid item for 20.10 EUR a month.
const theVPS = `{"product":"vps","plan":"business","region":"lj-1","billing_cycle":"monthly","label":"web","configuration":{"os_image":"debian-12"}}`

// submitted returns an order of theVPS that waits for payment.
func (r *integration) submitted() orderAnswer {
	r.Helper()
	return r.orderOf(r.customer("POST", "/v1/orders/"+r.create(theVPS).ID+"/submit", ""))
}

// paid returns an order of theVPS whose payment is confirmed.
func (r *integration) paid() orderAnswer {
	r.Helper()
	o := r.submitted()
	return r.orderOf(r.operator("POST", "/v1/orders/"+o.ID+"/payment/confirm",
		confirmation("ref-"+o.Number, o.Totals.DueNow)))
}

// confirmation returns the body that confirms a payment.
func confirmation(reference string, a amount) string {
	return fmt.Sprintf(`{"reference":%q,"amount":{"amount":%q,"currency":%q}}`, reference, a.Amount, a.Currency)
}

func parseOrder(t testing.TB, s string) order.ID {
	t.Helper()
	var o order.ID
	if err := o.UnmarshalText([]byte(s)); err != nil {
		t.Fatalf("order id %q: %v", s, err)
	}
	return o
}

// rows returns the number of rows of every table of the product, and a digest of them.
func (r *integration) rows() map[string]string {
	r.Helper()
	conn := r.DB.Super(r)
	defer func() { _ = conn.Close(context.Background()) }()
	var query string
	err := conn.QueryRow(r.Context(),
		`SELECT string_agg(format($$
				SELECT %L AS name, count(*) || ' ' || coalesce(md5(string_agg(r::text, '|' ORDER BY r::text)), '')
				FROM platforma.%I r
			$$, tablename, tablename), ' UNION ALL ')
		FROM pg_tables
		WHERE schemaname = 'platforma'`).Scan(&query)
	if err != nil {
		r.Fatalf("list tables: %v", err)
	}
	rows, err := conn.Query(r.Context(), query)
	if err != nil {
		r.Fatalf("digest tables: %v", err)
	}
	defer rows.Close()
	digests := map[string]string{}
	for rows.Next() {
		var name, digest string
		if err := rows.Scan(&name, &digest); err != nil {
			r.Fatalf("digest tables: %v", err)
		}
		digests[name] = digest
	}
	if rows.Err() != nil || len(digests) < 15 {
		r.Fatalf("digest tables: %d, %v", len(digests), rows.Err())
	}
	return digests
}

// wantSameRows compares the rows of all tables with those before. The tables in but may differ.
func (r *integration) wantSameRows(what string, before map[string]string, but ...string) {
	r.Helper()
	after := r.rows()
	for _, name := range but {
		before[name] = after[name]
	}
	if diff := cmp.Diff(before, after); diff != "" {
		r.Errorf("%s changed what is stored (-before +after):\n%s", what, diff)
	}
}

// count returns the result of a query for a number, which it sends as superuser.
func (r *integration) count(sql string, args ...any) int {
	r.Helper()
	conn := r.DB.Super(r)
	defer func() { _ = conn.Close(context.Background()) }()
	var n int
	if err := conn.QueryRow(r.Context(), sql, args...).Scan(&n); err != nil {
		r.Fatalf("%s: %v", sql, err)
	}
	return n
}

// withoutID returns an answer as text, without the request id, in which two equal answers differ.
func withoutID(w *httptest.ResponseRecorder) string {
	id := w.Header().Get("X-Request-Id")
	h := w.Header().Clone()
	h.Del("X-Request-Id")
	return fmt.Sprintln(w.Code, h, strings.ReplaceAll(w.Body.String(), id, "ID"))
}
