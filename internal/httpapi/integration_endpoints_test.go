package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// endpoint is a route, with a body that has every member. who lists the roles that may call it.
type endpoint struct {
	name, who string
	body      string
	optional  bool // the body may be left out
	versioned bool // it takes If-Match
	keyed     bool // it takes an Idempotency-Key
}

const (
	everybody = "customer operator admin auditor"
	writers   = "customer operator admin"
	staff     = "operator admin"
	readers   = "operator admin auditor"
)

// endpoints lists every route that needs an API key, written by hand from the roles of D24.
var endpoints = []endpoint{
	{name: "GET /v1/catalog", who: everybody},
	{name: "GET /v1/catalog/{product}", who: everybody},
	{name: "POST /v1/quotes", who: writers, body: `{"currency":"EUR","items":[` + theVPS + `]}`},
	{
		name: "POST /v1/orders", who: writers, keyed: true,
		body: `{"external_id":"po-1","fulfillment_policy":"per_item","customer_id":"{member}","items":[` + theVPS + `]}`,
	},
	{name: "GET /v1/orders", who: everybody},
	{name: "GET /v1/orders/{order}", who: everybody},
	{
		name: "PATCH /v1/orders/{order}", who: writers, keyed: true, versioned: true,
		body: `{"version":1,"external_id":"po-2","fulfillment_policy":"per_item","items":[{"id":"{item}",` + theVPS[1:] +
			`]}`,
	},
	{
		name: "POST /v1/orders/{order}/submit", who: writers, keyed: true, versioned: true, optional: true,
		body: `{"version":1,"expected_total":{"amount":"20.10","currency":"EUR"},"payment_method":"manual"}`,
	},
	{
		name: "POST /v1/orders/{order}/payment/confirm", who: staff, keyed: true, versioned: true,
		body: `{"version":1,"reference":"r","amount":{"amount":"20.10","currency":"EUR"},"paid_at":"2026-03-01T10:00:00Z","method":"bank_transfer"}`,
	},
	{
		name: "POST /v1/orders/{order}/payment/revert", who: staff, keyed: true, versioned: true,
		body: `{"version":1,"reason":"why"}`,
	},
	{
		name: "POST /v1/orders/{order}/cancel", who: writers, keyed: true, versioned: true, optional: true,
		body: `{"version":1,"reason":"why"}`,
	},
	{
		name: "POST /v1/orders/{order}/restore", who: writers, keyed: true, versioned: true, optional: true,
		body: `{"version":1,"reason":"why"}`,
	},
	{
		name: "POST /v1/orders/{order}/hold", who: staff, keyed: true, versioned: true, optional: true,
		body: `{"version":1,"reason":"why"}`,
	},
	{
		name: "POST /v1/orders/{order}/release", who: staff, keyed: true, versioned: true, optional: true,
		body: `{"version":1,"reason":"why"}`,
	},
	{name: "GET /v1/orders/{order}/events", who: everybody},
	{name: "GET /v1/orders/{order}/stream", who: everybody},
	{name: "GET /v1/orders/{order}/saga", who: readers},
	{
		name: "POST /v1/orders/{order}/items/{item}/redeliver", who: writers, keyed: true, versioned: true,
		optional: true, body: `{"version":1}`,
	},
	{name: "GET /v1/dead-letters", who: readers},
	{name: "GET /v1/dead-letters/{dead_letter}", who: readers},
	{name: "POST /v1/dead-letters/{dead_letter}/redrive", who: staff, keyed: true, optional: true, body: `{"reason":"why"}`},
	{
		name: "POST /v1/dead-letters/redrive", who: staff, keyed: true,
		body: `{"ids":["{dead_letter}"],"limit":10,"dry_run":false,"reason":"why"}`,
	},
	{
		name: "POST /v1/dead-letters/{dead_letter}/adopt", who: staff, keyed: true,
		body: `{"step":"server","ref":"srv-1","reason":"why"}`,
	},
	{
		name: "POST /v1/dead-letters/{dead_letter}/abandon", who: staff, keyed: true,
		body: `{"reason":"other","text":"why","proof":"T-1"}`,
	},
	{name: "DELETE /v1/dead-letters/{dead_letter}/abandon", who: staff, keyed: true},
	{name: "GET /v1/work-items", who: readers},
	{name: "POST /v1/work-items/{refund}/done", who: staff, keyed: true, body: `{"order":"{order}","reason":"why"}`},
	{name: "GET /v1/analytics/orders", who: readers},
	{name: "GET /v1/routing", who: readers},
	{name: "GET /v1/me", who: everybody},
	{name: "GET /v1/me/delivery-key", who: writers},
	{
		name: "PUT /v1/me/delivery-key", who: writers, keyed: true,
		body: `{"public_key":"-----BEGIN PGP PUBLIC KEY BLOCK-----"}`,
	},
	{name: "DELETE /v1/me/delivery-key", who: writers, keyed: true},
	{name: "GET /v1/settings", who: "admin auditor"},
	{
		name: "PUT /v1/settings", who: "admin", keyed: true, versioned: true,
		body: `{"version":1,"name":"Alpha","currency":"EUR","time_zone":"UTC","payment_method":"manual","safety_window":0,"payment_due_days":14,"quote_valid_days":30,"single_cycle":false,"require_idempotency_key":false,"brand_color":"#0b5fff","brand_contrast":"#ffffff"}`,
	},
	{
		name: "POST /v1/webhooks", who: "admin", keyed: true,
		body: `{"url":"https://hooks.example.com/x","description":"why","types":["order.created"]}`,
	},
	{name: "GET /v1/webhooks", who: "admin auditor"},
	{name: "GET /v1/webhooks/{webhook}", who: "admin auditor"},
	{
		name: "PATCH /v1/webhooks/{webhook}", who: "admin", keyed: true, versioned: true,
		body: `{"version":1,"url":"https://hooks.example.com/y","description":"why","types":["order.created"],"enabled":true}`,
	},
	{
		name: "POST /v1/webhooks/{webhook}/rotate", who: "admin", keyed: true, versioned: true, optional: true,
		body: `{"version":1,"overlap_hours":24}`,
	},
	{name: "GET /v1/webhooks/{webhook}/deliveries", who: "admin auditor"},
	{name: "GET /v1/webhooks/{webhook}/deliveries/{delivery}", who: "admin auditor"},
	{name: "POST /v1/webhooks/{webhook}/deliveries/{delivery}/replay", who: "admin", keyed: true},
	{name: "DELETE /v1/webhooks/{webhook}", who: "admin", keyed: true, versioned: true},
}

