package httpkit

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestIdempotencyKeyMayBeBareOrQuoted(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 255)
	for sent, want := range map[string]string{
		"abc": "abc", `"abc"`: "abc", "a-b_c.d~!": "a-b_c.d~!", `"a\"b\\c"`: `a"b\c`, long: long, `"` + long + `"`: long,
		"a\"b": "a\"b", `a\b`: `a\b`,
	} {
		got, err := IdempotencyKey(http.Header{"Idempotency-Key": {sent}})
		if err != nil || got != want {
			t.Errorf("IdempotencyKey(%s) = %q, %v, want %q", sent, got, err, want)
		}
	}
	for _, sent := range []string{
		"", `""`, `"`, `"abc`, `"a"b"`, `"a\"`, `"a\x"`, "a b", `"a b"`, "ü", "a\tb", "a\x7f", strings.Repeat("k", 256),
		`"` + strings.Repeat("k", 256) + `"`,
	} {
		if got, err := IdempotencyKey(http.Header{"Idempotency-Key": {sent}}); err == nil {
			t.Errorf("IdempotencyKey(%q) = %q, want a fault", sent, got)
		}
	}
	if _, err := IdempotencyKey(http.Header{"Idempotency-Key": {"a", "b"}}); err == nil {
		t.Error("two keys are accepted")
	}
	if got, err := IdempotencyKey(http.Header{}); got != "" || err != nil {
		t.Errorf("no header: %q, %v", got, err)
	}
}

func FuzzIdempotencyKeyGivesVisibleASCIIOrAFault(f *testing.F) {
	for _, s := range []string{"abc", `"abc"`, `"a\"b"`, `"\`, "", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		key, err := IdempotencyKey(http.Header{"Idempotency-Key": {sent}})
		if err != nil {
			if key != "" || fault.Of(err) == nil || fault.Of(err).Kind != fault.KindMalformed {
				t.Errorf("IdempotencyKey(%q) = %q, %v", sent, key, err)
			}
			return
		}
		if len(key) < 1 || len(key) > 255 || strings.IndexFunc(key, func(r rune) bool { return r < '!' || r > '~' }) >= 0 {
			t.Errorf("IdempotencyKey(%q) = %q", sent, key)
		}
	})
}

func TestFingerprintDiffersWithEachOfItsParts(t *testing.T) {
	t.Parallel()
	request := func(change func(r *http.Request)) *http.Request {
		r := httptest.NewRequest("POST", "/v1/orders?a=1&b=2", nil)
		r.Header.Set("Content-Type", "application/json")
		change(r)
		return r
	}
	actor := tenant.Actor{Tenant: acme, Member: ana}
	base := Fingerprint(request(func(*http.Request) {}), actor, []byte("{}"))
	if base != Fingerprint(request(func(r *http.Request) { r.URL.RawQuery = "b=2&a=1" }), actor, []byte("{}")) {
		t.Error("the fingerprint depends on the order of the query")
	}
	for name, got := range map[string][32]byte{
		"method":   Fingerprint(request(func(r *http.Request) { r.Method = "PUT" }), actor, []byte("{}")),
		"path":     Fingerprint(request(func(r *http.Request) { r.URL.Path = "/v1/order" }), actor, []byte("{}")),
		"query":    Fingerprint(request(func(r *http.Request) { r.URL.RawQuery = "a=1&b=3" }), actor, []byte("{}")),
		"member":   Fingerprint(request(func(*http.Request) {}), tenant.Actor{Tenant: acme}, []byte("{}")),
		"tenant":   Fingerprint(request(func(*http.Request) {}), tenant.Actor{Member: ana}, []byte("{}")),
		"If-Match": Fingerprint(request(func(r *http.Request) { r.Header.Set("If-Match", `"1"`) }), actor, []byte("{}")),
		"body":     Fingerprint(request(func(*http.Request) {}), actor, []byte("{ }")),
		"a byte moved from the body to the media type": Fingerprint(
			request(func(r *http.Request) { r.Header.Set("Content-Type", "application/json{") }), actor, []byte("}")),
	} {
		if got == base {
			t.Errorf("the fingerprint does not depend on this: %s", name)
		}
	}
}

// issuedSecret is a result with a part that is shown once.
type issuedSecret struct{ Secret string }

func (issuedSecret) Kept() issuedSecret { return issuedSecret{Secret: "(shown before)"} }

func newExchange() Exchange[issuedSecret] {
	return Exchange[issuedSecret]{
		Show: func(r issuedSecret) (app.Answer, error) {
			if r.Secret == "" {
				return app.Answer{}, errors.New("nothing to show")
			}
			return app.Answer{Status: 201, Header: map[string]string{"ETag": `"1"`}, Body: []byte(r.Secret)}, nil
		},
		Refuse: func(err error) (app.Answer, error) { return app.Answer{Status: 409, Body: []byte(err.Error())}, nil },
	}
}

func TestAnswerIsTheResultTheErrorOrTheStoredAnswer(t *testing.T) {
	t.Parallel()
	stored := app.Answer{Status: 202, Header: map[string]string{"ETag": `"7"`}, Body: []byte("first")}
	for name, c := range map[string]struct {
		result issuedSecret
		err    error
		want   app.Answer
	}{
		"result": {issuedSecret{"s"}, nil, app.Answer{
			Status: 201, Header: map[string]string{"ETag": `"1"`}, Body: []byte("s"),
		}},
		"error": {issuedSecret{}, errors.New("no"), app.Answer{Status: 409, Body: []byte("no")}},
		"replay": {issuedSecret{}, &app.Replayed{Answer: stored}, app.Answer{
			Status: 202, Header: map[string]string{"ETag": `"7"`, "Idempotent-Replayed": "true"}, Body: []byte("first"),
		}},
		"replay of an answer without headers": {issuedSecret{}, &app.Replayed{Answer: app.Answer{Status: 204}}, app.Answer{
			Status: 204, Header: map[string]string{"Idempotent-Replayed": "true"},
		}},
		"result that cannot be shown": {issuedSecret{}, nil, app.Answer{Status: 409, Body: []byte("nothing to show")}},
	} {
		got, err := newExchange().Answer(c.result, c.err)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if len(stored.Header) != 1 {
		t.Errorf("the stored answer was changed: %v", stored.Header)
	}
}

func TestStoredAnswerHasNothingThatIsShownOnce(t *testing.T) {
	t.Parallel()
	got, err := newExchange().Encode(issuedSecret{"whsec_1"}, nil)
	if err != nil || string(got.Body) != "(shown before)" {
		t.Errorf("stored %q, %v", got.Body, err)
	}
	if got, err := newExchange().Encode(issuedSecret{"whsec_1"}, errors.New("no")); err != nil || got.Status != 409 {
		t.Errorf("an error is stored as %+v, %v", got, err)
	}
	if got, err := newExchange().Encode("another type", nil); err == nil {
		t.Errorf("a result of another type is stored as %+v", got)
	}
}

func TestWriteAnswerSendsHeadersStatusAndBody(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	WriteAnswer(w, app.Answer{
		Status: 201, Header: map[string]string{"ETag": `"1"`, "Location": "/v1/x"}, Body: []byte("{}"),
	})
	if w.Code != 201 || w.Header().Get("ETag") != `"1"` || w.Header().Get("Location") != "/v1/x" ||
		w.Body.String() != "{}" {
		t.Errorf("sent %d %v %s", w.Code, w.Header(), w.Body)
	}
}
