package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// endpoint is a route with a body that has every member there is. who lists the roles that may call it.
type endpoint struct {
	name, who string
	body      string
	optional  bool // the body
	versioned bool
	keyed     bool
}

const (
	everybody = "customer operator admin auditor"
	writers   = "customer operator admin"
	staff     = "operator admin"
	readers   = "operator admin auditor"
)

// endpoints is every route of the API that wants a key, by hand from api.md and security.md §1.
var endpoints = []endpoint{
	{name: "GET /v1/catalog", who: everybody},
	{name: "GET /v1/catalog/{product}", who: everybody},
	{name: "POST /v1/quotes", who: writers, body: `{"currency":"EUR","items":[` + theVPS + `]}`},
	{name: "POST /v1/orders", who: writers, keyed: true, body: `{"external_id":"po-1","fulfillment_policy":"per_item","customer_id":"{member}","items":[` + theVPS + `]}`},
	{name: "GET /v1/orders", who: everybody},
	{name: "GET /v1/orders/{order}", who: everybody},
	{name: "PATCH /v1/orders/{order}", who: writers, keyed: true, versioned: true, body: `{"version":1,"external_id":"po-2","fulfillment_policy":"per_item","items":[{"id":"{item}",` + theVPS[1:] + `]}`},
	{name: "POST /v1/orders/{order}/submit", who: writers, keyed: true, versioned: true, optional: true, body: `{"version":1,"expected_total":{"amount":"20.10","currency":"EUR"},"payment_method":"manual"}`},
	{name: "POST /v1/orders/{order}/payment/confirm", who: staff, keyed: true, versioned: true, body: `{"version":1,"reference":"r","amount":{"amount":"20.10","currency":"EUR"},"paid_at":"2026-03-01T10:00:00Z","method":"bank_transfer"}`},
	{name: "POST /v1/orders/{order}/payment/revert", who: staff, keyed: true, versioned: true, body: `{"version":1,"reason":"why"}`},
	{name: "POST /v1/orders/{order}/cancel", who: writers, keyed: true, versioned: true, optional: true, body: `{"version":1,"reason":"why"}`},
	{name: "POST /v1/orders/{order}/restore", who: writers, keyed: true, versioned: true, optional: true, body: `{"version":1,"reason":"why"}`},
	{name: "POST /v1/orders/{order}/hold", who: staff, keyed: true, versioned: true, optional: true, body: `{"version":1,"reason":"why"}`},
	{name: "POST /v1/orders/{order}/release", who: staff, keyed: true, versioned: true, optional: true, body: `{"version":1,"reason":"why"}`},
	{name: "GET /v1/orders/{order}/events", who: everybody},
	{name: "GET /v1/orders/{order}/stream", who: everybody},
	{name: "GET /v1/orders/{order}/saga", who: readers},
	{name: "POST /v1/orders/{order}/items/{item}/redeliver", who: writers, keyed: true, versioned: true, optional: true, body: `{"version":1}`},
	{name: "GET /v1/dead-letters", who: readers},
	{name: "GET /v1/dead-letters/{letter}", who: readers},
	{name: "POST /v1/dead-letters/{letter}/redrive", who: staff, keyed: true, optional: true, body: `{"reason":"why"}`},
	{name: "POST /v1/dead-letters/redrive", who: staff, keyed: true, body: `{"ids":["{letter}"],"limit":10,"dry_run":false,"reason":"why"}`},
	{name: "POST /v1/dead-letters/{letter}/abandon", who: staff, keyed: true, body: `{"reason":"other","text":"why","proof":"T-1"}`},
	{name: "DELETE /v1/dead-letters/{letter}/abandon", who: staff, keyed: true},
	{name: "GET /v1/work-items", who: readers},
	{name: "POST /v1/work-items/{refund}/done", who: staff, keyed: true, body: `{"order":"{order}","reason":"why"}`},
	{name: "GET /v1/analytics/orders", who: readers},
	{name: "GET /v1/routing", who: readers},
	{name: "GET /v1/me", who: everybody},
	{name: "GET /v1/me/delivery-key", who: writers},
	{name: "PUT /v1/me/delivery-key", who: writers, keyed: true, body: `{"public_key":"-----BEGIN PGP PUBLIC KEY BLOCK-----"}`},
	{name: "DELETE /v1/me/delivery-key", who: writers, keyed: true},
	{name: "GET /v1/settings", who: "admin auditor"},
	{name: "PUT /v1/settings", who: "admin", keyed: true, versioned: true, body: `{"version":1,"name":"Alpha","currency":"EUR","time_zone":"UTC","payment_method":"manual","safety_window":0,"payment_due_days":14,"quote_valid_days":30,"single_cycle":false,"require_idempotency_key":false,"brand_color":"#0b5fff","brand_contrast":"#ffffff"}`},
}

