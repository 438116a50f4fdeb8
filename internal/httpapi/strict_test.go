package httpapi

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/httpkit"
)

const goodItem = `{"product":"vps","plan":"core","region":"lj-1","billing_cycle":"monthly","configuration":{"os_image":"debian-12"}}`

func TestMalformedJSONIsRefusedBeforeAnyUseCaseIsCalled(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"not JSON":                `hello`,
		"cut off":                 `{"items":[`,
		"two values":              `{} {}`,
		"trailing text":           `{}x`,
		"a member twice":          `{"external_id":"a","external_id":"b"}`,
		"a member twice, deep":    `{"items":[{"product":"vps","region":"lj-1","billing_cycle":"monthly","configuration":{"n":1,"n":1000}}]}`,
		"a member twice, escaped": `{"external_id":"a","external\u005fid":"b"}`,
		"invalid UTF-8":           "{\"external_id\":\"\xff\"}",
		"lone surrogate":          `{"external_id":"\ud800"}`,
		"NUL":                     `{"external_id":"\u0000"}`,
		"NUL in a configuration":  `{"items":[{"product":"vps","region":"lj-1","billing_cycle":"monthly","configuration":{"a":"\u0000"}}]}`,
		"NUL in a name":           `{"a\u0000":1}`,
		"byte order mark":         "\ufeff{}",
		"comment":                 `{/* */}`,
		"NaN":                     `{"version":NaN}`,
		"leading zero":            `{"version":01}`,
		"33 levels":               strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33),
		"9000 brackets":           strings.Repeat("[", 9000),
		"deep in an item":         `{"items":[{"configuration":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}]}`,
		"empty":                   " ",
	} {
		k := newKit(t)
		w := k.do("POST", "/v1/orders", body)
		k.wantProblem(w, 400, "malformed-json")
		if len(k.fake.Called()) != 0 {
			t.Errorf("%s: a use case was called: %v", name, k.fake.Called())
		}
		if w.Body.Len() > 1000 {
			t.Errorf("%s: the answer has %d bytes", name, w.Body.Len())
		}
	}
	k := newKit(t)
	k.wantProblem(k.do("POST", "/v1/orders", "", "Content-Type", "application/json"), 400, "malformed-json")
}

func TestThirtyTwoLevelsAreAccepted(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	deep := strings.Repeat(`{"a":`, 28) + "1" + strings.Repeat("}", 28)
	w := k.do("POST", "/v1/orders",
		`{"items":[{"product":"vps","region":"lj-1","billing_cycle":"monthly","configuration":{"a":`+deep+`}}]}`)
	if w.Code != 201 { // the body, the list, the item and the configuration are four levels
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
}

func TestAllFaultsOfABodyAreReportedAtOnceWithPointers(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	p := k.wantProblem(k.do("POST", "/v1/orders",
		`{"external_id":7,"Items":[],"items":[{"product":"vps","configuration":3,"tenant_id":"x","price":1},null]}`),
		422, "validation-failed")
	var got []string
	for _, e := range p.Errors {
		got = append(got, *e.Pointer+" "+e.Code)
	}
	want := []string{
		"/external_id wrong-type",
		"/items/0/region required", "/items/0/billing_cycle required",
		"/items/0/configuration wrong-type", "/items/0 unknown-member",
		"/items/1 wrong-type",
		" unknown-member",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if len(k.fake.Called()) != 0 {
		t.Errorf("a use case was called: %v", k.fake.Called())
	}
}

func TestMembersOfTheServerCannotBeSent(t *testing.T) {
	t.Parallel()
	for _, member := range []string{
		"id", "tenant_id", "tenant", "number", "state", "outcome", "settlement", "closing", "price", "totals", "paid_at",
		"created_at", "deleted_at", "fx", "payments", "refunds", "version", "External_ID", "ITEMS",
	} {
		k := newKit(t)
		p := k.wantProblem(k.do("POST", "/v1/orders", `{"`+member+`":null}`), 422, "validation-failed")
		if len(p.Errors) != 1 || p.Errors[0].Code != "unknown-member" {
			t.Errorf("%s: errors = %+v", member, p.Errors)
		}
	}
	for _, member := range []string{"state", "price", "progress", "generation", "snapshot", "allocation", "line"} {
		k := newKit(t)
		k.wantProblem(k.do("PATCH", orderPath,
			`{"version":1,"items":[{"product":"vps","region":"a","billing_cycle":"monthly","`+member+`":1}]}`),
			422, "validation-failed")
	}
}

func TestFloatInPlaceOfAnIntegerIsAFault(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]string{
		`{"version":1.0}`: "not-an-integer", `{"version":1e2}`: "not-an-integer", `{"version":"1"}`: "wrong-type",
		`{"version":true}`: "wrong-type",
		`{"version":null}`: "wrong-type", `{"version":-1}`: "out-of-range",
		`{"version":99999999999999999999}`: "out-of-range", `{"version":[1]}`: "wrong-type",
	} {
		k := newKit(t)
		p := k.wantProblem(k.do("POST", orderPath+"/cancel", body), 422, "validation-failed")
		if len(p.Errors) != 1 || p.Errors[0].Code != code || *p.Errors[0].Pointer != "/version" {
			t.Errorf("%s: errors = %+v, want %s at /version", body, p.Errors, code)
		}
	}
}

func TestBodyThatIsNotAnObjectIsAFault(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"null", "[]", `"x"`, "1", "true"} {
		k := newKit(t)
		p := k.wantProblem(k.do("POST", "/v1/orders", body), 422, "validation-failed")
		if len(p.Errors) != 1 || *p.Errors[0].Pointer != "" || p.Errors[0].Code != "wrong-type" {
			t.Errorf("%s: errors = %+v", body, p.Errors)
		}
	}
}

