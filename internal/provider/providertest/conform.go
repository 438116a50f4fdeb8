// Package providertest is the conformance suite of provider.Provider. Every adapter runs it in each naming mode
// that it declares, with one subtest for each rule. It must not know an adapter: what differs is in the Fixture.
// It is for tests only.
package providertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Fixture is a new, empty account at a cloud.
type Fixture struct {
	URL  string                             // the address of the cloud's API
	Open func(url string) provider.Provider // returns an adapter that uses this address

	Specs []provider.Spec // one orderable spec per product
	Other provider.Spec   // differs from Specs[0] only in its configuration

	// Advance moves the cloud's clock.
	Advance func(d time.Duration)
	// Live lists the resources with the labels of the key's step, without using the adapter. It includes those
	// that are being deleted.
	Live func(k provider.Key) []provider.Ref
	// Plant makes a resource that is not ours, of the kind that Specs[0]'s first step makes.
	Plant func(name string, labels map[string]string) provider.Ref
	// Exists reports whether a resource exists, without using the adapter.
	Exists func(r provider.Ref) bool

	Refusals []Refusal
}

// Refusal is one code of the API and the class that it must become.
type Refusal struct {
	Name      string
	Operation string // "create", "observe", "delete", "credentials"
	Arrange   func() // makes the next call of the operation be refused with the code
	Want      fault.Class
	After     time.Duration
}

// Run checks an adapter against the contract. It calls fresh once for each subtest.
func Run(t *testing.T, fresh func(t *testing.T) Fixture) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"each product is made, opened with its credentials and removed", lifeOfEachProduct},
		{"nothing is observed where nothing exists", observeNothing},
		{"create twice with one key leaves one resource", createTwice},
		{"concurrent creates with one key leave one resource", createConcurrently},
		{"create whose answer is lost is found by key", loseCreateAnswer},
		{"create whose answer is cut off is found by key", cutCreateAnswer},
		{"delete whose answer is lost is repeated safely", loseDeleteAnswer},
		{"a foreign resource is neither adopted nor deleted", leaveForeignResources},
		{"another generation is listed and not adopted", leaveOtherGeneration},
		{"each code becomes its class", classifyCodes},
		{"every resource is listed for its owner, incomplete ones too", listOwned},
		{"the plan is equal on every call", planEqually},
		{"create sends one mutating request", mutateOnce},
		{"a check lists what can be ordered and changes nothing", checkWithoutEffect},
		{"nothing is sent after the context ended", sendNothingAfterContext},
		{"only Reveal shows a secret", redactSecrets},
		{"an observation has the spec's hash and the key", observeHashAndKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := fresh(t)
			c.run(t, &suite{Fixture: f, p: f.Open(f.URL)})
		})
	}
}

type suite struct {
	Fixture
	p provider.Provider
}

// key returns the key of an item, without a step.
func (s *suite) key(item string, generation int) provider.Key {
	return provider.Key{
		Installation: "conformance", Tenant: "11111111-1111-7111-8111-111111111111",
		Order: "22222222-2222-7222-8222-222222222222", Item: item, Generation: generation,
	}
}

func (s *suite) plan(t *testing.T, spec provider.Spec, item string, generation int) []provider.Step {
	t.Helper()
	steps, err := s.p.Plan(spec, s.key(item, generation))
	if err != nil || len(steps) == 0 {
		t.Fatalf("Plan(%s) = %d steps, %v", spec.Product, len(steps), err)
	}
	return steps
}

// journal keeps the refs that it is given.
type journal struct {
	mu   sync.Mutex
	refs []provider.Ref
}

func (j *journal) Record(_ context.Context, r provider.Ref) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refs = append(j.refs, r)
	return nil
}

func (s *suite) create(t *testing.T, p provider.Provider, step provider.Step) provider.Ref {
	t.Helper()
	j := &journal{}
	r, err := p.Create(t.Context(), step, j)
	if err != nil {
		t.Fatalf("Create(%s) = %v", step.Name, err)
	}
	if r == "" || !slices.Contains(j.refs, r) {
		t.Fatalf("Create(%s) = %q, the journal holds %q", step.Name, r, j.refs)
	}
	return r
}

