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

// real is the API over the real use cases and a real database: what a client sees of a world.
type real struct {
	*testing.T
	*harness.Harness
	api http.Handler
}

// noID names nothing anywhere.
const noID = "01900000-0000-7000-8000-00000000dead"

func openAPI(t *testing.T, opts ...harness.Option) *real {
	t.Helper()
	r := &real{T: t, Harness: harness.New(t, opts...)}
	r.api = r.handler(httpkit.Limits{})
	return r
}

// handler serves the world's use cases. Request ids are counted, so that they differ.
func (r *real) handler(limits httpkit.Limits) http.Handler {
	var n atomic.Int64
	return httpapi.New(r.UseCases.API, httpapi.Config{
		Now: r.Clock.Now, Hub: app.NewHub(), Log: slog.New(slog.DiscardHandler), Limits: limits,
		NewRequestID: func() string { return fmt.Sprintf("0190ffff-0000-7000-8000-%012x", n.Add(1)) },
	})
}

// request is one as a client sends it: as whom, and with headers that replace or (empty) remove those
// that every client sends.
func (r *real) request(who, method, target, body string, headers ...string) *http.Request {
	r.Helper()
	q, err := http.NewRequestWithContext(r.Context(), method, "http://api.example"+target, strings.NewReader(body))
	if err != nil {
		r.Fatalf("%s %s: %v", method, target, err)
	}
	q.RemoteAddr = "192.0.2.1:1234"
	if who != "" {
		q.Header.Set("Authorization", "Bearer "+who)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if q.Header.Del(headers[i]); headers[i+1] != "" {
			q.Header.Set(headers[i], headers[i+1])
		}
	}
	return q
}

func (r *real) send(who, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, r.request(who, method, target, body, headers...))
	return w
}

// as is the API key of a role's member.
func (r *real) as(role tenant.Role) string { return r.Tenant.Keys[role] }

// customer and operator send as the tenant's own.
func (r *real) customer(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	return r.send(r.as(tenant.Customer), method, target, body, headers...)
}

func (r *real) operator(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	return r.send(r.as(tenant.Operator), method, target, body, headers...)
}

func (r *real) admin(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	return r.send(r.as(tenant.Admin), method, target, body, headers...)
}

// verdict is an answer's status, with the code of a problem.
func verdict(w *httptest.ResponseRecorder) string {
	var p struct{ Code string }
	if w.Code >= 400 {
		_ = json.Unmarshal(w.Body.Bytes(), &p) // an answer without a code is none that a test wants
	}
	return strings.TrimSpace(fmt.Sprint(w.Code, " ", p.Code))
}

func (r *real) want(what string, w *httptest.ResponseRecorder, verdictWanted string) {
	r.Helper()
	if got := verdict(w); got != verdictWanted {
		r.Errorf("%s answered %s, want %s: %s", what, got, verdictWanted, w.Body)
	}
}

// orderAnswer is what the tests read of an order.
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

func (r *real) decode(w *httptest.ResponseRecorder, into any) {
	r.Helper()
	if w.Code >= 300 {
		r.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		r.Fatalf("answer %s: %v", w.Body, err)
	}
}

func (r *real) orderOf(w *httptest.ResponseRecorder) orderAnswer {
	r.Helper()
	var o orderAnswer
	r.decode(w, &o)
	return o
}

// create makes a draft of items, written as JSON, as the customer.
func (r *real) create(items ...string) orderAnswer {
	r.Helper()
	return r.orderOf(r.customer("POST", "/v1/orders", `{"items":[`+strings.Join(items, ",")+`]}`))
}

// theVPS is an item that is configured right: 20.10 EUR a month.
const theVPS = `{"product":"vps","plan":"business","region":"lj-1","billing_cycle":"monthly","label":"web","configuration":{"os_image":"debian-12"}}`

// submitted is an order of theVPS that waits for its money.
func (r *real) submitted() orderAnswer {
	r.Helper()
	return r.orderOf(r.customer("POST", "/v1/orders/"+r.create(theVPS).ID+"/submit", ""))
}

// paid is an order of theVPS whose money is in.
func (r *real) paid() orderAnswer {
	r.Helper()
	o := r.submitted()
	return r.orderOf(r.operator("POST", "/v1/orders/"+o.ID+"/payment/confirm",
		confirmation("ref-"+o.Number, o.Totals.DueNow)))
}

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

// rows tells what is in every table of the product: how many rows, and a digest of them all.
func (r *real) rows() map[string]string {
	r.Helper()
	conn := r.DB.Super(r)
	defer func() { _ = conn.Close(context.Background()) }()
	var union string
	err := conn.QueryRow(r.Context(),
		`SELECT string_agg(format('SELECT %L AS t, count(*) || '' '' || coalesce(md5(string_agg(r::text, ''|'' ORDER BY r::text)), '''') AS d FROM platforma.%I r', tablename, tablename), ' UNION ALL ')
		FROM pg_tables WHERE schemaname = 'platforma'`).Scan(&union)
	if err != nil {
		r.Fatalf("list tables: %v", err)
	}
	rows, err := conn.Query(r.Context(), union)
	if err != nil {
		r.Fatalf("digest tables: %v", err)
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var name, digest string
		if err := rows.Scan(&name, &digest); err != nil {
			r.Fatalf("digest tables: %v", err)
		}
		found[name] = digest
	}
	if rows.Err() != nil || len(found) < 15 {
		r.Fatalf("digest tables: %d, %v", len(found), rows.Err())
	}
	return found
}

// wantSameRows compares what is in the tables with what was; some tables may have changed.
func (r *real) wantSameRows(what string, before map[string]string, but ...string) {
	r.Helper()
	after := r.rows()
	for _, name := range but {
		before[name] = after[name]
	}
	if diff := cmp.Diff(before, after); diff != "" {
		r.Errorf("%s changed what is stored (-before +after):\n%s", what, diff)
	}
}

// count asks the database as the superuser.
func (r *real) count(sql string, args ...any) int {
	r.Helper()
	conn := r.DB.Super(r)
	defer func() { _ = conn.Close(context.Background()) }()
	var n int
	if err := conn.QueryRow(r.Context(), sql, args...).Scan(&n); err != nil {
		r.Fatalf("%s: %v", sql, err)
	}
	return n
}

// withoutID is an answer without what differs between two requests that are the same.
func withoutID(w *httptest.ResponseRecorder) string {
	id := w.Header().Get("X-Request-Id")
	h := w.Header().Clone()
	h.Del("X-Request-Id")
	return fmt.Sprintln(w.Code, h, strings.ReplaceAll(w.Body.String(), id, "ID"))
}
