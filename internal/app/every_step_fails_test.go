// Tests of the saga of every product: each step fails before and after its effect, each call is repeated, and no
// resource is left behind.

package app_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// stepsOf lists every step of every product in the order of creation. It is written by hand.
var stepsOf = map[string][]string{
	"vps":            {"port", "server", "credentials"},
	"kubernetes":     {"network", "control-plane", "workers", "credentials"},
	"database":       {"volume", "instance", "credentials"},
	"gpu":            {"server-group", "nodes", "credentials"},
	"private_cloud":  {"cluster", "storage", "credentials"},
	"object_storage": {"bucket", "credentials"},
}

func TestEveryProductOfTheCatalogueHasASagaTest(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, in := range harness.Products() {
		tested[in.Product] = true
		adapter, err := sim.New(sim.ProviderConfig{URL: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := adapter.Plan(provider.Spec{
			Product: in.Product, Plan: in.Plan, Region: in.Region,
			Configuration: in.Configuration,
		}, provider.Key{})
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for _, s := range plan {
			steps = append(steps, s.Name)
		}
		if steps = append(steps, "credentials"); !slices.Equal(steps, stepsOf[in.Product]) {
			t.Errorf("the plan of %s is %v, the test expects %v", in.Product, steps, stepsOf[in.Product])
		}
	}
	for _, e := range catalog.Default() {
		product := strings.Contains(strings.ReplaceAll(string(e.Body), " ", ""), `"kind":"product"`)
		if product && !tested[e.Name] {
			t.Errorf("product %s has no saga test", e.Name)
		}
	}
}

// disturbedCloud wraps the simulated cloud. The spoiler of an item's label runs after a call of that item had its
// effect, and replaces the answer of the call.
type disturbedCloud struct {
	provider.Provider
	mu       sync.Mutex
	spoilers map[string]spoiler      // by label; guarded by mu
	labels   map[provider.Ref]string // of the resources that were seen; guarded by mu
}

// spoiler answers in place of a call that had its effect. again repeats the call.
type spoiler func(operation, step string, again func() error) error

// Capabilities asks for fewer polls, so that the test takes less time.
func (b *disturbedCloud) Capabilities() provider.Capabilities {
	c := b.Provider.Capabilities()
	c.PollEvery = 20 * time.Second
	return c
}

func (b *disturbedCloud) spoil(operation, step, label string, err error, again func() error) error {
	b.mu.Lock()
	after := b.spoilers[label]
	b.mu.Unlock()
	if err != nil || after == nil {
		return err
	}
	return after(operation, step, again)
}

// Observe notes the label of each resource, because Credentials gets only refs.
func (b *disturbedCloud) Observe(ctx context.Context, s provider.Step, r provider.Ref) (provider.Observation, error) {
	o, err := b.Provider.Observe(ctx, s, r)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range o.Matches {
		b.labels[m] = s.Spec.Labels["label"]
	}
	return o, err
}

func (b *disturbedCloud) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	ref, err := b.Provider.Create(ctx, s, j)
	err = b.spoil(sim.OpCreate, s.Name, s.Spec.Labels["label"], err, func() error {
		ref, err = b.Provider.Create(ctx, s, j)
		return err
	})
	if err != nil {
		return "", err
	}
	return ref, nil
}

func (b *disturbedCloud) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	err := b.Provider.Delete(ctx, s, r)
	return b.spoil(sim.OpDelete, s.Name, s.Spec.Labels["label"], err, func() error { return b.Provider.Delete(ctx, s, r) })
}

func (b *disturbedCloud) Credentials(ctx context.Context, refs []provider.Ref) (provider.Secret, error) {
	secret, err := b.Provider.Credentials(ctx, refs)
	b.mu.Lock()
	label := b.labels[refs[0]]
	b.mu.Unlock()
	return secret, b.spoil(sim.OpCredentials, "credentials", label, err, func() error {
		secret, err = b.Provider.Credentials(ctx, refs)
		return err
	})
}

// operationOf returns the operation of the call that does a step.
func operationOf(step string) string {
	if step == "credentials" {
		return sim.OpCredentials
	}
	return sim.OpCreate
}

func refuse() error { return provider.NewError(fault.Invalid, "invalid_input", "not today") }

// disturbance is one fault at one step of a product's saga. Each gets an order of its own.
type disturbance struct {
	step, what  string
	script      sim.Fault // used when its Kind is set
	spoil       spoiler
	compensates bool // otherwise the order succeeds in spite of the fault
}

func (p disturbance) label() string { return p.step + ": " + p.what }

// disturbances returns all disturbances of a step.
func disturbances(step string) []disturbance {
	op := operationOf(step)
	scripted := sim.Fault{Step: step, Operation: op, Kind: sim.Invalid}
	if op == sim.OpCredentials {
		scripted.Step, scripted.Kind = "", sim.Forbidden // the credentials belong to the item, not to one resource
	}
	lost := scripted
	lost.Kind, lost.Times = sim.LostReply, 1
	once := crashOncePerStep()
	// doing disturbs the step itself. compensating fails the step after its effect and disturbs every delete.
	doing := func(f func(again func() error) error) spoiler {
		return func(operation, s string, again func() error) error {
			if operation != op || s != step {
				return nil
			}
			return f(again)
		}
	}
	compensating := func(f func(step string, again func() error) error) spoiler {
		return func(operation, s string, again func() error) error {
			switch {
			case operation == op && s == step:
				return refuse()
			case operation == sim.OpDelete:
				return f(s, again)
			}
			return nil
		}
	}
	return []disturbance{
		{step: step, what: "refused before its effect", script: scripted, compensates: true},
		{step: step, what: "answer lost once", script: lost},
		{
			step: step, what: "refused after its effect", spoil: doing(func(func() error) error { return refuse() }),
			compensates: true,
		},
		{step: step, what: "run twice", spoil: doing(func(again func() error) error { return again() })},
		{step: step, what: "killed after its effect", spoil: doing(func(again func() error) error {
			return once(step, again)
		})},
		{step: step, what: "every delete run twice", spoil: compensating(func(_ string, again func() error) error {
			return again()
		}), compensates: true},
		{step: step, what: "every delete answered not found", spoil: compensating(func(string, func() error) error {
			return provider.NewError(fault.NotFound, "not_found", "no such resource")
		}), compensates: true},
		{step: step, what: "killed after every delete", spoil: compensating(crashOncePerStep()), compensates: true},
	}
}