func (e endpoint) method() string {
	m, _, _ := strings.Cut(e.name, " ")
	return m
}

func (e endpoint) path() string {
	_, p, _ := strings.Cut(e.name, " ")
	return p
}

// leastRole returns the first role that may call the route.
func (e endpoint) leastRole() tenant.Role {
	r, _ := tenant.ParseRole(strings.Fields(e.who)[0])
	return r
}

// idSet holds the ids that the placeholders in paths and bodies stand for.
type idSet struct{ order, item, deadLetter, refund, member, webhook, webhookDelivery string }

// in returns s with the ids in place of the placeholders.
func (ids idSet) in(s string) string {
	return strings.NewReplacer(
		"{order}", ids.order, "{item}", ids.item, "{dead_letter}", ids.deadLetter, "{refund}", ids.refund,
		"{member}", ids.member, "{webhook}", ids.webhook, "{delivery}", ids.webhookDelivery, "{product}", "vps",
	).Replace(s)
}

// seed creates a draft, a refund, a dead letter, and a webhook with a delivery in a tenant, and returns their ids.
func (r *integration) seed(keys roleKeys) idSet {
	r.Helper()
	customer, operator := keys[tenant.Customer], keys[tenant.Operator]
	refunded := r.orderOf(r.send(customer, "POST", "/v1/orders", `{"items":[`+theVPS+`]}`))
	at := "/v1/orders/" + refunded.ID
	r.orderOf(r.send(customer, "POST", at+"/submit", ""))
	r.orderOf(r.send(operator, "POST", at+"/payment/confirm", confirmation("refunded", refunded.Totals.DueNow)))
	refunded = r.orderOf(r.send(customer, "POST", at+"/cancel", ""))
	draft := r.orderOf(r.send(customer, "POST", "/v1/orders", `{"items":[`+theVPS+`]}`))
	var me struct{ ID string }
	r.decode(r.send(customer, "GET", "/v1/me", ""), &me)
	ids := idSet{
		order: draft.ID, item: draft.Items[0].ID, refund: refunded.Refunds[0].ID, member: me.ID,
		deadLetter: id.Of[struct{}](r.Clock.NewID()).String(), webhookDelivery: id.Of[struct{}](r.Clock.NewID()).String(),
	}
	var webhook struct{ ID string }
	r.decode(r.send(keys[tenant.Admin], "POST", "/v1/webhooks", `{"url":"https://hooks.example.com/"}`), &webhook)
	ids.webhook = webhook.ID
	conn := r.DB.Super(r)
	_, err := conn.Exec(r.Context(), `
		INSERT INTO platforma.dead_letters (tenant_id, id, order_id, source, class, error_code, detail, step, attempts,
			payload_sha256, state, first_failed_at, at, reason)
		SELECT tenant_id, $1::uuid, id, 'step', 'retryable', 'compensation-exhausted', '', 'server', 6,
			''::bytea, 0, created_at, created_at, ''
		FROM platforma.orders
		WHERE id = $2::uuid`, ids.deadLetter, refunded.ID)
	if err != nil {
		r.Fatalf("make a dead letter: %v", err)
	}
	_, err = conn.Exec(r.Context(), `
		WITH delivery AS (
			INSERT INTO platforma.webhook_delivery (tenant_id, id, endpoint_id, order_id, seq, event_id, type, state,
				calls, last_result, created_at, done_at)
			SELECT tenant_id, $1::uuid, $2::uuid, order_id, seq, event_id, type, 2, 10, 'refused', at, at
			FROM platforma.order_event
			WHERE order_id = $3::uuid AND seq = 1
			RETURNING *
		)
		INSERT INTO platforma.saga_tasks (tenant_id, id, order_id, subject_id, kind, provider, state, step, try,
			compensating, sent, epoch, waited_ms, progress, detail)
		SELECT tenant_id, id, order_id, id, 6, 'webhook', 3, 0, 9, false, false, 10, 0, 0, ''
		FROM delivery`, ids.webhookDelivery, ids.webhook, refunded.ID)
	if err != nil {
		r.Fatalf("make a webhook delivery: %v", err)
	}
	return ids
}

