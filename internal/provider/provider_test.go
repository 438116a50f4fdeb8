package provider_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

func key() provider.Key {
	return provider.Key{Installation: "inst", Tenant: "t", Order: "o", Item: "i", Step: "server", Generation: 1}
}

func TestKeyNameNeverChangesBetweenReleases(t *testing.T) {
	t.Parallel()
	// sha256 over (8-byte big-endian length, bytes) of inst, t, o, i, server, 1; base32, lower case, 20 letters.
	// After a change here, no resource of a running installation could be found.
	if got, want := key().Name(), "pf-kpeht4s7xmqeeupbzshh"; got != want {
		t.Errorf("Name() = %s, want %s", got, want)
	}
}

func TestKeyNameIsAHostNameAndDependsOnEveryField(t *testing.T) {
	t.Parallel()
	format := regexp.MustCompile(`^pf-[a-z2-7]{20}$`)
	variants := []provider.Key{
		key(),
		{Installation: "inst2", Tenant: "t", Order: "o", Item: "i", Step: "server", Generation: 1},
		{Installation: "inst", Tenant: "t2", Order: "o", Item: "i", Step: "server", Generation: 1},
		{Installation: "inst", Tenant: "t", Order: "o2", Item: "i", Step: "server", Generation: 1},
		{Installation: "inst", Tenant: "t", Order: "o", Item: "i2", Step: "server", Generation: 1},
		{Installation: "inst", Tenant: "t", Order: "o", Item: "i", Step: "port", Generation: 1},
		{Installation: "inst", Tenant: "t", Order: "o", Item: "i", Step: "server", Generation: 2},
		// the same letters, divided between the fields in another way
		{Installation: "inst", Tenant: "to", Order: "", Item: "i", Step: "server", Generation: 1},
	}
	seen := map[string]provider.Key{}
	for _, k := range variants {
		name := k.Name()
		if !format.MatchString(name) {
			t.Errorf("Name(%+v) = %s, want the format %s", k, name, format)
		}
		if other, duplicate := seen[name]; duplicate {
			t.Errorf("%+v and %+v have the same name", k, other)
		}
		seen[name] = k
	}
}

func TestLabelsCarryIdsAndAreReadBack(t *testing.T) {
	t.Parallel()
	labels := key().Labels()
	want := map[string]string{"pf-inst": "inst", "pf-item": "i", "pf-step": "server", "pf-gen": "1"}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Errorf("Labels() (-want +got):\n%s", diff)
	}
	got, ours := provider.KeyFromLabels(labels)
	wantKey := provider.Key{Installation: "inst", Item: "i", Step: "server", Generation: 1}
	if diff := cmp.Diff(wantKey, got); diff != "" || !ours {
		t.Errorf("KeyFromLabels, ours %t (-want +got):\n%s", ours, diff)
	}
	for _, missing := range []string{"pf-inst", "pf-item", "pf-step", "pf-gen"} {
		incomplete := key().Labels()
		delete(incomplete, missing)
		if _, ours := provider.KeyFromLabels(incomplete); ours {
			t.Errorf("KeyFromLabels without %s = ours", missing)
		}
	}
}

func TestSpecHashIgnoresHowTheConfigurationIsWritten(t *testing.T) {
	t.Parallel()
	hash := func(configuration string, labels map[string]string) string {
		t.Helper()
		h, err := provider.Spec{
			Product: "vps", Region: "lj-1", Configuration: json.RawMessage(configuration), Labels: labels,
		}.Hash()
		if err != nil {
			t.Fatalf("Hash(%s) = %v", configuration, err)
		}
		return h
	}
	a := hash(`{"os_image":"debian-12","n":[1,2]}`, nil)
	if b := hash(` { "n": [1, 2], "os_image": "debian-12" } `, map[string]string{"label": "web"}); a != b {
		t.Errorf("the same configuration in another notation hashes to %s, want %s", b, a)
	}
	if b := hash(`{"os_image":"debian-12","n":[2,1]}`, nil); a == b {
		t.Error("another configuration has the same hash")
	}
	if hash(`{"n":9007199254740993}`, nil) == hash(`{"n":9007199254740992}`, nil) {
		t.Error("two large numbers have the same hash")
	}
	if _, err := (provider.Spec{Configuration: json.RawMessage(`{`)}).Hash(); err == nil {
		t.Error("Hash of an unreadable configuration did not fail")
	}
}

func TestSecretIsRedactedHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	plain := []byte(`{"kind":"vps","password":"hunter2hunter2"}`)
	s := provider.NewSecret(plain)
	var seen strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%20s", "%T"} {
		fmt.Fprintf(&seen, verb+verb+verb, s, &s, struct{ S, s provider.Secret }{s, s})
	}
	inJSON, err := json.Marshal(map[string]any{"a": s, "b": &s, "c": []provider.Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	seen.Write(inJSON)
	slog.New(slog.NewTextHandler(&seen, nil)).Info("x", "s", s, "p", &s)
	slog.New(slog.NewJSONHandler(&seen, nil)).Info("x", "s", s, "p", &s)
	seen.WriteString(fmt.Errorf("seal %v: %w", s, errors.New("no")).Error())
	for _, part := range []string{"hunter2", "68756e74", "password", "104 117"} {
		if strings.Contains(seen.String(), part) {
			t.Errorf("printed %q", part)
		}
	}
	plain[2] = 'X'
	if got := string(s.Reveal()); got != `{"kind":"vps","password":"hunter2hunter2"}` {
		t.Errorf("Reveal() = %s", got)
	}
	s.Reveal()[0] = 'X'
	if s.Reveal()[0] != '{' || s.IsZero() || !(provider.Secret{}).IsZero() {
		t.Error("Reveal returned the bytes themselves, or IsZero is wrong")
	}
}

func TestErrorsAreScrubbed(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"plain text stays: 12 of 34 used":                 "plain text stays: 12 of 34 used",
		"GET https://admin:s3cret@api.example/v2 failed":  "GET https://[redacted]@api.example/v2 failed",
		"Authorization: Bearer eyJhbGciOi.x.y denied":     "Authorization: Bearer [redacted] denied",
		`{"adminPass": "kT9", "password":"a b c", "x":1}`: `{"adminPass": "kT9", "password":[redacted], "x":1}`,
		"user_token=abc123&next=2":                        "user_token=[redacted]&next=2",
		"api-key: 99 rejected":                            "api-key: [redacted] rejected",
		"two\nlines\x00here":                              "two lines here",
		strings.Repeat("é", 300):                          strings.Repeat("é", 240) + "…",
	} {
		if got := provider.Scrub(given); got != want {
			t.Errorf("Scrub(%q)\n got %q\nwant %q", given, got, want)
		}
	}
	raw := &provider.Error{Class: fault.Invalid, Code: "bad", Detail: "password=hunter2 refused"}
	if got, want := raw.Error(), "provider: invalid (bad): password=[redacted] refused"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestErrorWithoutAClassIsAmbiguous(t *testing.T) {
	t.Parallel()
	wrapped := fmt.Errorf("create server: %w", provider.NewError(fault.Quota, "over", ""))
	for _, c := range []struct {
		err  error
		want fault.Class
	}{{nil, fault.None}, {wrapped, fault.Quota}, {errors.New("what"), fault.Ambiguous}} {
		if got := provider.ClassOf(c.err); got != c.want {
			t.Errorf("ClassOf(%v) = %s, want %s", c.err, got, c.want)
		}
	}
}

func TestQuotaIsExceededOnlyWhereThereIsANeed(t *testing.T) {
	t.Parallel()
	r := provider.QuotaReport{Lines: []provider.QuotaLine{
		{Resource: "vcpu", Used: 6, Limit: 10, Need: 4},
		{Resource: "ram", Used: 6, Limit: 10, Need: 5},
		{Resource: "h100", Used: 9, Limit: 8, Need: 0},
	}}
	if diff := cmp.Diff([]provider.QuotaLine{{Resource: "ram", Used: 6, Limit: 10, Need: 5}}, r.Exceeded()); diff != "" {
		t.Errorf("Exceeded (-want +got):\n%s", diff)
	}
}

func TestNamingIsReadAsItIsPrinted(t *testing.T) {
	t.Parallel()
	for _, n := range []provider.Naming{provider.NamingNone, provider.NamingUnique409, provider.NamingUpsert} {
		if got, ok := provider.ParseNaming(n.String()); got != n || !ok {
			t.Errorf("ParseNaming(%s) = %s, %t", n, got, ok)
		}
	}
	if _, ok := provider.ParseNaming("unique"); ok {
		t.Error("ParseNaming(unique) was accepted")
	}
}