// crashOncePerStep kills the process at the first call of each step.
func crashOncePerStep() func(step string, again func() error) error {
	var mu sync.Mutex
	killed := map[string]bool{}
	return func(step string, _ func() error) error {
		mu.Lock()
		first := !killed[step]
		killed[step] = true
		mu.Unlock()
		if first {
			panic(harness.Crash{})
		}
		return nil
	}
}

func TestEverySagaCompensatesFromEveryStepAndSurvivesEveryRepetition(t *testing.T) {
	t.Parallel()
	for _, in := range harness.Products() {
		for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
			if naming == provider.NamingUnique409 && in.Product != "vps" && in.Product != "object_storage" &&
				os.Getenv("PLATFORMA_SOAK") == "" {
				continue // a cloud that allows duplicates is harder, so every product is tested there; make soak tests both
			}
			t.Run(in.Product+" "+naming.String(), func(t *testing.T) {
				t.Parallel()
				mid := &disturbedCloud{spoilers: map[string]spoiler{}, labels: map[provider.Ref]string{}}
				h := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) {
					c.Naming, c.Speed = naming, 60 // the speed of the cloud does not matter here
				}), harness.WithProvider(func(p provider.Provider) provider.Provider {
					mid.Provider = p
					return mid
				}))
				orders := map[order.ID]disturbance{}
				for _, step := range stepsOf[in.Product] {
					for _, p := range disturbances(step) {
						if p.script.Kind != "" {
							p.script.Label = p.label()
							h.Sim.Script(p.script)
						}
						mid.spoilers[p.label()] = p.spoil
						orders[h.PaidOrder(harness.Labelled(in, p.label()))] = p
					}
				}
				h.Drain()
				for o, p := range orders {
					if p.compensates {
						wantCompensated(t, h, o, p)
						continue
					}
					h.WantSummary(o, "fulfilled full settled; "+p.label()+" delivered")
					h.WantLiveResources(p.label(), len(stepsOf[in.Product])-1)
				}
				wantNoDuplicates(t, h, naming)
				h.CheckInvariants("I16") // calls are repeated on purpose
			})
		}
	}
}

// wantCompensated checks an order that failed at a step: its compensation began there, no resource is left, and the
// whole allocation is refunded.
func wantCompensated(t *testing.T, h *harness.Harness, o order.ID, p disturbance) {
	t.Helper()
	agg := h.Order(o)
	it := agg.Order.Items[0]
	r, pay := agg.Order.RefundOf(it.ID), agg.Order.LivePayment()
	if agg.Order.State != order.Failed || agg.Order.Settlement != order.SettlementSettled ||
		it.State != order.ItemRolledBack {
		t.Errorf("%s: got %s, want failed and settled, rolled back", p.label(), h.Summary(o))
	}
	if r == nil || pay == nil || !r.State.Accepted() || r.Cents != pay.ShareOf(it.ID) || r.Cents != pay.Paid {
		t.Errorf("%s: refund %+v of payment %+v, want the whole allocation", p.label(), r, pay)
	}
	h.WantLiveResources(p.label(), 0)
	rec, err := h.UseCases.API.Saga(t.Context(), h.As(tenant.Operator), o)
	if err != nil {
		t.Fatalf("Saga: %v", err)
	}
	var began []string
	for _, l := range rec.Log {
		if l.What == app.LogCompensating {
			began = append(began, l.Step)
		}
	}
	if !slices.Equal(began, []string{p.step}) {
		t.Errorf("%s: compensation began at %v", p.label(), began)
	}
	if len(agg.DeadLetters) != 0 {
		t.Errorf("%s: dead letters are still open: %+v", p.label(), agg.DeadLetters)
	}
}

// wantNoDuplicates checks that at most one resource was ever created under one key, or at most two where names are not
// unique, and that at most one is left.
func wantNoDuplicates(t *testing.T, h *harness.Harness, naming provider.Naming) {
	t.Helper()
	most := 1
	if naming == provider.NamingNone {
		most = 2
	}
	ledger := h.Sim.Ledger()
	created, live := map[string]int{}, map[string]int{}
	for _, c := range ledger.Log {
		if c.Operation == sim.OpCreate && c.Effect {
			if created[c.Key] += len(c.IDs); created[c.Key] == most+1 {
				t.Errorf("%s of %q: %d resources were created under one key, at most %d may be", c.Step, c.Label,
					created[c.Key], most)
			}
		}
	}
	for _, r := range ledger.Live {
		if live[r.Name]++; live[r.Name] == 2 {
			t.Errorf("two resources live under %s", r.Name)
		}
	}
}
