package sim_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
)

// testCloud is a running cloud with an adapter.
type testCloud struct {
	*simtest.Sim
	t *testing.T
	p *sim.Provider
}

func newTestCloud(t *testing.T, modify func(*sim.ServerConfig)) *testCloud {
	t.Helper()
	s := simtest.Start(t, simtest.Options{Modify: modify})
	return &testCloud{Sim: s, t: t, p: s.Provider()}
}

func withNaming(n provider.Naming) func(*sim.ServerConfig) {
	return func(c *sim.ServerConfig) { c.Naming = n }
}

// steps returns the plan of an item.
func (b *testCloud) steps(spec provider.Spec, item string) []provider.Step {
	b.t.Helper()
	steps, err := b.p.Plan(spec, provider.Key{
		Installation: "inst", Tenant: "ten", Order: "ord", Item: item, Generation: 1,
	})
	if err != nil {
		b.t.Fatalf("Plan(%s) = %v", spec.Product, err)
	}
	return steps
}

func (b *testCloud) create(s provider.Step) provider.Ref {
	b.t.Helper()
	r, err := b.p.Create(b.t.Context(), s, nil)
	if err != nil {
		b.t.Fatalf("Create(%s) = %v", s.Name, err)
	}
	return r
}

func (b *testCloud) observe(s provider.Step, r provider.Ref) provider.Observation {
	b.t.Helper()
	o, err := b.p.Observe(b.t.Context(), s, r)
	if err != nil {
		b.t.Fatalf("Observe(%s, %q) = %v", s.Name, r, err)
	}
	return o
}

func (b *testCloud) wantPhase(s provider.Step, r provider.Ref, want provider.Phase) provider.Observation {
	b.t.Helper()
	o := b.observe(s, r)
	if o.Phase != want {
		b.t.Fatalf("Observe(%s, %q) = phase %s, want %s", s.Name, r, o.Phase, want)
	}
	return o
}

// build creates the resources of all steps of an item.
func (b *testCloud) build(spec provider.Spec, item string) ([]provider.Step, []provider.Ref) {
	b.t.Helper()
	steps := b.steps(spec, item)
	var refs []provider.Ref
	for i := range steps {
		steps[i].Needs = append([]provider.Ref(nil), refs...)
		refs = append(refs, b.create(steps[i]))
		b.Advance(time.Hour)
		b.wantPhase(steps[i], refs[i], provider.Ready)
	}
	return steps, refs
}

func (b *testCloud) secret(refs []provider.Ref) map[string]any {
	b.t.Helper()
	s, err := b.p.Credentials(context.Background(), refs)
	if err != nil {
		b.t.Fatalf("Credentials(%q) = %v", refs, err)
	}
	var doc map[string]any
	if err := json.Unmarshal(s.Reveal(), &doc); err != nil {
		b.t.Fatalf("read secret: %v", err)
	}
	return doc
}

func vps() provider.Spec      { return specs()[0] }
func database() provider.Spec { return specs()[2] }
func gpu() provider.Spec      { return specs()[3] }
