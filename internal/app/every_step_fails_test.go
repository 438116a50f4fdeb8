// The saga of every product: each step fails before and after its effect, each call is repeated, and nothing is left.

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

// stepsOf is written by hand: every step of every product, in order of creation.
var stepsOf = map[string][]string{
	"vps":            {"port", "server", "credentials"},
	"kubernetes":     {"network", "control-plane", "workers", "credentials"},
	"database":       {"volume", "instance", "credentials"},
	"gpu":            {"server-group", "nodes", "credentials"},
	"private_cloud":  {"cluster", "storage", "credentials"},
	"object_storage": {"bucket", "credentials"},
}

func TestEveryProductOfTheCatalogueHasItsSagaProven(t *testing.T) {
	t.Parallel()
	proven := map[string]bool{}
	for _, in := range harness.Products() {
		proven[in.Product] = true
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
			t.Errorf("the plan of %s is %v, the proof walks %v", in.Product, steps, stepsOf[in.Product])
		}
	}
	for _, e := range catalog.Default() {
		if strings.Contains(string(e.Body), `"kind": "product"`) || strings.Contains(string(e.Body), `"kind":"product"`) {
			if !proven[e.Name] {
				t.Errorf("product %s has no saga proof", e.Name)
			}
		}
	}
}

// between stands between the engine and the simulated cloud. What is set for an item's label runs when
// a call of that item has had its effect and before its answer is given: what it returns is the answer.
type between struct {
	provider.Provider
	mu    sync.Mutex
	after map[string]spoiler      // by label, guarded by mu
	made  map[provider.Ref]string // label of what was made, guarded by mu
}

// spoiler answers in the place of a call that had its effect; again repeats the call.
type spoiler func(operation, step string, again func() error) error

// Capabilities ask for looks that are further apart: what is seen is the same, sooner.
func (b *between) Capabilities() provider.Capabilities {
	c := b.Provider.Capabilities()
	c.PollEvery = 20 * time.Second
	return c
}

func (b *between) spoil(operation, step, label string, err error, again func() error) error {
	b.mu.Lock()
	after := b.after[label]
	b.mu.Unlock()
	if err != nil || after == nil {
		return err
	}
	return after(operation, step, again)
}

// Observe notes whose resources are seen: credentials are asked for by refs alone.
func (b *between) Observe(ctx context.Context, s provider.Step, r provider.Ref) (provider.Observation, error) {
	o, err := b.Provider.Observe(ctx, s, r)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range o.Matches {
		b.made[m] = s.Spec.Labels["label"]
	}
	return o, err
}

func (b *between) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
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

func (b *between) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	err := b.Provider.Delete(ctx, s, r)
	return b.spoil(sim.OpDelete, s.Name, s.Spec.Labels["label"], err, func() error { return b.Provider.Delete(ctx, s, r) })
}

func (b *between) Credentials(ctx context.Context, refs []provider.Ref) (provider.Secret, error) {
	secret, err := b.Provider.Credentials(ctx, refs)
	b.mu.Lock()
	label := b.made[refs[0]]
	b.mu.Unlock()
	return secret, b.spoil(sim.OpCredentials, "credentials", label, err, func() error {
		secret, err = b.Provider.Credentials(ctx, refs)
		return err
	})
}

// operationOf is the call that does a step.
func operationOf(step string) string {
	if step == "credentials" {
		return sim.OpCredentials
	}
	return sim.OpCreate
}

func refuse() error { return provider.NewError(fault.Invalid, "invalid_input", "not today") }

// proof is one order of a product with one disturbance of one step.
type proof struct {
	step, what string
	script     sim.Fault // when its Kind is set
	spoil      spoiler
	unwinds    bool // else it succeeds all the same
}

func (p proof) label() string { return p.step + ": " + p.what }