// roleKeys holds the API key of each role.
type roleKeys = map[tenant.Role]string

// call sends a request to an endpoint. An empty body stands for the endpoint's own, if it must have one.
func (r *integration) call(
	e endpoint, who string, ids idSet, body string, headers ...string,
) *httptest.ResponseRecorder {
	r.Helper()
	if body == "" && e.body != "" && !e.optional {
		body = e.body
	}
	return r.send(who, e.method(), ids.in(e.path()), ids.in(body), headers...)
}

// anonymous returns a path without the names of its parameters.
func anonymous(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

// node is a value within a JSON document.
type node struct {
	pointer string
	value   any
	set     func(v any) string // returns the document with another value here
}

// nodes returns every node of a JSON document.
func nodes(t testing.TB, body string) []node {
	t.Helper()
	parse := func() any {
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		var whole any
		if err := d.Decode(&whole); err != nil {
			t.Fatalf("body %s: %v", body, err)
		}
		return whole
	}
	render := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var found []node
	var walk func(v any, path []string)
	walk = func(v any, path []string) {
		found = append(found, node{
			pointer: pointerOf(path), value: v, set: func(n any) string { return render(put(parse(), path, n)) },
		})
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				walk(member, append(slices.Clone(path), name))
			}
		case []any:
			for i, e := range v {
				walk(e, append(slices.Clone(path), strconv.Itoa(i)))
			}
		}
	}
	walk(parse(), nil)
	return found
}

func pointerOf(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return "/" + strings.Join(path, "/")
}

// put returns a JSON value with v at a path.
func put(whole any, path []string, v any) any {
	if len(path) == 0 {
		return v
	}
	switch w := whole.(type) {
	case map[string]any:
		w[path[0]] = put(w[path[0]], path[1:], v)
	case []any:
		i, _ := strconv.Atoi(path[0])
		w[i] = put(w[i], path[1:], v)
	}
	return whole
}

// with returns an object with one more member.
func with(members any, name string, v any) map[string]any {
	more := map[string]any{name: v}
	for k, old := range members.(map[string]any) {
		if k != name {
			more[k] = old
		}
	}
	return more
}

// badRequest is a request that must be refused.
type badRequest struct {
	what, body, want string
	pointer          *string // a pointer that must be among the faults
	headers          []string
	catalogue        bool // the catalogue finds the fault: a quote lists it, and a key stores the answer of other routes
}

