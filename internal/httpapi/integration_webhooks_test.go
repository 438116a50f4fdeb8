package httpapi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type webhookAnswer struct {
	ID, URL, State string
	Secret         *string
	AlreadyShown   bool `json:"secret_already_shown"`
	Version        int
	Types          []string
	Secrets        []struct {
		ExpiresAt *string `json:"expires_at"`
	}
}

const aWebhook = `{"url":"https://hooks.example.com/x","types":["order.fulfilled","order.created","order.fulfilled"]}`

func TestAWebhooksSecretIsInTheFirstAnswerAndInNoReplay(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	var first, again, rotated webhookAnswer
	w := r.admin("POST", "/v1/webhooks", aWebhook, "Idempotency-Key", "make")
	r.want("create", w, "201")
	r.decode(w, &first)
	if first.Secret == nil || !strings.HasPrefix(*first.Secret, "whsec_") || first.AlreadyShown ||
		w.Header().Get("Location") != "/v1/webhooks/"+first.ID {
		t.Fatalf("create answered %s, Location %s", w.Body, w.Header().Get("Location"))
	}
	if diff := cmp.Diff([]string{"order.created", "order.fulfilled"}, first.Types); diff != "" {
		t.Errorf("types must be distinct and in the order of the lifecycle (-want +got):\n%s", diff)
	}
	w = r.admin("POST", "/v1/webhooks", aWebhook, "Idempotency-Key", "make")
	r.decode(w, &again)
	if w.Code != 201 || w.Header().Get("Idempotent-Replayed") != "true" || again.ID != first.ID || again.Secret != nil ||
		!again.AlreadyShown || strings.Contains(w.Body.String(), *first.Secret) {
		t.Errorf("the replay answered %d %s", w.Code, w.Body)
	}
	for _, target := range []string{"/v1/webhooks", "/v1/webhooks/" + first.ID} {
		if w := r.admin("GET", target, ""); w.Code != 200 || strings.Contains(w.Body.String(), "whsec_") {
			t.Errorf("GET %s: %d %s", target, w.Code, w.Body)
		}
	}
	r.decode(r.admin("POST", "/v1/webhooks/"+first.ID+"/rotate", `{"overlap_hours":2}`, "If-Match", `"1"`), &rotated)
	if rotated.Secret == nil || *rotated.Secret == *first.Secret || rotated.Version != 2 || len(rotated.Secrets) != 2 ||
		rotated.Secrets[1].ExpiresAt == nil {
		t.Errorf("rotate: %+v", rotated)
	}
	for _, s := range []string{*first.Secret, *rotated.Secret} {
		if n := r.count(`SELECT count(*) FROM platforma.idempotency
			WHERE strpos(encode(body, 'escape'), $1) > 0`, strings.TrimPrefix(s, "whsec_")); n != 0 {
			t.Errorf("%d stored answers hold a secret", n)
		}
	}
}

func TestAWebhookIsEditedByVersionAndDeletedOnce(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	var made, changed webhookAnswer
	r.decode(r.admin("POST", "/v1/webhooks", aWebhook), &made)
	at := "/v1/webhooks/" + made.ID
	r.want("without a version", r.admin("PATCH", at, `{"enabled":false}`), "428 version-required")
	r.want("with another's version", r.admin("PATCH", at, `{"enabled":false,"version":7}`), "409 version-conflict")
	r.decode(r.admin("PATCH", at, `{"enabled":false,"types":[],"version":1}`), &changed)
	if changed.State != "disabled" || changed.Version != 2 || len(changed.Types) != 0 || changed.URL != made.URL {
		t.Errorf("changed: %+v", changed)
	}
	before := r.rows()
	r.want("the same again", r.admin("PATCH", at, `{"enabled":false,"version":2}`), "200")
	r.wantSameRows("a change that changes nothing", before)
	for body, want := range map[string]string{
		`{"url":"http://example.com/"}`: "422 validation-failed", `{"url":"https://127.0.0.1/"}`: "422 validation-failed",
		`{"url":"https://10.0.0.1/"}`:                               "422 validation-failed",
		`{"url":"https://a:b@example.com/"}`:                        "422 validation-failed",
		`{"url":"https://example.com/","types":["order.exploded"]}`: "422 validation-failed",
		`{"url":"https://example.com/","secret":"whsec_x"}`:         "422 validation-failed",
		`{"url":"https://example.com/","state":"active"}`:           "422 validation-failed", `{}`: "422 validation-failed",
	} {
		r.want("create "+body, r.admin("POST", "/v1/webhooks", body), want)
	}
	r.want("delete at an older version", r.admin("DELETE", at, "", "If-Match", `"1"`), "412 precondition-failed")
	r.want("delete", r.admin("DELETE", at, "", "If-Match", `"2"`), "200")
	r.want("delete again", r.admin("DELETE", at, ""), "404 not-found")
	r.want("read", r.admin("GET", at, ""), "404 not-found")
}
