package httpapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestKeyIsReadBareAndQuotedAndRefusedOtherwise(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 255)
	for sent, want := range map[string]string{
		"abc": "abc", `"abc"`: "abc", "a-b_c.d~!": "a-b_c.d~!", `"a\"b\\c"`: `a"b\c`, long: long, `"` + long + `"`: long, "a\"b": "a\"b", `a\b`: `a\b`,
	} {
		got, err := parseKey(http.Header{"Idempotency-Key": {sent}})
		if err != nil || got != want {
			t.Errorf("parseKey(%s) = %q, %v, want %q", sent, got, err, want)
		}
	}
	for _, sent := range []string{"", `""`, `"`, `"abc`, `"a"b"`, `"a\"`, `"a\x"`, "a b", `"a b"`, "ü", "a\tb", "a\x7f", strings.Repeat("k", 256), `"` + strings.Repeat("k", 256) + `"`} {
		if got, err := parseKey(http.Header{"Idempotency-Key": {sent}}); err == nil {
			t.Errorf("parseKey(%q) = %q, want a fault", sent, got)
		}
	}
	if _, err := parseKey(http.Header{"Idempotency-Key": {"a", "b"}}); err == nil {
		t.Error("two keys were taken")
	}
	if got, err := parseKey(http.Header{}); got != "" || err != nil {
		t.Errorf("no header: %q, %v", got, err)
	}
}