// badBodies returns bodies that are wrong for every route, and wrong variants of the endpoint's own body.
func badBodies(t testing.TB, e endpoint) []badRequest {
	list := []badRequest{
		{what: "half a body", body: `{"a":`, want: "400 malformed-json"},
		{what: "no JSON", body: `hello`, want: "400 malformed-json"},
		{what: "two values", body: e.body + " {}", want: "400 malformed-json"},
		{what: "a member twice", body: `{"version":1,"version":2}`, want: "400 malformed-json"},
		{what: "a member twice by escape", body: `{"version":1,"versi\u006fn":2}`, want: "400 malformed-json"},
		{what: "bad UTF-8", body: "{\"reason\":\"\xff\"}", want: "400 malformed-json"},
		{what: "half a surrogate", body: `{"reason":"\ud800"}`, want: "400 malformed-json"},
		{what: "a NUL in a name", body: `{"a\u0000":1}`, want: "400 malformed-json"},
		{what: "deep nesting", body: strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), want: "400 malformed-json"},
		{what: "deep lists", body: strings.Repeat(`[`, 30000), want: "400 malformed-json"},
		{what: "a byte order mark", body: "\ufeff" + e.body, want: "400 malformed-json"},
		{what: "64 KiB and a byte", body: strings.Repeat(" ", 65536-len(e.body)+1) + e.body, want: "413 body-too-large"},
		{what: "a megabyte", body: `{"reason":"` + strings.Repeat("a", 1<<20) + `"}`, want: "413 body-too-large"},
		{what: "text", body: e.body, want: "415 unsupported-media-type", headers: []string{"Content-Type", "text/plain"}},
		{what: "a form", body: "a=b", want: "415 unsupported-media-type", headers: []string{
			"Content-Type", "application/x-www-form-urlencoded",
		}},
		{what: "no media type", body: e.body, want: "415 unsupported-media-type", headers: []string{"Content-Type", ""}},
		{what: "Latin-1", body: e.body, want: "415 unsupported-media-type", headers: []string{
			"Content-Type", "application/json; charset=iso-8859-1",
		}},
	}
	for _, whole := range []string{"[]", `"x"`, "7", "true", "null"} {
		list = append(list, badRequest{
			what: "the whole is " + whole, body: whole, want: "422 validation-failed", pointer: new(string),
		})
	}
	for _, name := range []string{
		"tenant_id", "state", "price", "paid_at_", "number", "settlement", "allowed_actions", "Version",
		"REASON", "version ", "",
	} {
		list = append(list, badRequest{
			what: fmt.Sprintf("a member %q", name), body: nodes(t, e.body)[0].set(with(nodes(t, e.body)[0].value, name, 1)),
			want: "422 validation-failed", pointer: new(string),
		})
	}
	for _, n := range nodes(t, e.body) {
		inConfiguration := strings.Contains(n.pointer, "/configuration/")
		wrong := []any{}
		switch n.value.(type) {
		case string:
			list = append(list, badRequest{what: "a NUL in " + n.pointer, body: n.set("a\x00b"), want: "400 malformed-json"},
				badRequest{
					what: "61,000 letters in " + n.pointer, body: n.set(strings.Repeat("a", 61000)), want: "422 validation-failed",
					catalogue: inConfiguration,
				})
			wrong = []any{7, true, []any{}, map[string]any{}}
		case json.Number:
			wrong = []any{
				"1", json.Number("1.0"), json.Number("1e2"), json.Number("1.5"), json.Number("-1"),
				json.Number("99999999999999999999999"), true,
				[]any{},
			}
		case bool:
			wrong = []any{"true", 1}
		case []any:
			many := slices.Repeat(n.value.([]any), 101)
			list = append(list, badRequest{
				what: "101 of " + n.pointer, body: n.set(many), want: "422 validation-failed", pointer: &n.pointer,
			})
			wrong = []any{map[string]any{}, "x", 1}
		case map[string]any:
			if n.pointer != "" && !strings.HasSuffix(n.pointer, "/configuration") {
				list = append(list, badRequest{
					what: "a member too many in " + n.pointer, body: n.set(with(n.value, "tenant_id", "x")),
					want: "422 validation-failed", pointer: &n.pointer,
				})
			}
			if n.pointer != "" {
				wrong = []any{[]any{}, "x", 1}
			}
		}
		for _, v := range append(wrong, nil) {
			if n.pointer == "" {
				continue
			}
			a := badRequest{
				what: fmt.Sprintf("%s = %v", n.pointer, v), body: n.set(v), want: "422 validation-failed", pointer: &n.pointer,
			}
			a.catalogue = inConfiguration
			list = append(list, a)
		}
	}
	return list
}