// proofs are all disturbances of a step.
func proofs(step string) []proof {
	op := operationOf(step)
	scripted := sim.Fault{Part: step, Operation: op, Kind: sim.Invalid}
	if op == sim.OpCredentials {
		scripted.Part, scripted.Kind = "", sim.Forbidden // no part's: the item's
	}
	lost := scripted
	lost.Kind, lost.Times = sim.LostReply, 1
	once := crashOncePerPart()
	// doing disturbs the step itself, compensating fails it after its effect and disturbs every undo.
	doing := func(f func(again func() error) error) spoiler {
		return func(operation, s string, again func() error) error {
			if operation != op || s != step {
				return nil
			}
			return f(again)
		}
	}
	compensating := func(f func(part string, again func() error) error) spoiler {
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
	return []proof{
		{step: step, what: "refused before its effect", script: scripted, unwinds: true},
		{step: step, what: "answer lost once", script: lost},
		{
			step: step, what: "refused after its effect", spoil: doing(func(func() error) error { return refuse() }),
			unwinds: true,
		},
		{step: step, what: "run twice", spoil: doing(func(again func() error) error { return again() })},
		{step: step, what: "killed after its effect", spoil: doing(func(again func() error) error {
			return once(step, again)
		})},
		{step: step, what: "every undo run twice", spoil: compensating(func(_ string, again func() error) error {
			return again()
		}), unwinds: true},
		{step: step, what: "every undo absent", spoil: compensating(func(string, func() error) error {
			return provider.NewError(fault.NotFound, "not_found", "no such resource")
		}), unwinds: true},
		{step: step, what: "killed after every undo", spoil: compensating(crashOncePerPart()), unwinds: true},
	}
}

// crashOncePerPart kills the process at the first call of each part.
func crashOncePerPart() func(part string, again func() error) error {
	var mu sync.Mutex
	killed := map[string]bool{}
	return func(part string, _ func() error) error {
		mu.Lock()
		first := !killed[part]
		killed[part] = true
		mu.Unlock()
		if first {
			panic(harness.Crash{})
		}
		return nil
	}
}

func TestEverySagaUnwindsFromEveryStepAndSurvivesEveryRepetition(t *testing.T) {
	t.Parallel()
	for _, in := range harness.Products() {
		for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
			if naming == provider.NamingUnique409 && in.Product != "vps" && in.Product != "object_storage" &&
				os.Getenv("PLATFORMA_SOAK") == "" {
				continue // a cloud that makes duplicates is the harder one: every product walks there, and make soak walks both
			}
			t.Run(in.Product+" "+naming.String(), func(t *testing.T) {
				t.Parallel()
				mid := &between{after: map[string]spoiler{}, made: map[provider.Ref]string{}}
				w := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) {
					c.Naming, c.Speed = naming, 60 // a slow cloud proves no more than a quick one
				}), harness.WithProvider(func(p provider.Provider) provider.Provider {
					mid.Provider = p
					return mid
				}))
				orders := map[order.ID]proof{}
				for _, step := range stepsOf[in.Product] {
					for _, p := range proofs(step) {
						if p.script.Kind != "" {
							p.script.Label = p.label()
							w.Sim.Script(p.script)
						}
						mid.after[p.label()] = p.spoil
						orders[w.PaidOrder(harness.Labelled(in, p.label()))] = p
					}
				}
				w.Drain()
				for o, p := range orders {
					if p.unwinds {
						wantUnwound(t, w, o, p)
						continue
					}
					w.WantPicture(o, "fulfilled full settled; "+p.label()+" delivered")
					w.WantLive(p.label(), len(stepsOf[in.Product])-1)
				}
				wantNoDuplicates(t, w, naming)
				w.CheckWorld("I16") // calls are doubled on purpose
			})
		}
	}
}

// wantUnwound looks at an order that failed at a step: there and nowhere else, nothing left, its
// allocation refunded.
func wantUnwound(t *testing.T, w *harness.Harness, o order.ID, p proof) {
	t.Helper()
	agg := w.Get(o)
	it := agg.Order.Items[0]
	r, pay := agg.Order.RefundOf(it.ID), agg.Order.LivePayment()
	if agg.Order.State != order.Failed || agg.Order.Settlement != order.SettlementSettled ||
		it.State != order.ItemRolledBack {
		t.Errorf("%s: got %s, want failed and settled, rolled back", p.label(), w.Picture(o))
	}
	if r == nil || pay == nil || !r.State.Accepted() || r.Cents != pay.Of(it.ID) || r.Cents != pay.Paid {
		t.Errorf("%s: refund %+v of payment %+v, want the whole allocation", p.label(), r, pay)
	}
	w.WantLive(p.label(), 0)
	rec, err := w.UseCases.API.Saga(t.Context(), w.As(tenant.Operator), o)
	if err != nil {
		t.Fatalf("Saga: %v", err)
	}
	var turned []string
	for _, l := range rec.Log {
		if l.What == app.LogCompensating {
			turned = append(turned, l.Step)
		}
	}
	if !slices.Equal(turned, []string{p.step}) {
		t.Errorf("%s: turned back at %v", p.label(), turned)
	}
	if len(agg.DeadLetters) != 0 {
		t.Errorf("%s: dead letters still open: %+v", p.label(), agg.DeadLetters)
	}
}

// wantNoDuplicates counts what was ever made under one key: one, and where names are not unique two at
// most, of which one is left at most.
func wantNoDuplicates(t *testing.T, w *harness.Harness, naming provider.Naming) {
	t.Helper()
	most := 1
	if naming == provider.NamingNone {
		most = 2
	}
	ledger := w.Sim.Ledger()
	ever, left := map[string]int{}, map[string]int{}
	for _, c := range ledger.Log {
		if c.Operation == sim.OpCreate && c.Effect {
			if ever[c.Key] += len(c.IDs); ever[c.Key] == most+1 {
				t.Errorf("%s of %q: %d resources were made under one key, at most %d may be", c.Part, c.Label, ever[c.Key], most)
			}
		}
	}
	for _, r := range ledger.Live {
		if left[r.Name]++; left[r.Name] == 2 {
			t.Errorf("two resources live under %s", r.Name)
		}
	}
}