// until observes a resource until it has the phase, and lets time pass.
func (s *suite) until(t *testing.T, step provider.Step, r provider.Ref, want provider.Phase) provider.Observation {
	t.Helper()
	limit := s.p.Capabilities().CreateTimeout
	var last provider.Observation
	for passed := time.Duration(0); passed <= limit; passed += 10 * time.Second {
		o, err := s.p.Observe(t.Context(), step, r)
		if err != nil {
			t.Fatalf("Observe(%s, %q) = %v", step.Name, r, err)
		}
		if (o.Phase == provider.Absent) != (len(o.Matches) == 0) {
			t.Fatalf("Observe(%s, %q): phase %s with matches %q", step.Name, r, o.Phase, o.Matches)
		}
		if o.Phase == want {
			return o
		}
		last = o
		s.Advance(10 * time.Second)
	}
	t.Fatalf("Observe(%s, %q): phase %s after %s, want %s", step.Name, r, last.Phase, limit, want)
	return last
}

// build creates the resources of all steps, each when the one before is ready.
func (s *suite) build(t *testing.T, steps []provider.Step) []provider.Ref {
	t.Helper()
	var refs []provider.Ref
	for i := range steps {
		steps[i].Needs = slices.Clone(refs)
		r := s.create(t, s.p, steps[i])
		s.until(t, steps[i], r, provider.Ready)
		refs = append(refs, r)
	}
	return refs
}

// clear deletes the resources of all steps by key, the last one first.
func (s *suite) clear(t *testing.T, steps []provider.Step) {
	t.Helper()
	for _, step := range slices.Backward(steps) {
		if err := s.p.Delete(t.Context(), step, ""); err != nil {
			t.Fatalf("Delete(%s) by key = %v", step.Name, err)
		}
		s.until(t, step, "", provider.Absent)
		if live := s.Live(step.Key); len(live) != 0 {
			t.Errorf("after delete of %s by key there are still %q", step.Name, live)
		}
	}
}

func lifeOfEachProduct(t *testing.T, s *suite) {
	for i, spec := range s.Specs {
		steps := s.plan(t, spec, fmt.Sprintf("item-%d", i), 1)
		refs := s.build(t, steps)
		secret, err := s.p.Credentials(t.Context(), refs)
		if err != nil || secret.IsZero() {
			t.Fatalf("Credentials(%s) = %v, empty %t", spec.Product, err, secret.IsZero())
		}
		again, err := s.p.Credentials(t.Context(), refs)
		if err != nil || again.IsZero() {
			t.Errorf("Credentials(%s) again = %v, empty %t", spec.Product, err, again.IsZero())
		}
		for j, step := range slices.Backward(steps) {
			for _, attempt := range []string{"first", "second"} {
				if err := s.p.Delete(t.Context(), step, refs[j]); err != nil {
					t.Fatalf("%s Delete(%s) = %v", attempt, step.Name, err)
				}
			}
			s.until(t, step, refs[j], provider.Absent)
			if err := s.p.Delete(t.Context(), step, refs[j]); err != nil {
				t.Errorf("Delete(%s) of a deleted resource = %v", step.Name, err)
			}
			if live := s.Live(step.Key); len(live) != 0 {
				t.Errorf("after delete of %s there are still %q", step.Name, live)
			}
		}
	}
}

func observeNothing(t *testing.T, s *suite) {
	for i, spec := range s.Specs {
		for _, step := range s.plan(t, spec, fmt.Sprintf("item-%d", i), 1) {
			s.until(t, step, "", provider.Absent)
			if err := s.p.Delete(t.Context(), step, ""); err != nil {
				t.Errorf("Delete(%s) of nothing = %v", step.Name, err)
			}
		}
	}
}

func createTwice(t *testing.T, s *suite) {
	steps := s.plan(t, s.Specs[0], "item", 1)
	first := s.create(t, s.p, steps[0])
	second := s.create(t, s.p, steps[0])
	s.until(t, steps[0], first, provider.Ready)
	third := s.create(t, s.Open(s.URL), steps[0])
	if first != second || first != third {
		t.Errorf("three creates with one key gave %q, %q, %q", first, second, third)
	}
	if diff := cmp.Diff([]provider.Ref{first}, s.Live(steps[0].Key)); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
	s.clear(t, steps[:1])
}