func (e endpoint) method() string {
	m, _, _ := strings.Cut(e.name, " ")
	return m
}

func (e endpoint) path() string {
	_, p, _ := strings.Cut(e.name, " ")
	return p
}

// may is the first role that may call it.
func (e endpoint) may() tenant.Role {
	r, _ := tenant.ParseRole(strings.Fields(e.who)[0])
	return r
}

// things are what ids name: ours, and what another tenant has of the same.
type things struct{ order, item, letter, refund, member string }

func (th things) in(s string) string {
	return strings.NewReplacer("{order}", th.order, "{item}", th.item, "{letter}", th.letter, "{refund}", th.refund, "{member}", th.member, "{product}", "vps").Replace(s)
}

// thingsOf makes a draft, a refund and a dead letter in a tenant, and names the draft's.
func (r *real) thingsOf(org tenantKeys) things {
	r.Helper()
	customer, operator := org[tenant.Customer], org[tenant.Operator]
	refunded := r.orderOf(r.send(customer, "POST", "/v1/orders", `{"items":[`+theVPS+`]}`))
	at := "/v1/orders/" + refunded.ID
	r.orderOf(r.send(customer, "POST", at+"/submit", ""))
	r.orderOf(r.send(operator, "POST", at+"/payment/confirm", confirmation("refunded", refunded.Totals.DueNow)))
	refunded = r.orderOf(r.send(customer, "POST", at+"/cancel", ""))
	draft := r.orderOf(r.send(customer, "POST", "/v1/orders", `{"items":[`+theVPS+`]}`))
	var me struct{ ID string }
	r.decode(r.send(customer, "GET", "/v1/me", ""), &me)
	th := things{order: draft.ID, item: draft.Items[0].ID, refund: refunded.Refunds[0].ID, member: me.ID, letter: id.Of[struct{}](r.Clock.NewID()).String()}
	conn := r.DB.Super(r)
	_, err := conn.Exec(r.Context(), `INSERT INTO platforma.dead_letters (tenant_id, id, order_id, source, class, error_code, detail, step, attempts, payload_sha256, state, first_failed_at, at, reason)
		SELECT tenant_id, $1::uuid, id, 'step', 'retryable', 'undo-exhausted', '', 'server', 6, ''::bytea, 0, created_at, created_at, '' FROM platforma.orders WHERE id = $2::uuid`, th.letter, refunded.ID)
	if err != nil {
		r.Fatalf("make a dead letter: %v", err)
	}
	return th
}

type tenantKeys = map[tenant.Role]string

func (r *real) call(e endpoint, who string, th things, body string, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	if body == "" && e.body != "" && !e.optional {
		body = e.body
	}
	return r.send(who, e.method(), th.in(e.path()), th.in(body), headers...)
}

func TestEveryRouteOfTheDocumentIsTried(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	var doc struct {
		Paths map[string]map[string]struct {
			Security *[]any
		}
	}
	r.decode(r.send("", "GET", "/openapi.json", ""), &doc)
	var got, want []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.Security == nil || len(*op.Security) > 0 {
				got = append(got, strings.ToUpper(method)+" "+anonymous(path))
			}
		}
	}
	for _, e := range endpoints {
		want = append(want, anonymous(e.name))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes that want a key (-tried here +served); give a new one its line in endpoints:\n%s", diff)
	}
}

