package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/world"
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
	for _, in := range world.Products() {
		proven[in.Product] = true
		adapter, err := sim.New(sim.ProviderConfig{URL: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := adapter.Plan(provider.Spec{Product: in.Product, Plan: in.Plan, Region: in.Region, Configuration: in.Configuration}, provider.Key{})
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for _, s := range plan {
			steps = append(steps, s.Part)
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

// between stands between the engine and the simulated cloud. after runs when a call has had its
// effect and before its answer is given: what it returns replaces the answer.
type between struct {
	provider.Provider
	mu    sync.Mutex
	after func(operation, part, label string, again func() error) error // guarded by mu
}

func (b *between) set(after func(operation, part, label string, again func() error) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.after = after
}

func (b *between) spoil(operation, part, label string, err error, again func() error) error {
	b.mu.Lock()
	after := b.after
	b.mu.Unlock()
	if err != nil || after == nil {
		return err
	}
	return after(operation, part, label, again)
}

// Capabilities ask for looks that are further apart: what is seen is the same, sooner.
func (b *between) Capabilities() provider.Capabilities {
	c := b.Provider.Capabilities()
	c.PollEvery = 20 * time.Second
	return c
}

func (b *between) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	ref, err := b.Provider.Create(ctx, s, j)
	err = b.spoil(sim.OpCreate, s.Part, s.Spec.Labels["label"], err, func() error { ref, err = b.Provider.Create(ctx, s, j); return err })
	if err != nil {
		return "", err
	}
	return ref, nil
}

func (b *between) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	err := b.Provider.Delete(ctx, s, r)
	return b.spoil(sim.OpDelete, s.Part, s.Spec.Labels["label"], err, func() error { return b.Provider.Delete(ctx, s, r) })
}

func (b *between) Credentials(ctx context.Context, refs []provider.Ref) (provider.Secret, error) {
	secret, err := b.Provider.Credentials(ctx, refs)
	return secret, b.spoil(sim.OpCredentials, "credentials", "", err, func() error { secret, err = b.Provider.Credentials(ctx, refs); return err })
}

// operationOf is the call that does a step.
func operationOf(step string) string {
	if step == "credentials" {
		return sim.OpCredentials
	}
	return sim.OpCreate
}

// times lets a spoiler act on the first n calls only; 0 is always.
func times(n int, f func() error) func() error {
	var mu sync.Mutex
	done := 0
	return func() error {
		mu.Lock()
		done++
		over := n > 0 && done > n
		mu.Unlock()
		if over {
			return nil
		}
		return f()
	}
}

// saga is a world for the proof of one product in one naming mode.
type saga struct {
	*world.World
	t      *testing.T
	naming provider.Naming
	in     app.ItemInput
	mid    *between
	n      int
}

func newSaga(t *testing.T, in app.ItemInput, naming provider.Naming) *saga {
	s := &saga{t: t, naming: naming, in: in, mid: &between{}}
	s.World = world.New(t, world.WithSim(func(c *sim.ServerConfig) {
		c.Naming, c.Speed = naming, 60 // a slow cloud proves no more than a quick one
	}), world.WithProvider(func(p provider.Provider) provider.Provider {
		s.mid.Provider = p
		return s.mid
	}))
	return s
}

// play takes one order of the product to its end and hands over what to look at.
func (s *saga) play() (o order.ID, label string) {
	s.t.Helper()
	s.n++
	label = fmt.Sprintf("%s %d", s.in.Product, s.n)
	o = s.PaidOrder(world.Labelled(s.in, label))
	s.Settle(o)
	s.mid.set(nil)
	s.Sim.ClearFaults()
	return o, label
}

// wantBuilt looks at an order that succeeded.
func (s *saga) wantBuilt(o order.ID, label string) {
	s.t.Helper()
	s.WantPicture(o, "fulfilled full settled; "+label+" delivered")
	s.WantLive(label, len(stepsOf[s.in.Product])-1)
	s.wantNoTwins(o)
}

// wantUnwound looks at an order that failed at a step: there and nowhere else, nothing left, its
// allocation refunded.
func (s *saga) wantUnwound(o order.ID, label, step string) {
	s.t.Helper()
	d := s.Get(o)
	r := d.Order.RefundOf(d.Order.Items[0].ID)
	if d.Order.State != order.Failed || d.Order.Settlement != order.SettlementSettled || d.Order.Items[0].State != order.ItemRolledBack {
		s.t.Errorf("got %s, want failed and settled, rolled back", s.Picture(o))
	}
	if p := d.Order.LivePayment(); r == nil || p == nil || !r.State.Accepted() || r.Cents != p.Of(d.Order.Items[0].ID) || r.Cents != p.Paid {
		s.t.Errorf("refund %+v of payment %+v, want the whole allocation", r, p)
	}
	s.WantLive(label, 0)
	var turned []string
	rec, err := s.Verbs.API.Saga(s.t.Context(), s.As(tenant.Operator), o)
	if err != nil {
		s.t.Fatalf("Saga: %v", err)
	}
	for _, l := range rec.Log {
		if l.What == app.LogTurned {
			turned = append(turned, l.Part)
		}
	}
	if len(turned) != 1 || turned[0] != step {
		s.t.Errorf("turned back at %v, want at %s", turned, step)
	}
	if len(d.Letters) != 0 {
		s.t.Errorf("dead letters still open: %+v", d.Letters)
	}
	s.wantNoTwins(o)
}

// wantNoTwins counts what was ever made under one key: one, and where names are not unique two at most.
func (s *saga) wantNoTwins(o order.ID) {
	s.t.Helper()
	most := 1
	if s.naming == provider.NamingNone {
		most = 2
	}
	ever := map[string]int{}
	ledger := s.Sim.Ledger()
	for _, c := range ledger.Log {
		if c.Operation == sim.OpCreate && c.Effect && c.Order == o.String() {
			ever[c.Key] += len(c.IDs)
		}
	}
	for key, n := range ever {
		if n > most {
			s.t.Errorf("%d resources were made under %s, at most %d may be", n, key, most)
		}
	}
	left := map[string]int{}
	for _, r := range ledger.Live {
		if left[r.Name]++; left[r.Name] == 2 {
			s.t.Errorf("two resources live under %s", r.Name)
		}
	}
}

// spoilStep is a spoiler of one step's call.
func spoilStep(operation, step string, f func(again func() error) error) func(string, string, string, func() error) error {
	return func(op, part, _ string, again func() error) error {
		if op != operation || part != step {
			return nil
		}
		return f(again)
	}
}

func refuse() error { return provider.NewError(fault.Invalid, "invalid_input", "not today") }

// undos are the ways in which every undo of an unwinding is disturbed.
func undos() map[string]func(again func() error) error {
	return map[string]func(again func() error) error{
		"every undo run twice":        func(again func() error) error { return again() },
		"every undo answering absent": func(func() error) error { return provider.NewError(fault.NotFound, "not_found", "no such resource") },
	}
}

func TestEverySagaUnwindsFromEveryStepAndSurvivesEveryRepetition(t *testing.T) {
	t.Parallel()
	for _, in := range world.Products() {
		for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
			t.Run(in.Product+" "+naming.String(), func(t *testing.T) {
				t.Parallel()
				s := newSaga(t, in, naming)
				for _, step := range stepsOf[in.Product] {
					s.proveStep(step)
				}
				s.CheckWorld("I16", "I18") // calls are doubled on purpose
			})
		}
	}
}

// proveStep plays every disturbance of one step.
func (s *saga) proveStep(step string) {
	s.t.Helper()
	op := operationOf(step)
	refusal := sim.Invalid
	if op == sim.OpCredentials {
		refusal = sim.Forbidden
	}
	run := func(what string, f func()) {
		s.t.Helper()
		before := s.t.Failed()
		f()
		if s.t.Failed() && !before {
			s.t.Errorf("%s, %s: %s", s.in.Product, step, what)
		}
	}
	run("refused for good before its effect", func() {
		s.Sim.Script(sim.Fault{Part: part(step), Operation: op, Kind: refusal})
		o, label := s.play()
		s.wantUnwound(o, label, step)
	})
	run("answer lost once after its effect", func() {
		s.Sim.Script(sim.Fault{Part: part(step), Operation: op, Kind: sim.LostReply, Times: 1})
		o, label := s.play()
		s.wantBuilt(o, label)
	})
	run("refused for good after its effect", func() {
		s.mid.set(spoilStep(op, step, func(func() error) error { return refuse() }))
		o, label := s.play()
		s.wantUnwound(o, label, step)
	})
	run("run twice", func() {
		s.mid.set(spoilStep(op, step, func(again func() error) error { return again() }))
		o, label := s.play()
		s.wantBuilt(o, label)
	})
	run("process killed after its effect", func() {
		crash := times(1, func() error { panic(world.Crash{}) })
		s.mid.set(spoilStep(op, step, func(func() error) error { return crash() }))
		o, label := s.play()
		s.wantBuilt(o, label)
	})
	for what, undo := range undos() {
		run(what, func() { s.unwound(step, undo) })
	}
	run("process killed after every undo", func() {
		killed := map[string]bool{}
		s.mid.set(func(operation, p, label string, again func() error) error {
			if operation == op && p == step {
				return refuse()
			}
			if operation == sim.OpDelete && !killed[p] {
				killed[p] = true
				panic(world.Crash{})
			}
			return nil
		})
		o, label := s.play()
		s.wantUnwound(o, label, step)
	})
}

// unwound fails a step after its effect while every undo is disturbed.
func (s *saga) unwound(step string, undo func(again func() error) error) {
	s.t.Helper()
	op := operationOf(step)
	s.mid.set(func(operation, p, label string, again func() error) error {
		switch {
		case operation == op && p == step:
			return refuse()
		case operation == sim.OpDelete:
			return undo(again)
		}
		return nil
	})
	o, label := s.play()
	s.wantUnwound(o, label, step)
}

// part is what the cloud calls a step: nothing for the credentials, which are the item's.
func part(step string) string {
	if step == "credentials" {
		return ""
	}
	return step
}
