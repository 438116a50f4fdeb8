package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

func loseCreateAnswer(t *testing.T, s *suite) {
	f := NewForwarder(t, s.URL)
	f.Lose(Mutating)
	findAfterLostAnswer(t, s, s.Open(f.URL))
}

func cutCreateAnswer(t *testing.T, s *suite) {
	f := NewForwarder(t, s.URL)
	f.Halve(Mutating)
	findAfterLostAnswer(t, s, s.Open(f.URL))
}

// findAfterLostAnswer checks that a resource is found by key if the cloud makes it and the answer to p is lost.
func findAfterLostAnswer(t *testing.T, s *suite, p provider.Provider) {
	t.Helper()
	steps := s.plan(t, s.Specs[0], "item", 1)
	_, err := p.Create(t.Context(), steps[0], &journal{})
	if c := provider.ClassOf(err); c != fault.Ambiguous {
		t.Fatalf("Create without an answer = %v, class %s, want ambiguous", err, c)
	}
	found := s.until(t, steps[0], "", provider.Ready)
	adopted := s.create(t, p, steps[0])
	if diff := cmp.Diff([]provider.Ref{adopted}, found.Matches); diff != "" {
		t.Errorf("found by key (-adopted +found):\n%s", diff)
	}
	if diff := cmp.Diff([]provider.Ref{adopted}, s.Live(steps[0].Key)); diff != "" {
		t.Errorf("live (-adopted +live):\n%s", diff)
	}
	s.clear(t, steps[:1])
}

func loseDeleteAnswer(t *testing.T, s *suite) {
	f := NewForwarder(t, s.URL)
	p := s.Open(f.URL)
	steps := s.plan(t, s.Specs[0], "item", 1)
	r := s.create(t, s.p, steps[0])
	s.until(t, steps[0], r, provider.Ready)
	f.Lose(Mutating)
	if err := p.Delete(t.Context(), steps[0], r); provider.ClassOf(err) != fault.Ambiguous {
		t.Errorf("Delete without an answer = %v, want class ambiguous", err)
	}
	if err := p.Delete(t.Context(), steps[0], r); err != nil {
		t.Errorf("Delete again = %v", err)
	}
	s.until(t, steps[0], r, provider.Absent)
}

func leaveForeignResources(t *testing.T, s *suite) {
	steps := s.plan(t, s.Specs[0], "item", 1)
	name := steps[0].Key.Name()
	theirs := steps[0].Key
	theirs.Installation = "somebody-else"
	longerName := s.Plant("x"+name+"x", nil)
	relabelled := s.Plant("x"+name, theirs.Labels())
	ours := s.create(t, s.p, steps[0])
	s.until(t, steps[0], ours, provider.Ready)
	if ours == longerName || ours == relabelled {
		t.Errorf("Create adopted %q, which is not ours", ours)
	}
	s.clear(t, steps[:1])

	second := s.plan(t, s.Specs[0], "item-2", 1)
	sameName := s.Plant(second[0].Key.Name(), map[string]string{provider.LabelItem: "somebody's"})
	r, err := s.p.Create(t.Context(), second[0], &journal{})
	switch {
	case r == sameName:
		t.Errorf("Create adopted %q, which has our name but not our labels", r)
	case err != nil && provider.ClassOf(err) != fault.Invalid:
		t.Errorf("Create under a name that is taken = %v, want class invalid", err)
	case err != nil && s.p.Capabilities().Naming == provider.NamingNone:
		t.Errorf("Create = %v, although names need not be unique", err)
	}
	s.clear(t, second[:1])
	for r := range s.p.ListOwned(t.Context(), provider.Scope{Installation: "conformance"}) {
		t.Errorf("ListOwned lists %q, which is not ours", r.Ref)
	}
	for _, r := range []provider.Ref{longerName, relabelled, sameName} {
		if !s.Exists(r) {
			t.Errorf("foreign resource %q is gone", r)
		}
	}
}