func FuzzParseKeyGivesVisibleASCIIOrAFault(f *testing.F) {
	for _, s := range []string{"abc", `"abc"`, `"a\"b"`, `"\`, "", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		key, err := parseKey(http.Header{"Idempotency-Key": {sent}})
		if err != nil {
			if key != "" || fault.Of(err) == nil || fault.Of(err).Kind != fault.KindMalformed {
				t.Errorf("parseKey(%q) = %q, %v", sent, key, err)
			}
			return
		}
		if len(key) < 1 || len(key) > 255 || strings.IndexFunc(key, func(r rune) bool { return r < '!' || r > '~' }) >= 0 {
			t.Errorf("parseKey(%q) = %q", sent, key)
		}
	})
}

func FuzzParseSeqTakesOneSpellingOfANumber(f *testing.F) {
	for _, s := range []string{"", "0", "12", "007", "-1", "+1", "99999999999999", "1e3", " 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseSeq(s)
		if ok && (n < 0 || s != "" && (s[0] < '0' || s[0] > '9' || len(s) > 1 && s[0] == '0')) {
			t.Errorf("parseSeq(%q) = %d", s, n)
		}
	})
}

func TestRepeatedKeyReplaysTheSameBytesAndSaysSo(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	first := k.do("POST", "/v1/orders", `{"external_id":"a"}`, "Idempotency-Key", "k1")
	k.dossier.Order.Version = 99 // whatever happened since does not matter
	again := k.do("POST", "/v1/orders", `{"external_id":"a"}`, "Idempotency-Key", `"k1"`)
	if first.Code != 201 || again.Code != 201 || first.Body.String() != again.Body.String() {
		t.Errorf("answered %d and %d:\n%s\n%s", first.Code, again.Code, first.Body, again.Body)
	}
	for _, h := range []string{"ETag", "Location", "Content-Type"} {
		if first.Header().Get(h) == "" || first.Header().Get(h) != again.Header().Get(h) {
			t.Errorf("%s: %q and %q", h, first.Header().Get(h), again.Header().Get(h))
		}
	}
	if first.Header().Get("Idempotent-Replayed") != "" || again.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("Idempotent-Replayed: %q and %q", first.Header().Get("Idempotent-Replayed"), again.Header().Get("Idempotent-Replayed"))
	}
	if diff := cmp.Diff([]string{"CreateOrder"}, k.fake.Called()); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestDomainFaultUnderAKeyIsReplayedByteForByte(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	conflict := fault.New(fault.KindConflict, fault.CodeIllegalTransition, "An order that is draft does not take cancel.")
	conflict.Members = map[string]any{"state": "draft", "allowed_actions": []string{"edit"}}
	k.fake.Break("CancelOrder", conflict)
	first := k.do("POST", orderPath+"/cancel", "", "Idempotency-Key", "k2")
	k.fake.Mend("CancelOrder")
	again := k.do("POST", orderPath+"/cancel", "", "Idempotency-Key", "k2")
	k.wantProblem(first, 409, "illegal-transition")
	if again.Code != 409 || first.Body.String() != again.Body.String() || again.Header().Get("Content-Type") != problemJSON || again.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("replayed %d %s:\n%s", again.Code, again.Header().Get("Content-Type"), again.Body)
	}
	if !strings.Contains(first.Body.String(), `"allowed_actions":["edit"]`) {
		t.Errorf("members are missing: %s", first.Body)
	}
}

func TestSameKeyWithAnotherRequestIsRefused(t *testing.T) {
	t.Parallel()
	base := []string{"POST", orderPath + "/cancel", `{"reason":"a"}`, "Idempotency-Key", "k3", "If-Match", `"3"`}
	for name, other := range map[string][]string{
		"body":     {"POST", orderPath + "/cancel", `{"reason": "a"}`, "Idempotency-Key", "k3", "If-Match", `"3"`},
		"path":     {"POST", orderPath + "/hold", `{"reason":"a"}`, "Idempotency-Key", "k3", "If-Match", `"3"`},
		"If-Match": {"POST", orderPath + "/cancel", `{"reason":"a"}`, "Idempotency-Key", "k3", "If-Match", `"4"`},
		"none":     {"POST", orderPath + "/cancel", `{"reason":"a"}`, "Idempotency-Key", "k3"},
		"media":    {"POST", orderPath + "/cancel", `{"reason":"a"}`, "Idempotency-Key", "k3", "If-Match", `"3"`, "Content-Type", "application/json; charset=utf-8"},
	} {
		k := newKit(t)
		k.do(base[0], base[1], base[2], base[3:]...)
		p := k.wantProblem(k.do(other[0], other[1], other[2], other[3:]...), 422, "idempotency-key-reused")
		if p.Code == "" {
			t.Error(name)
		}
	}
}

func TestFingerprintDiffersWithEachOfItsParts(t *testing.T) {
	t.Parallel()
	make := func(change func(r *http.Request)) *http.Request {
		r := httptest.NewRequest("POST", "/v1/orders?a=1&b=2", nil)
		r.Header.Set("Content-Type", "application/json")
		change(r)
		return r
	}
	actor := tenant.Actor{Tenant: tenantA, Member: ana}
	base := fingerprint(make(func(*http.Request) {}), actor, []byte("{}"))
	if base != fingerprint(make(func(r *http.Request) { r.URL.RawQuery = "b=2&a=1" }), actor, []byte("{}")) {
		t.Error("the order of the query counts")
	}
	for name, got := range map[string][32]byte{
		"method": fingerprint(make(func(r *http.Request) { r.Method = "PUT" }), actor, []byte("{}")),
		"path":   fingerprint(make(func(r *http.Request) { r.URL.Path = "/v1/order" }), actor, []byte("{}")),
		"query":  fingerprint(make(func(r *http.Request) { r.URL.RawQuery = "a=1&b=3" }), actor, []byte("{}")),
		"member": fingerprint(make(func(*http.Request) {}), tenant.Actor{Tenant: tenantA}, []byte("{}")),
		"tenant": fingerprint(make(func(*http.Request) {}), tenant.Actor{Member: ana}, []byte("{}")),
		"match":  fingerprint(make(func(r *http.Request) { r.Header.Set("If-Match", `"1"`) }), actor, []byte("{}")),
		"body":   fingerprint(make(func(*http.Request) {}), actor, []byte("{ }")),
		"moved":  fingerprint(make(func(r *http.Request) { r.Header.Set("Content-Type", "application/json{") }), actor, []byte("}")),
	} {
		if got == base {
			t.Errorf("%s does not count", name)
		}
	}
}

func TestInternalErrorUnderAKeyIsNotKept(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.fake.Break("CreateOrder", errors.New("pq: secret"))
	k.wantProblem(k.do("POST", "/v1/orders", `{}`, "Idempotency-Key", "k4"), 500, "internal")
	k.fake.Mend("CreateOrder")
	if w := k.do("POST", "/v1/orders", `{}`, "Idempotency-Key", "k4"); w.Code != 201 || w.Header().Get("Idempotent-Replayed") != "" {
		t.Errorf("the retry answered %d, replayed %q", w.Code, w.Header().Get("Idempotent-Replayed"))
	}
}

func TestKeyInUseTellsWhenToComeBack(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	busy := fault.New(fault.KindConflict, fault.CodeKeyInUse, "Still working.")
	busy.After = 1
	k.fake.Break("CreateOrder", busy)
	w := k.do("POST", "/v1/orders", `{}`)
	k.wantProblem(w, 409, "idempotency-key-in-use")
	if w.Header().Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
}

func TestMalformedKeyIsRefusedAfterTheCallerIsKnownAndBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.wantProblem(k.do("POST", "/v1/orders", `not json`, "Idempotency-Key", "a b"), 400, "idempotency-key-malformed")
	k.wantProblem(k.do("POST", "/v1/orders", `not json`, "Idempotency-Key", "a b", "Authorization", "Bearer wrong"), 401, "unauthenticated")
}
