package httpapi_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestEndpointsListsEveryRouteOfTheDocument(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
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
		t.Errorf("routes that need an API key (-in endpoints +served); add a new one to endpoints:\n%s", diff)
	}
}

func TestBadBodiesAreRefusedWithTheirCodesAndChangeNothing(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	ids := r.seed(r.Tenant.Keys)
	tried := 0
	for _, e := range endpoints {
		if e.body == "" {
			continue
		}
		before := r.rows()
		for _, a := range badBodies(t, e) {
			tried++
			for _, key := range []string{"", `"k1"`} {
				w := r.call(e, r.keyOf(e.leastRole()), ids, a.body, append(a.headers, "Idempotency-Key", key)...)
				if quote := e.name == "POST /v1/quotes"; quote && a.catalogue {
					a.want = "200"
				}
				r.want(e.name+" with "+a.what, w, a.want)
				if a.pointer != nil && !pointsAt(w, ids.in(*a.pointer)) {
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

// pointsAt reports whether a fault in the answer has a pointer.
func pointsAt(w *httptest.ResponseRecorder, pointer string) bool {
	var p struct{ Errors, Faults []struct{ Pointer *string } }
	if json.Unmarshal(w.Body.Bytes(), &p) != nil {
		return false
	}
	return slices.ContainsFunc(append(p.Errors, p.Faults...), func(e struct{ Pointer *string }) bool {
		return e.Pointer != nil && *e.Pointer == pointer
	})
}

func TestPermissionAndIDAreCheckedFirstAndForeignIsTheSameAsAbsent(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	ours, theirs := r.seed(r.Tenant.Keys), r.seed(r.OtherTenant.Keys)
	nothing := idSet{noID, noID, noID, noID, noID, noID, noID}
	before := r.rows()
	foreign := map[string]idSet{
		"another tenant's": theirs,
		"ours under another's": {
			order: theirs.order, item: ours.item, deadLetter: theirs.deadLetter, refund: theirs.refund,
			webhook: theirs.webhook, webhookDelivery: ours.webhookDelivery,
		},
	}
	for _, id := range []string{
		"x", "%00", "%ff%fe", "%7B%7D", strings.Repeat("9", 400), noID + "0", "0190000000007000800000000000dead",
		"{" + noID + "}", "00000000-0000-0000-0000-000000000000", "'%20OR%201=1--",
	} {
		foreign[id] = idSet{id, id, id, id, noID, id, id}
	}
	for _, e := range endpoints {
		for _, role := range tenant.Roles() {
			may := slices.Contains(strings.Fields(e.who), role.String())
			hasID := strings.Contains(e.path(), "{") && !strings.Contains(e.path(), "{product}")
			if may && !hasID {
				continue
			}
			for _, key := range []string{"", "a-key-of-" + role.String()} {
				headers := []string{"Idempotency-Key", key}
				if e.versioned {
					headers = append(headers, "If-Match", `"1"`)
				}
				absent := r.callWith(e, r.keyOf(role), nothing, headers)
				if !may {
					r.want(e.name+" as "+role.String(), absent, "403 forbidden")
					if same := r.callWith(e, r.keyOf(role), ours, headers); withoutID(same) != withoutID(absent) {
						r.Errorf("%s as %s shows what exists:\n%s\n%s", e.name, role, same.Body, absent.Body)
					}
				}
				if !hasID {
					continue
				}
				if may {
					r.want(e.name+" of nothing as "+role.String(), absent, "404 not-found")
				}
				for what, ids := range foreign {
					if got := r.callWith(e, r.keyOf(role), ids, headers); withoutID(got) != withoutID(absent) {
						r.Errorf("%s of %s as %s is not the answer for what is absent:\n%s\n%s", e.name, what,
							role, got.Body, absent.Body)
					}
				}
			}
		}
	}
	r.wantSameRows("what was refused", before)
}

// callWith sends a request with ids in its path and in its body. In the body, malformed ids are replaced by noID.
func (r *integration) callWith(e endpoint, who string, ids idSet, headers []string) *httptest.ResponseRecorder {
	r.Helper()
	body := e.body
	if !json.Valid([]byte(ids.in(body))) || strings.Contains(body, "{order}") && len(ids.order) != 36 ||
		strings.Contains(body, "{item}") && len(ids.item) != 36 {
		valid := ids
		valid.order, valid.item = noID, noID
		body = valid.in(body)
	}
	return r.send(who, e.method(), ids.in(e.path()), ids.in(body), headers...)
}

func TestAnotherCustomersOrderIsAbsentForACustomer(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	mine := r.seed(r.Tenant.Keys)
	o := r.orderOf(r.operator("POST", "/v1/orders", `{"items":[`+theVPS+`]}`)) // the operator's own
	theirs := idSet{
		order: o.ID, item: o.Items[0].ID, deadLetter: mine.deadLetter, refund: mine.refund, member: mine.member,
	}
	nothing := idSet{noID, noID, noID, noID, noID, noID, noID}
	before := r.rows()
	for _, e := range endpoints {
		if !strings.Contains(e.path(), "{order}") || !strings.Contains(e.who, "customer") {
			continue
		}
		got := r.callWith(e, r.keyOf(tenant.Customer), theirs, nil)
		absent := r.callWith(e, r.keyOf(tenant.Customer), nothing, nil)
		r.want(e.name, got, "404 not-found")
		if withoutID(got) != withoutID(absent) {
			r.Errorf("%s shows that the order exists:\n%s\n%s", e.name, got.Body, absent.Body)
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

func TestEveryInvalidKeyGetsTheSame401(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	ids := r.seed(r.Tenant.Keys)
	before := r.rows()
	first := withoutID(r.send("", "GET", "/v1/me", ""))
	try := func(what string, authorization string) {
		t.Helper()
		for _, e := range endpoints {
			w := r.call(e, "", ids, "", "Authorization", authorization, "Idempotency-Key", "k")
			r.want(e.name+" with "+what, w, "401 unauthenticated")
			if got := withoutID(w); got != first {
				r.Errorf("%s with %s answers\n%s\nothers\n%s", e.name, what, got, first)
			}
		}
	}
	right := r.keyOf(tenant.Admin)
	try("no key", "")
	try("a key nobody has", "Bearer pk_nobody_has_this_key_0123456789")
	try("another scheme", "Basic "+right)
	try("a key and more", "Bearer "+right+"x")
	try("half a key", "Bearer "+right[:len(right)-1])
	try("a short one", "Bearer x")
	try("a very long one", "Bearer "+strings.Repeat("k", 600))
	r.Clock.Advance(91 * 24 * time.Hour) // the harness's keys expire after 90 days
	try("a key that has expired", "Bearer "+right)
	r.wantSameRows("requests without a valid key", before)
}

func TestStaleVersionsAndMalformedKeysHaveTheirOwnCodes(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	ids := r.seed(r.Tenant.Keys)
	before := r.rows()
	for _, e := range endpoints {
		who := r.keyOf(e.leastRole())
		if e.keyed {
			for what, key := range map[string]string{
				"a space": "a b", "256 letters": strings.Repeat("k", 256), "an open quote": `"k`, "a control": "a\x01",
				"beyond ASCII": "ključ", "a quote inside": `"a"b"`, "nothing": `""`,
			} {
				r.want(e.name+" with a key with "+what, r.call(e, who, ids, "", "Idempotency-Key", key),
					"400 idempotency-key-malformed")
			}
		}
		if !e.versioned {
			continue
		}
		bare := "{}"
		switch {
		case e.body == "": // only If-Match can have the version
			bare = ""
		case !e.optional: // the other members are required
			bare = strings.Replace(e.body, `"version":1,`, "", 1)
		}
		for what, tag := range map[string]string{"a number": "1", "an open quote": `"1`, "two": `"1", "2"`, "a star": "*"} {
			r.want(e.name+" with If-Match of "+what, r.call(e, who, ids, bare, "If-Match", tag), "400 if-match-malformed")
		}
		for what, tag := range map[string]string{
			"a later version": `"9"`, "an earlier version": `"0"`, "a weak tag": `W/"1"`, "another's tag": `"abc"`,
			"a huge number": `"99999999999999999999"`,
		} {
			r.want(e.name+" with If-Match of "+what, r.call(e, who, ids, bare, "If-Match", tag), "412 precondition-failed")
		}
		if e.body == "" {
			continue
		}
		for _, version := range []string{"0", "9", "4294967297", "9007199254740992"} {
			w := r.call(e, who, ids, strings.Replace(strings.Replace(bare, "{", `{"version":`+version+`,`, 1), ",}", "}", 1))
			r.want(e.name+" with version "+version, w, "409 version-conflict")
			var p struct {
				Current int `json:"current_version"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Current != 1 {
				r.Errorf("%s with version %s does not name the current version: %s", e.name, version, w.Body)
			}
		}
	}
	r.want("PATCH without a version", r.customer("PATCH", "/v1/orders/"+ids.order, `{"external_id":"x"}`),
		"428 version-required")
	r.wantSameRows("what was refused", before)
}

func TestBadQueriesAreRefusedOrFindNothing(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	ours, theirs := r.seed(r.Tenant.Keys), r.seed(r.OtherTenant.Keys)
	var page struct {
		Next string `json:"next_cursor"`
	}
	r.decode(r.operator("GET", "/v1/orders?limit=1&include_deleted=true", ""), &page)
	if page.Next == "" {
		t.Fatal("the first page of one order has no next page")
	}
	before := r.rows()
	const ok = "200"
	orders, deadLetters, work := "/v1/orders", "/v1/dead-letters", "/v1/work-items"
	events := "/v1/orders/" + ours.order + "/events"
	for _, list := range []string{orders, deadLetters, work, events} {
		for query, want := range map[string]string{
			"limit=0": "422 validation-failed", "limit=101": "422 validation-failed", "limit=abc": "422 validation-failed",
			"limit=-1": "422 validation-failed", "limit=1.5": "422 validation-failed",
			"limit=99999999999999999999": "422 validation-failed", "limit=100": ok, "limit=1": ok, "limit=": ok,
			"cursor=garbage": "400 bad-cursor", "cursor=%00": "400 bad-cursor", "cursor=%ff": "400 bad-cursor",
			"cursor=AAAA": "400 bad-cursor", "cursor=-1": "400 bad-cursor",
			"cursor=" + strings.Repeat("A", 600): "422 validation-failed", "tenant_id=x": "422 validation-failed",
			"Limit=1": "422 validation-failed", "cursor=": ok,
		} {
			r.want(list+"?"+query, r.operator("GET", list+"?"+query, ""), want)
		}
	}
	r.want("a cursor of another list", r.operator("GET", deadLetters+"?cursor="+page.Next, ""), "400 bad-cursor")
	r.want("a cursor of another list", r.operator("GET", work+"?cursor="+page.Next, ""), "400 bad-cursor")
	r.want("a cursor of another list", r.operator("GET", events+"?cursor="+page.Next, ""), "400 bad-cursor")
	for query, want := range map[string]string{
		"state=Draft": "422 validation-failed", "state=gone": "422 validation-failed", "state=%00": "422 validation-failed",
		"outcome=all": "422 validation-failed", "settlement=x": "422 validation-failed",
		"created_after=yesterday": "422 validation-failed", "created_before=2026-13-01T00:00:00Z": "422 validation-failed",
		"customer=x": "422 validation-failed", "include_deleted=perhaps": "422 validation-failed",
		"q=" + strings.Repeat("q", 65):                  "422 validation-failed",
		"payment_reference=" + strings.Repeat("r", 129): "422 validation-failed",
		"product=" + strings.Repeat("p", 65):            "422 validation-failed",
		"q=%00":                                         ok, "q=%ff": ok, "q=a%00b": ok, "q=%25": ok, "q=_": ok, "q=%27": ok,
		"q=%F4%8F%BF%BF": ok, "q=%5C": ok,
		"payment_reference=%00": ok, "payment_reference=%ff": ok, "product=%00": ok, "product=nothing": ok,
		"customer=" + theirs.member: ok, "customer=" + noID: ok, "payment_reference=not-ours": ok,
		"created_before=0000-01-01T00:00:00%2B01:00": ok, "created_after=9999-12-31T23:59:59-01:00": ok,
		"created_before=1969-12-31T23:59:59Z": ok,
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
	for _, query := range []string{
		"created_after=1969-12-31T23:59:59Z", "created_after=0000-01-01T00:00:00%2B01:00",
		"created_before=9999-12-31T23:59:59-01:00", "created_after=2026-03-02T09:00:00Z",
	} {
		if w := r.operator("GET", orders+"?"+query, ""); !strings.Contains(w.Body.String(), ours.order) {
			r.Errorf("%s does not find the draft: %d %s", query, w.Code, w.Body)
		}
	}
	r.want("a dead letter's order", r.operator("GET", deadLetters+"?order=x", ""), "422 validation-failed")
	r.want("a dead letter's state", r.operator("GET", deadLetters+"?state=dead", ""), "422 validation-failed")
	if w := r.operator("GET", deadLetters+"?order="+theirs.order, ""); !strings.Contains(w.Body.String(), `"data":[]`) {
		r.Errorf("dead letters of another tenant's order: %d %s", w.Code, w.Body)
	}
	for _, e := range endpoints {
		if !strings.Contains(e.name, "stream") {
			w := r.send(r.keyOf(e.leastRole()), e.method(), ours.in(e.path())+"?surprise=1", ours.in(e.body))
			r.want(e.name+"?surprise=1", w, "422 validation-failed")
		}
	}
	r.wantSameRows("reading", before)
}

func TestAMessageOfAnUnknownPaymentProviderChangesNothing(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	before := r.rows()
	for _, provider := range []string{"nobody", "%00", "demo"} { // this installation has no demo provider
		r.want(provider, r.send("", "POST", "/v1/payments/webhook/"+provider, `{"paid":true}`), "404 not-found")
	}
	w := r.send("", "POST", "/v1/payments/webhook/manual", `{"paid":true}`) // an operator confirms manual payments
	if w.Code < 400 || w.Code >= 500 {
		t.Errorf("a message to the manual provider answered %d %s", w.Code, w.Body)
	}
	r.want("a megabyte", r.send("", "POST", "/v1/payments/webhook/manual", strings.Repeat("a", 1<<20)),
		"413 body-too-large")
	r.wantSameRows("messages of unknown payment providers", before)
}