// createConcurrently checks creates of several callers at the same time. If names are unique, eight callers all
// get the same resource. If they are not, there may be a duplicate for each caller, and the caller decides which
// one to keep. Two callers are enough then, because the engine's fence never lets more call at the same time.
func createConcurrently(t *testing.T, s *suite) {
	callers := 8
	if s.p.Capabilities().Naming == provider.NamingNone {
		callers = 2
	}
	steps := s.plan(t, s.Specs[0], "item", 1)
	refs := make([]provider.Ref, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { refs[i], errs[i] = s.p.Create(t.Context(), steps[0], &journal{}) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("concurrent Create = %v", err)
	}
	live := s.Live(steps[0].Key)
	if s.p.Capabilities().Naming != provider.NamingNone {
		slices.Sort(refs)
		if diff := cmp.Diff(live, slices.Compact(refs)); diff != "" || len(live) != 1 {
			t.Errorf("refs (-live +returned):\n%s", diff)
		}
	}
	if len(live) > callers {
		t.Errorf("%d live after %d creates", len(live), callers)
	}
	o := s.until(t, steps[0], "", provider.Ready)
	for _, duplicate := range o.Matches[1:] {
		if err := s.p.Delete(t.Context(), steps[0], duplicate); err != nil {
			t.Fatalf("Delete of a duplicate = %v", err)
		}
		s.until(t, steps[0], duplicate, provider.Absent)
	}
	if diff := cmp.Diff(o.Matches[:1], s.Live(steps[0].Key)); diff != "" {
		t.Errorf("live after the duplicates were deleted (-want +got):\n%s", diff)
	}
	s.clear(t, steps[:1])
}

func planEqually(t *testing.T, s *suite) {
	other := s.Open(s.URL)
	for _, spec := range s.Specs {
		first := s.plan(t, spec, "item", 3)
		second, err := other.Plan(spec, s.key("item", 3))
		if err != nil {
			t.Fatalf("Plan(%s) = %v", spec.Product, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("Plan(%s) differs (-first +second):\n%s", spec.Product, diff)
		}
		names := map[string]bool{}
		weakest := provider.NamingUpsert
		for _, step := range first {
			if step.Key.Step != step.Name || step.Key.Generation != 3 || len(step.Needs) != 0 {
				t.Errorf("Plan(%s): step %q has key %+v and needs %q", spec.Product, step.Name, step.Key, step.Needs)
			}
			names[step.Key.Name()] = true
			weakest = min(weakest, step.Naming)
		}
		if len(names) != len(first) {
			t.Errorf("Plan(%s): %d steps, %d names", spec.Product, len(first), len(names))
		}
		if declared := s.p.Capabilities().Naming; weakest < declared {
			t.Errorf("Plan(%s): a step is %s, the adapter declares %s", spec.Product, weakest, declared)
		}
	}
	_, err := s.p.Plan(provider.Spec{Product: "no-such-product"}, s.key("item", 1))
	if provider.ClassOf(err) != fault.Invalid {
		t.Errorf("Plan(no-such-product) = %v, want class invalid", err)
	}
}

// checkWithoutEffect compares Check with Capabilities: Check must not list a region or a product that the account
// can never build.
func checkWithoutEffect(t *testing.T, s *suite) {
	f := NewForwarder(t, s.URL)
	found, err := s.Open(f.URL).Check(t.Context())
	if err != nil {
		t.Fatalf("Check = %v", err)
	}
	if _, n := f.Requests(); n != 0 {
		t.Errorf("Check sent %d mutating requests, want none", n)
	}
	if len(found.Missing) != 0 {
		t.Errorf("Check of a new account misses %q, want nothing", found.Missing)
	}
	offers := map[string]bool{}
	caps := s.p.Capabilities()
	for _, r := range found.Regions {
		if len(caps.Regions) > 0 && !slices.Contains(caps.Regions, r.Name) {
			t.Errorf("Check lists region %s, which the capabilities do not list", r.Name)
		}
		for _, p := range r.Products {
			offers[p+" in "+r.Name] = true
			if len(caps.Products) > 0 && !slices.Contains(caps.Products, p) {
				t.Errorf("Check lists product %s, which the capabilities do not list", p)
			}
		}
	}
	for _, spec := range s.Specs {
		if !offers[spec.Product+" in "+spec.Region] {
			t.Errorf("Check does not list %s in %s", spec.Product, spec.Region)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.p.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Check after the context ended = %v, want context.Canceled", err)
	}
}

func observeHashAndKey(t *testing.T, s *suite) {
	steps := s.plan(t, s.Specs[0], "item", 1)
	r := s.create(t, s.p, steps[0])
	want, err := s.Specs[0].Hash()
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.p.Observe(t.Context(), steps[0], r)
	if err != nil {
		t.Fatalf("Observe = %v", err)
	}
	if o.Key.Installation != steps[0].Key.Installation || o.Key.Item != steps[0].Key.Item ||
		o.Key.Step != steps[0].Key.Step || o.Key.Generation != steps[0].Key.Generation {
		t.Errorf("Observe by id = key %+v, want %+v", o.Key, steps[0].Key)
	}
	if o.SpecHash != "" && o.SpecHash != want {
		t.Errorf("Observe = hash %s, want %s or none", o.SpecHash, want)
	}
	other, err := s.Other.Hash()
	if err != nil || other == want {
		t.Errorf("the hash of another configuration = %s, %v", other, err)
	}
}