func leaveOtherGeneration(t *testing.T, s *suite) {
	first := s.plan(t, s.Specs[0], "item", 1)
	second := s.plan(t, s.Specs[0], "item", 2)
	stale := s.create(t, s.p, first[0])
	s.until(t, first[0], stale, provider.Ready)
	o := s.until(t, second[0], "", provider.Failed)
	if o.Fault == nil || o.Fault.Code != provider.CodeStaleGeneration || !slices.Equal(o.Matches, []provider.Ref{stale}) {
		t.Errorf("Observe with another generation = %+v", o)
	}
	fresh := s.create(t, s.p, second[0])
	if fresh == stale {
		t.Fatalf("Create adopted %q of another generation", stale)
	}
	o = s.until(t, second[0], "", provider.Ready)
	if diff := cmp.Diff([]provider.Ref{fresh, stale}, o.Matches); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
	s.clear(t, second[:1]) // by key, so every generation
	if s.Exists(stale) {
		t.Errorf("Delete by key left %q of another generation", stale)
	}
}

func classifyCodes(t *testing.T, s *suite) {
	spec := s.Specs[0]
	for i, c := range s.Refusals {
		steps := s.plan(t, spec, fmt.Sprintf("item-%d", i), 1)
		var refs []provider.Ref
		if c.Operation != "create" {
			refs = s.build(t, steps)
		}
		c.Arrange()
		err := s.call(t.Context(), c.Operation, steps, refs)
		if got := provider.ClassOf(err); got != c.Want {
			t.Errorf("%s: %s = %v, class %s, want %s", c.Name, c.Operation, err, got, c.Want)
		}
		if e := provider.AsError(err); e != nil && e.After != c.After {
			t.Errorf("%s: wait of %s, want %s", c.Name, e.After, c.After)
		}
		s.clear(t, steps)
	}
}

func (s *suite) call(ctx context.Context, operation string, steps []provider.Step, refs []provider.Ref) error {
	last := len(steps) - 1
	switch operation {
	case "create":
		_, err := s.p.Create(ctx, steps[0], &journal{})
		return err
	case "observe":
		o, err := s.p.Observe(ctx, steps[last], refs[last])
		if err == nil && o.Phase == provider.Absent {
			return provider.NewError(fault.NotFound, "absent", "")
		}
		return err
	case "delete":
		return s.p.Delete(ctx, steps[last], refs[last])
	default:
		_, err := s.p.Credentials(ctx, refs)
		return err
	}
}

// listOwned checks that each resource is listed from the moment that its create is accepted, with its key.
func listOwned(t *testing.T, s *suite) {
	want := map[provider.Ref]provider.Key{}
	for i, spec := range s.Specs {
		var refs []provider.Ref
		for _, step := range s.plan(t, spec, fmt.Sprintf("item-%d", i), 2) {
			step.Needs = slices.Clone(refs)
			r := s.create(t, s.p, step)
			want[r] = step.Key
			if got := s.listed(t); !cmp.Equal(got[r], step.Key) {
				t.Errorf("ListOwned while %s is being made: %+v, want %+v", step.Name, got[r], step.Key)
			}
			s.until(t, step, r, provider.Ready)
			refs = append(refs, r)
		}
	}
	if diff := cmp.Diff(want, s.listed(t)); diff != "" {
		t.Errorf("ListOwned (-want +got):\n%s", diff)
	}
	for o := range s.p.ListOwned(t.Context(), provider.Scope{Installation: "conform"}) {
		t.Errorf("ListOwned of another installation lists %q", o.Ref)
	}
}

// listed returns what ListOwned lists. It fills in Tenant and Order, which an adapter need not know.
func (s *suite) listed(t *testing.T) map[provider.Ref]provider.Key {
	t.Helper()
	found := map[provider.Ref]provider.Key{}
	for o, err := range s.p.ListOwned(t.Context(), provider.Scope{Installation: "conformance"}) {
		if err != nil {
			t.Fatalf("ListOwned = %v", err)
		}
		if o.CreatedAt.IsZero() || o.Kind == "" {
			t.Errorf("ListOwned: %q has kind %q and was created at %s", o.Ref, o.Kind, o.CreatedAt)
		}
		full := s.key(o.Key.Item, o.Key.Generation).WithStep(o.Key.Step)
		full.Installation = o.Key.Installation
		if o.Key.Tenant == "" {
			o.Key.Tenant, o.Key.Order = full.Tenant, full.Order
		}
		found[o.Ref] = o.Key
	}
	return found
}