func TestMoreThanAHundredItemsAreRefusedAndAHundredAreNot(t *testing.T) {
	t.Parallel()
	body := func(n int) string {
		return `{"items":[` + strings.TrimSuffix(strings.Repeat(goodItem+",", n), ",") + `]}`
	}
	k := newKit(t)
	if w := k.do("POST", "/v1/orders", body(100)); w.Code != 201 {
		t.Errorf("100 items answered %d: %s", w.Code, w.Body)
	}
	p := k.wantProblem(k.do("POST", "/v1/orders", body(101)), 422, "validation-failed")
	if len(p.Errors) != 1 || p.Errors[0].Code != "too-many-items" || *p.Errors[0].Pointer != "/items" {
		t.Errorf("errors = %+v", p.Errors)
	}
	k.wantProblem(k.do("POST", "/v1/quotes", body(101)), 422, "validation-failed")
}

func TestBodyBeyond64KiBIs413AndExactly64KiBIsRead(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	padded := `{"external_id":"a"` + strings.Repeat(" ", httpkit.MaxBody-len(`{"external_id":"a"}`)) + `}`
	if w := k.do("POST", "/v1/orders", padded); w.Code != 201 {
		t.Errorf("%d bytes answered %d", len(padded), w.Code)
	}
	k.wantProblem(k.do("POST", "/v1/orders", padded+" "), 413, "body-too-large")
	r := httptest.NewRequest("POST", "/v1/orders", strings.NewReader(padded+" ")) // without a Content-Length
	r.ContentLength = -1
	r.Header.Set("Authorization", "Bearer "+rightKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	k.api.ServeHTTP(w, r)
	k.wantProblem(w, 413, "body-too-large")
}

func TestOnlyJSONInUTF8IsAccepted(t *testing.T) {
	t.Parallel()
	for _, media := range []string{
		"", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
		"application/json; charset=latin1", "application/problem+json", "json", "application/json/x",
	} {
		k := newKit(t)
		k.wantProblem(k.do("POST", "/v1/orders", `{}`, "Content-Type", media), 415, "unsupported-media-type")
	}
	for _, media := range []string{
		"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8",
		`application/json; charset="utf-8"`,
	} {
		k := newKit(t)
		if w := k.do("POST", "/v1/orders", `{}`, "Content-Type", media); w.Code != 201 {
			t.Errorf("%s answered %d: %s", media, w.Code, w.Body)
		}
	}
}

func TestNothingThatWasSentIsQuotedBack(t *testing.T) {
	t.Parallel()
	const canary = "CANARY7f3a"
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/orders", `{"` + canary + `":1}`},
		{"POST", "/v1/orders", `{"external_id":{"` + canary + `":"` + canary + `"}}`},
		{"POST", "/v1/orders", `{"items":["` + canary + `"]}`},
		{"POST", "/v1/orders", canary},
		{"GET", "/v1/orders?state=" + canary, ""},
		{"GET", "/v1/orders?" + canary + "=1", ""},
		{"GET", "/v1/orders?limit=" + canary, ""},
		{"GET", "/v1/orders?created_after=" + canary, ""},
		{"GET", "/v1/orders/" + canary, ""},
		{"GET", "/v1/" + canary, ""},
		{"POST", "/v1/quotes", `{"currency":"` + canary + `","items":[]}`},
	} {
		k := newKit(t)
		w := k.do(c.method, c.path, c.body)
		if w.Code < 400 || w.Code >= 500 || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%s %s %s answered %d:\n%s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
}

func TestQueryIsCheckedAsStrictlyAsABody(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"limit=0": "limit", "limit=101": "limit", "limit=1.5": "limit", "limit=-1": "limit", "state=done": "state",
		"outcome=x": "outcome", "settlement=x": "settlement",
		"created_after=yesterday": "created_after", "created_before=2026-13-01T00:00:00Z": "created_before",
		"customer=7": "customer", "include_deleted=perhaps": "include_deleted",
		"q=" + strings.Repeat("a", 65): "q", "cursor=" + strings.Repeat("a", 513): "cursor",
	} {
		k := newKit(t)
		p := k.wantProblem(k.do("GET", "/v1/orders?"+query, ""), 422, "validation-failed")
		if len(p.Errors) != 1 || p.Errors[0].Parameter != want || p.Errors[0].Pointer != nil {
			t.Errorf("%s: errors = %+v", query, p.Errors)
		}
		if len(k.fake.Called()) != 0 {
			t.Errorf("%s: a use case was called", query)
		}
	}
	k := newKit(t)
	p := k.wantProblem(k.do("GET", "/v1/orders?stat=cancelled", ""), 422, "validation-failed")
	if len(p.Errors) != 1 || p.Errors[0].Code != "unknown-parameter" {
		t.Errorf("errors = %+v", p.Errors)
	}
}
