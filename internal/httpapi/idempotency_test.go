package httpapi

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

func TestRepeatedKeyReplaysTheSameBytesAndMarksThem(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	first := k.do("POST", "/v1/orders", `{"external_id":"a"}`, "Idempotency-Key", "k1")
	k.aggregate.Order.Version = 99 // later changes do not affect the stored answer
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
		t.Errorf("Idempotent-Replayed: %q and %q", first.Header().Get("Idempotent-Replayed"),
			again.Header().Get("Idempotent-Replayed"))
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
	if again.Code != 409 || first.Body.String() != again.Body.String() ||
		again.Header().Get("Content-Type") != httpkit.MediaProblem || again.Header().Get("Idempotent-Replayed") != "true" {
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
		"media": {
			"POST", orderPath + "/cancel", `{"reason":"a"}`, "Idempotency-Key", "k3", "If-Match", `"3"`,
			"Content-Type", "application/json; charset=utf-8",
		},
	} {
		k := newKit(t)
		k.do(base[0], base[1], base[2], base[3:]...)
		p := k.wantProblem(k.do(other[0], other[1], other[2], other[3:]...), 422, "idempotency-key-reused")
		if p.Code == "" {
			t.Error(name)
		}
	}
}

func TestInternalErrorUnderAKeyIsNotStored(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.fake.Break("CreateOrder", errors.New("pq: secret"))
	k.wantProblem(k.do("POST", "/v1/orders", `{}`, "Idempotency-Key", "k4"), 500, "internal")
	k.fake.Mend("CreateOrder")
	if w := k.do("POST", "/v1/orders", `{}`, "Idempotency-Key", "k4"); w.Code != 201 ||
		w.Header().Get("Idempotent-Replayed") != "" {
		t.Errorf("the retry answered %d, replayed %q", w.Code, w.Header().Get("Idempotent-Replayed"))
	}
}

func TestKeyInUseSaysWhenToTryAgain(t *testing.T) {
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

func TestMalformedKeyIsRefusedAfterAuthenticationAndBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.wantProblem(k.do("POST", "/v1/orders", `not json`, "Idempotency-Key", "a b"), 400, "idempotency-key-malformed")
	k.wantProblem(k.do("POST", "/v1/orders", `not json`, "Idempotency-Key", "a b", "Authorization", "Bearer wrong"), 401,
		"unauthenticated")
}