// anonymous blanks the names of a path's parameters.
func anonymous(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

// place is somewhere in a JSON value.
type place struct {
	pointer string
	value   any
	set     func(v any) string // the whole, with another value here
}

// places walks a body's text and lists every place in it.
func places(t testing.TB, body string) []place {
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
	var all []place
	var walk func(v any, path []string)
	walk = func(v any, path []string) {
		all = append(all, place{pointer: pointerOf(path), value: v, set: func(n any) string { return render(put(parse(), path, n)) }})
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
	return all
}

func pointerOf(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return "/" + strings.Join(path, "/")
}

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

func with(members any, name string, v any) map[string]any {
	more := map[string]any{name: v}
	for k, old := range members.(map[string]any) {
		if k != name {
			more[k] = old
		}
	}
	return more
}

// attempt is a request that must be refused.
type attempt struct {
	what, body, want string
	pointer          *string // that the answer's errors must name
	headers          []string
	catalogue        bool // a fault of what is sold: part of a quote, else an outcome that a key keeps
}

// badBodies lists what is wrong with a body, whatever the route.
func badBodies(t testing.TB, e endpoint) []attempt {
	list := []attempt{
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
		{what: "a form", body: "a=b", want: "415 unsupported-media-type", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{what: "no media type", body: e.body, want: "415 unsupported-media-type", headers: []string{"Content-Type", ""}},
		{what: "Latin-1", body: e.body, want: "415 unsupported-media-type", headers: []string{"Content-Type", "application/json; charset=iso-8859-1"}},
	}
	for _, whole := range []string{"[]", `"x"`, "7", "true", "null"} {
		list = append(list, attempt{what: "the whole is " + whole, body: whole, want: "422 validation-failed", pointer: new(string)})
	}
	for _, name := range []string{"tenant_id", "state", "price", "paid_at_", "number", "settlement", "allowed_actions", "Version", "REASON", "version ", ""} {
		list = append(list, attempt{what: fmt.Sprintf("a member %q", name), body: places(t, e.body)[0].set(with(places(t, e.body)[0].value, name, 1)), want: "422 validation-failed", pointer: new(string)})
	}
	for _, p := range places(t, e.body) {
		inside := strings.Contains(p.pointer, "/configuration/")
		wrong := []any{}
		switch p.value.(type) {
		case string:
			list = append(list, attempt{what: "a NUL in " + p.pointer, body: p.set("a\x00b"), want: "400 malformed-json"},
				attempt{what: "61,000 letters in " + p.pointer, body: p.set(strings.Repeat("a", 61000)), want: "422 validation-failed", catalogue: inside})
			wrong = []any{7, true, []any{}, map[string]any{}}
		case json.Number:
			wrong = []any{"1", json.Number("1.0"), json.Number("1e2"), json.Number("1.5"), json.Number("-1"), json.Number("99999999999999999999999"), true, []any{}}
		case bool:
			wrong = []any{"true", 1}
		case []any:
			many := slices.Repeat(p.value.([]any), 101)
			list = append(list, attempt{what: "101 of " + p.pointer, body: p.set(many), want: "422 validation-failed", pointer: &p.pointer})
			wrong = []any{map[string]any{}, "x", 1}
		case map[string]any:
			if p.pointer != "" && !strings.HasSuffix(p.pointer, "/configuration") {
				list = append(list, attempt{what: "a member too many in " + p.pointer, body: p.set(with(p.value, "tenant_id", "x")), want: "422 validation-failed", pointer: &p.pointer})
			}
			if p.pointer != "" {
				wrong = []any{[]any{}, "x", 1}
			}
		}
		for _, v := range append(wrong, nil) {
			if p.pointer == "" {
				continue
			}
			a := attempt{what: fmt.Sprintf("%s = %v", p.pointer, v), body: p.set(v), want: "422 validation-failed", pointer: &p.pointer}
			a.catalogue = inside
			list = append(list, a)
		}
	}
	return list
}

func TestWhatIsWrongInFormIsRefusedWithItsCodeAndChangesNothing(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	th := r.thingsOf(r.Tenant.Keys)
	tried := 0
	for _, e := range endpoints {
		if e.body == "" {
			continue
		}
		before := r.rows()
		for _, a := range badBodies(t, e) {
			tried++
			for _, key := range []string{"", `"k1"`} {
				w := r.call(e, r.as(e.may()), th, a.body, append(a.headers, "Idempotency-Key", key)...)
				if quote := e.name == "POST /v1/quotes"; quote && a.catalogue {
					a.want = "200"
				}
				r.want(e.name+" with "+a.what, w, a.want)
				if a.pointer != nil && !pointsAt(w, th.in(*a.pointer)) {
					r.Errorf("%s with %s: no error points at %q: %s", e.name, a.what, *a.pointer, w.Body)
				}
				if !e.keyed || a.catalogue {
					break
				}
			}
		}
		r.wantSameRows(e.name, before)
	}
	if tried < 600 {
		t.Errorf("only %d requests were made", tried)
	}
}

func pointsAt(w *httptest.ResponseRecorder, pointer string) bool {
	var p struct{ Errors, Faults []struct{ Pointer *string } }
	if json.Unmarshal(w.Body.Bytes(), &p) != nil {
		return false
	}
	return slices.ContainsFunc(append(p.Errors, p.Faults...), func(e struct{ Pointer *string }) bool { return e.Pointer != nil && *e.Pointer == pointer })
}

func TestWhoAndWhichComeBeforeWhatAndForeignIsAbsentToTheByte(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	ours, theirs := r.thingsOf(r.Tenant.Keys), r.thingsOf(r.Other.Keys)
	nothing := things{noID, noID, noID, noID, noID}
	before := r.rows()
	ids := map[string]things{"another tenant's": theirs, "ours under another's": {order: theirs.order, item: ours.item, letter: theirs.letter, refund: theirs.refund}}
	for _, id := range []string{"x", "%00", "%ff%fe", "%7B%7D", strings.Repeat("9", 400), noID + "0", "0190000000007000800000000000dead", "{" + noID + "}", "00000000-0000-0000-0000-000000000000", "'%20OR%201=1--"} {
		ids[id] = things{id, id, id, id, noID}
	}
	for _, e := range endpoints {
		for _, role := range tenant.Roles() {
			may := slices.Contains(strings.Fields(e.who), role.String())
			named := strings.Contains(e.path(), "{") && !strings.Contains(e.path(), "{product}")
			if may && !named {
				continue
			}
			for _, key := range []string{"", "a-key-of-" + role.String()} {
				headers := []string{"Idempotency-Key", key}
				if e.versioned {
					headers = append(headers, "If-Match", `"1"`)
				}
				absent := r.callWith(e, r.as(role), nothing, headers)
				if !may {
					r.want(e.name+" as "+role.String(), absent, "403 forbidden")
					if same := r.callWith(e, r.as(role), ours, headers); withoutID(same) != withoutID(absent) {
						r.Errorf("%s as %s tells what is there:\n%s\n%s", e.name, role, same.Body, absent.Body)
					}
				}
				if !named {
					continue
				}
				if may {
					r.want(e.name+" of nothing as "+role.String(), absent, "404 not-found")
				}
				for what, th := range ids {
					if got := r.callWith(e, r.as(role), th, headers); withoutID(got) != withoutID(absent) {
						r.Errorf("%s of %s as %s is not the answer for what is absent:\n%s\n%s", e.name, what, role, got.Body, absent.Body)
					}
				}
			}
		}
	}
	r.wantSameRows("what was refused", before)
}

// callWith sends the body for what is named in it, too: a foreign id in a body is tried with the path's.
func (r *real) callWith(e endpoint, who string, th things, headers []string) *httptest.ResponseRecorder {
	r.Helper()
	body := e.body
	if !json.Valid([]byte(th.in(body))) || strings.Contains(body, "{order}") && len(th.order) != 36 || strings.Contains(body, "{item}") && len(th.item) != 36 {
		th2 := th
		th2.order, th2.item = noID, noID
		body = th2.in(body)
	}
	return r.send(who, e.method(), th.in(e.path()), th.in(body), headers...)
}

func TestAnotherCustomersOrderIsAbsentForACustomer(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	mine := r.thingsOf(r.Tenant.Keys)
	o := r.orderOf(r.operator("POST", "/v1/orders", `{"items":[`+theVPS+`]}`)) // the operator's own
	theirs := things{order: o.ID, item: o.Items[0].ID, letter: mine.letter, refund: mine.refund, member: mine.member}
	nothing := things{noID, noID, noID, noID, noID}
	before := r.rows()
	for _, e := range endpoints {
		if !strings.Contains(e.path(), "{order}") || !strings.Contains(e.who, "customer") {
			continue
		}
		got, absent := r.callWith(e, r.as(tenant.Customer), theirs, nil), r.callWith(e, r.as(tenant.Customer), nothing, nil)
		r.want(e.name, got, "404 not-found")
		if withoutID(got) != withoutID(absent) {
			r.Errorf("%s tells that the order is there:\n%s\n%s", e.name, got.Body, absent.Body)
		}
	}
	r.wantSameRows("what was refused", before)
	var page struct{ Data []orderAnswer }
	r.decode(r.customer("GET", "/v1/orders?include_deleted=true&customer="+noID, ""), &page)
	for _, d := range page.Data {
		if d.ID == o.ID {
			t.Errorf("a customer's list holds the operator's order")
		}
	}
}

func TestNobodyKnownGetsOneAndTheSame401(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	th := r.thingsOf(r.Tenant.Keys)
	before := r.rows()
	first := withoutID(r.send("", "GET", "/v1/me", ""))
	try := func(what string, authorization string) {
		t.Helper()
		for _, e := range endpoints {
			w := r.call(e, "", th, "", "Authorization", authorization, "Idempotency-Key", "k")
			r.want(e.name+" with "+what, w, "401 unauthenticated")
			if got := withoutID(w); got != first {
				r.Errorf("%s with %s answers\n%s\nothers\n%s", e.name, what, got, first)
			}
		}
	}
	right := r.as(tenant.Admin)
	try("no key", "")
	try("a key nobody has", "Bearer pk_nobody_has_this_key_0123456789")
	try("another scheme", "Basic "+right)
	try("a key and more", "Bearer "+right+"x")
	try("half a key", "Bearer "+right[:len(right)-1])
	try("a short one", "Bearer x")
	try("a very long one", "Bearer "+strings.Repeat("k", 600))
	r.Clock.Advance(91 * 24 * time.Hour) // keys of the world hold for 90 days
	try("a key that has expired", "Bearer "+right)
	r.wantSameRows("who is not known", before)
}

func TestStaleVersionsAndWrongKeysHaveTheirOwnCodes(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	th := r.thingsOf(r.Tenant.Keys)
	before := r.rows()
	for _, e := range endpoints {
		who := r.as(e.may())
		if e.keyed {
			for what, key := range map[string]string{"a space": "a b", "256 letters": strings.Repeat("k", 256), "an open quote": `"k`, "a control": "a\x01", "beyond ASCII": "ključ", "a quote inside": `"a"b"`, "nothing": `""`} {
				r.want(e.name+" with a key with "+what, r.call(e, who, th, "", "Idempotency-Key", key), "400 idempotency-key-malformed")
			}
		}
		if !e.versioned {
			continue
		}
		bare := "{}"
		if !e.optional { // what is needed besides the version
			bare = strings.Replace(e.body, `"version":1,`, "", 1)
		}
		for what, tag := range map[string]string{"a number": "1", "an open quote": `"1`, "two": `"1", "2"`, "a star": "*"} {
			r.want(e.name+" with If-Match of "+what, r.call(e, who, th, bare, "If-Match", tag), "400 if-match-malformed")
		}
		for what, tag := range map[string]string{"a later version": `"9"`, "an earlier version": `"0"`, "a weak tag": `W/"1"`, "another's tag": `"abc"`, "a huge number": `"99999999999999999999"`} {
			r.want(e.name+" with If-Match of "+what, r.call(e, who, th, bare, "If-Match", tag), "412 precondition-failed")
		}
		for _, version := range []string{"0", "9", "4294967297", "9007199254740992"} {
			w := r.call(e, who, th, strings.Replace(strings.Replace(bare, "{", `{"version":`+version+`,`, 1), ",}", "}", 1))
			r.want(e.name+" with version "+version, w, "409 version-conflict")
			var p struct {
				Current int `json:"current_version"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Current != 1 {
				r.Errorf("%s with version %s does not name the current version: %s", e.name, version, w.Body)
			}
		}
	}
	r.want("PATCH without a version", r.customer("PATCH", "/v1/orders/"+th.order, `{"external_id":"x"}`), "428 version-required")
	r.wantSameRows("what was refused", before)
}

func TestQueriesAreRefusedOrFindNothing(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	ours, theirs := r.thingsOf(r.Tenant.Keys), r.thingsOf(r.Other.Keys)
	var page struct {
		Next string `json:"next_cursor"`
	}
	r.decode(r.operator("GET", "/v1/orders?limit=1&include_deleted=true", ""), &page)
	if page.Next == "" {
		t.Fatal("two orders are one page of one")
	}
	before := r.rows()
	const ok = "200"
	orders, letters, work, events := "/v1/orders", "/v1/dead-letters", "/v1/work-items", "/v1/orders/"+ours.order+"/events"
	for _, list := range []string{orders, letters, work, events} {
		for query, want := range map[string]string{
			"limit=0": "422 validation-failed", "limit=101": "422 validation-failed", "limit=abc": "422 validation-failed", "limit=-1": "422 validation-failed", "limit=1.5": "422 validation-failed",
			"limit=99999999999999999999": "422 validation-failed", "limit=100": ok, "limit=1": ok, "limit=": ok,
			"cursor=garbage": "400 bad-cursor", "cursor=%00": "400 bad-cursor", "cursor=%ff": "400 bad-cursor", "cursor=AAAA": "400 bad-cursor", "cursor=-1": "400 bad-cursor",
			"cursor=" + strings.Repeat("A", 600): "422 validation-failed", "tenant_id=x": "422 validation-failed", "Limit=1": "422 validation-failed", "cursor=": ok,
		} {
			r.want(list+"?"+query, r.operator("GET", list+"?"+query, ""), want)
		}
	}
	r.want("a cursor of another list", r.operator("GET", letters+"?cursor="+page.Next, ""), "400 bad-cursor")
	r.want("a cursor of another list", r.operator("GET", work+"?cursor="+page.Next, ""), "400 bad-cursor")
	r.want("a cursor of another list", r.operator("GET", events+"?cursor="+page.Next, ""), "400 bad-cursor")
	for query, want := range map[string]string{
		"state=Draft": "422 validation-failed", "state=gone": "422 validation-failed", "state=%00": "422 validation-failed", "outcome=all": "422 validation-failed", "settlement=x": "422 validation-failed",
		"created_after=yesterday": "422 validation-failed", "created_before=2026-13-01T00:00:00Z": "422 validation-failed", "customer=x": "422 validation-failed", "include_deleted=perhaps": "422 validation-failed",
		"q=" + strings.Repeat("q", 65): "422 validation-failed", "payment_reference=" + strings.Repeat("r", 129): "422 validation-failed", "product=" + strings.Repeat("p", 65): "422 validation-failed",
		"q=%00": ok, "q=%ff": ok, "q=a%00b": ok, "q=%25": ok, "q=_": ok, "q=%27": ok, "q=%F4%8F%BF%BF": ok, "q=%5C": ok, "payment_reference=%00": ok, "payment_reference=%ff": ok, "product=%00": ok, "product=nothing": ok,
		"customer=" + theirs.member: ok, "customer=" + noID: ok, "payment_reference=not-ours": ok, "created_before=0000-01-01T00:00:00%2B01:00": ok, "created_after=9999-12-31T23:59:59-01:00": ok, "created_before=1969-12-31T23:59:59Z": ok,
	} {
		w := r.operator("GET", orders+"?include_deleted=true&"+query, "")
		if strings.HasPrefix(query, "include_deleted") {
			w = r.operator("GET", orders+"?"+query, "")
		}
		r.want(orders+"?"+query, w, want)
		if want == ok && !strings.Contains(w.Body.String(), `"data":[]`) {
			r.Errorf("%s finds %s", query, w.Body)
		}
	}
	for _, query := range []string{"created_after=1969-12-31T23:59:59Z", "created_after=0000-01-01T00:00:00%2B01:00", "created_before=9999-12-31T23:59:59-01:00", "created_after=2026-03-02T09:00:00Z"} {
		if w := r.operator("GET", orders+"?"+query, ""); !strings.Contains(w.Body.String(), ours.order) {
			r.Errorf("%s does not find the draft: %d %s", query, w.Code, w.Body)
		}
	}
	r.want("a dead letter's order", r.operator("GET", letters+"?order=x", ""), "422 validation-failed")
	r.want("a dead letter's state", r.operator("GET", letters+"?state=dead", ""), "422 validation-failed")
	if w := r.operator("GET", letters+"?order="+theirs.order, ""); !strings.Contains(w.Body.String(), `"data":[]`) {
		r.Errorf("dead letters of another tenant's order: %d %s", w.Code, w.Body)
	}
	for _, e := range endpoints {
		if !strings.Contains(e.name, "stream") {
			r.want(e.name+"?surprise=1", r.send(r.as(e.may()), e.method(), ours.in(e.path())+"?surprise=1", ours.in(e.body)), "422 validation-failed")
		}
	}
	r.wantSameRows("reading", before)
}