func mutateOnce(t *testing.T, s *suite) {
	f := NewForwarder(t, s.URL)
	p := s.Open(f.URL)
	for i, spec := range s.Specs {
		var refs []provider.Ref
		for _, step := range s.plan(t, spec, fmt.Sprintf("item-%d", i), 1) {
			step.Needs = slices.Clone(refs)
			_, before := f.Requests()
			r := s.create(t, p, step)
			_, after := f.Requests()
			if after-before != 1 {
				t.Errorf("Create(%s) sent %d mutating requests, want 1", step.Name, after-before)
			}
			s.create(t, p, step)
			if _, again := f.Requests(); again != after {
				t.Errorf("Create(%s) of an existing resource sent %d mutating requests, want 0", step.Name, again-after)
			}
			s.until(t, step, r, provider.Ready)
			if _, reads := f.Requests(); reads != after {
				t.Errorf("reading %s sent %d mutating requests", step.Name, reads-after)
			}
			refs = append(refs, r)
		}
	}
}

func sendNothingAfterContext(t *testing.T, s *suite) {
	f := NewForwarder(t, s.URL)
	p := s.Open(f.URL)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	steps := s.plan(t, s.Specs[0], "item", 1)
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	_, err := p.Create(ctx, steps[0], &journal{})
	add(err)
	_, err = p.Observe(ctx, steps[0], "")
	add(err)
	_, err = p.Observe(ctx, steps[0], "some-id")
	add(err)
	add(p.Delete(ctx, steps[0], ""))
	add(p.Delete(ctx, steps[0], "some-id"))
	_, err = p.Credentials(ctx, []provider.Ref{"some-id"})
	add(err)
	_, err = p.Validate(ctx, s.Specs[0])
	add(err)
	_, err = p.Quota(ctx, s.Specs)
	add(err)
	for _, err := range p.ListOwned(ctx, provider.Scope{Installation: "conformance"}) {
		add(err)
	}
	for i, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d after the context ended = %v, want context canceled", i, err)
		}
	}
	if n, _ := f.Requests(); n != 0 {
		t.Errorf("%d requests were sent after the context ended", n)
	}
}

// redactSecrets prints each secret and the errors about it in every way, and searches the text for its values.
func redactSecrets(t *testing.T, s *suite) {
	f := NewForwarder(t, s.URL)
	p := s.Open(f.URL)
	for i, spec := range s.Specs {
		steps := s.plan(t, spec, fmt.Sprintf("item-%d", i), 1)
		refs := s.build(t, steps)
		secret, err := p.Credentials(t.Context(), refs)
		if err != nil {
			t.Fatalf("Credentials(%s) = %v", spec.Product, err)
		}
		var doc map[string]any
		if err := json.Unmarshal(secret.Reveal(), &doc); err != nil {
			t.Fatalf("the secret of %s is not a JSON object: %v", spec.Product, err)
		}
		if kind, _ := doc["kind"].(string); kind == "" {
			t.Errorf("the secret of %s has no kind", spec.Product)
		}
		var printed strings.Builder
		marshalled, err := json.Marshal(map[string]any{"secret": secret})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&printed, "%v %+v %#v %s %q %x %d %s", secret, secret, secret, secret, secret, secret, secret, marshalled)
		slog.New(slog.NewTextHandler(&printed, nil)).Info("made", "secret", secret)
		f.Halve(func(*http.Request) bool { return true })
		_, err = p.Credentials(t.Context(), refs)
		if err == nil {
			t.Errorf("Credentials(%s) with half an answer did not fail", spec.Product)
		}
		fmt.Fprintf(&printed, "%v %+v", err, err)
		for o, err := range p.ListOwned(t.Context(), provider.Scope{Installation: "conformance"}) {
			fmt.Fprintf(&printed, "%+v %v", o, err)
		}
		for _, value := range values(doc) {
			if strings.Contains(printed.String(), value) {
				t.Errorf("a value of %s's secret (%d characters) was printed", spec.Product, len(value))
			}
		}
	}
}

// values returns the strings of a document that could give access, which are those of 16 bytes or more.
func values(v any) []string {
	var found []string
	switch v := v.(type) {
	case string:
		if len(v) >= 16 {
			found = append(found, v)
		}
	case []any:
		for _, e := range v {
			found = append(found, values(e)...)
		}
	case map[string]any:
		for _, e := range v {
			found = append(found, values(e)...)
		}
	}
	return found
}
