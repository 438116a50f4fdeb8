package app_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// hidden is a cloud that makes one part, loses its answer and shows it in no list; by its id it is there.
// Until it is mended its lists do not work at all.
type hidden struct {
	provider.Provider
	part   string
	broken bool
	dies   bool // the process, at the next read by id
}

// Capabilities ask for few looks, so that the test need not look so often.
func (h *hidden) Capabilities() provider.Capabilities {
	c := h.Provider.Capabilities()
	c.PollEvery = 5 * time.Minute
	return c
}

func (h *hidden) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	if s.Name != h.part {
		return h.Provider.Create(ctx, s, j)
	}
	if _, err := h.Provider.Create(ctx, s, nil); err != nil {
		return "", err
	}
	return "", provider.NewError(fault.Ambiguous, "lost", "the answer was lost")
}

func (h *hidden) Observe(ctx context.Context, s provider.Step, r provider.Ref) (provider.Observation, error) {
	switch {
	case s.Name == h.part && r == "" && h.broken:
		return provider.Observation{}, provider.NewError(fault.Retryable, "lists-down", "lists do not work")
	case s.Name == h.part && r == "":
		return provider.Observation{Phase: provider.Absent}, nil
	case r != "" && h.dies:
		h.dies = false
		panic(harness.Crash{})
	}
	return h.Provider.Observe(ctx, s, r)
}

func (h *hidden) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	if s.Name == h.part && r == "" {
		return nil // nothing of it is in any list
	}
	return h.Provider.Delete(ctx, s, r)
}

// unclear is an order whose server may or may not be there: nobody could tell until it was stuck.
func unclear(t *testing.T) (*harness.Harness, *hidden, order.ID) {
	t.Helper()
	h := &hidden{part: "server", broken: true}
	w := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider { h.Provider = p; return h }))
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	h.broken = false
	return w, h, o
}

// serverOf is the id that a person finds at the console for an item.
func serverOf(t *testing.T, w *harness.Harness, item order.ItemID) string {
	t.Helper()
	for _, r := range w.Sim.Live() {
		if r.Kind == "server" && r.Labels[provider.LabelItem] == item.String() {
			return r.ID
		}
	}
	t.Fatalf("item %s has no server in the cloud", item)
	return ""
}

func adopt(t *testing.T, w *harness.Harness, c app.Caller, in app.AdoptDeadLetter) string {
	t.Helper()
	got, err := w.UseCases.API.AdoptDeadLetter(t.Context(), c, in)
	return outcome(t, got.State.String(), err)
}

func TestAResourceThatAPersonFoundIsAdoptedAndRemoved(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		w, h, o := unclear(t)
		ref := serverOf(t, w, w.Item(o, "vps").ID)
		in := app.AdoptDeadLetter{
			DeadLetter: deadLetterOf(t, w, o, "compensation-exhausted"), Part: "server", Ref: ref, Reason: "seen at the console",
		}
		h.dies = dies
		want(t, "adopt", adopt(t, w, w.As(tenant.Operator), in), "redriven")
		want(t, "the same again", adopt(t, w, w.As(tenant.Operator), in), "not-stuck")
		w.Drain(o)
		w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
		w.WantLive("", 0)
		if left := w.Get(o).DeadLetters; len(left) != 0 {
			t.Errorf("dead letters still open: %+v", left)
		}
		saga, err := w.UseCases.API.Saga(t.Context(), w.As(tenant.Auditor), o)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range saga.Log {
			if e.What == app.LogDecision || strings.Contains(e.Note, "adopted") {
				told = append(told, e.Note)
			}
		}
		wanted := []string{
			"said to be there by member:" + w.Tenant.Members[tenant.Operator].ID.String() + ": server as " + ref +
				": seen at the console",
			"what was said to be the server is this item's: adopted, to be removed",
		}
		if !slices.Equal(told, wanted) {
			t.Errorf("the saga record tells %q, want %q", told, wanted)
		}
		w.CheckWorld()
	}
}

func TestAFalseAssertionLeavesTheResourceAloneAndTheWorkOnTheDesk(t *testing.T) {
	t.Parallel()
	w, h, o := unclear(t)
	h.part = "" // for the neighbour: only the stuck item's server is out of sight
	neighbour := w.PaidOrder(harness.VPS())
	w.Drain(neighbour)
	h.part = "server"
	item := w.Item(o, "vps").ID
	own := provider.Key{Installation: "test", Item: item.String(), Step: "server", Generation: 1}
	other := own
	other.Item = w.Other.ID.String() // any id: it is not ours to know
	elsewhere := own
	elsewhere.Installation = "staging"
	plant := func(k provider.Key) string {
		return w.Sim.Plant(sim.Foreign{Name: "planted", Kind: "server", Region: "lj-1", Labels: k.Labels()}).ID
	}
	live := len(w.Sim.Live()) + 4
	for _, c := range []struct{ what, ref, class string }{
		{"another order's server", serverOf(t, w, w.Item(neighbour, "vps").ID), "forbidden"},
		{"another tenant's server", plant(other), "forbidden"},
		{"another installation's server", plant(elsewhere), "forbidden"},
		{"another part of the item", plant(own.WithStep("port")), "forbidden"},
		{
			"a server without our labels", w.Sim.Plant(sim.Foreign{Name: "somebody's", Kind: "server", Region: "lj-1"}).ID,
			"forbidden",
		},
		{"an id that is not there", "srv-0000", "not-found"},
	} {
		in := app.AdoptDeadLetter{
			DeadLetter: deadLetterOf(t, w, o, "compensation-exhausted"), Part: "server", Ref: c.ref, Reason: "I think so",
		}
		want(t, c.what, adopt(t, w, w.As(tenant.Operator), in), "redriven")
		w.Drain(o)
		w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
		again, err := w.UseCases.API.DeadLetter(t.Context(), w.As(tenant.Operator),
			deadLetterOf(t, w, o, "compensation-exhausted"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, c.what, again.Class.String(), c.class)
		if refs := again.Left[len(again.Left)-1].Refs; len(refs) != 0 || again.Work.Assertion.Ref != "" {
			t.Errorf("%s: the journal has %v, the task %+v; want nothing believed and nothing claimed any more", c.what,
				refs, again.Work.Assertion)
		}
		if n := len(w.Sim.Live()); n != live {
			t.Fatalf("%s: %d resources live after the claim, want %d as before", c.what, n, live)
		}
	}
	for _, c := range w.Sim.Calls(sim.OpDelete, w.Item(neighbour, "vps").ID.String()) {
		t.Errorf("the neighbour's %s was asked to go", c.Part)
	}
	in := app.AdoptDeadLetter{
		DeadLetter: deadLetterOf(t, w, o, "compensation-exhausted"), Part: "server", Ref: serverOf(t, w, item),
		Reason: "this one",
	}
	want(t, "the true one", adopt(t, w, w.As(tenant.Operator), in), "redriven")
	w.Drain(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
}

func TestAAssertionIsRefusedWhereItMakesNoSense(t *testing.T) {
	t.Parallel()
	w, _, o := unclear(t)
	l := deadLetterOf(t, w, o, "compensation-exhausted")
	good := app.AdoptDeadLetter{DeadLetter: l, Part: "server", Ref: "srv-1", Reason: "seen"}
	for what, c := range map[string]struct {
		who    app.Caller
		change func(*app.AdoptDeadLetter)
		want   string
	}{
		"a customer": {w.As(tenant.Customer), func(*app.AdoptDeadLetter) {}, "forbidden"},
		"an auditor": {w.As(tenant.Auditor), func(*app.AdoptDeadLetter) {}, "forbidden"},
		"another tenant": {
			app.Caller{Actor: w.Other.Actor(tenant.Operator)},
			func(*app.AdoptDeadLetter) {},
			"not-found",
		},
		"a part that is not": {w.As(tenant.Operator), func(in *app.AdoptDeadLetter) {
			in.Part = "volume"
		}, "validation-failed"},
		"no part": {w.As(tenant.Operator), func(in *app.AdoptDeadLetter) { in.Part = "" }, "validation-failed"},
		"no id":   {w.As(tenant.Operator), func(in *app.AdoptDeadLetter) { in.Ref = "" }, "validation-failed"},
		"an id with a new line": {w.As(tenant.Operator), func(in *app.AdoptDeadLetter) {
			in.Ref = "srv-1\nsrv-2"
		}, "validation-failed"},
		"no reason": {w.As(tenant.Operator), func(in *app.AdoptDeadLetter) {
			in.Reason = " "
		}, "validation-failed"},
	} {
		in := good
		c.change(&in)
		want(t, what, adopt(t, w, c.who, in), c.want)
	}
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")

	mails := harness.New(t)
	del, task := readyToDeliver(t, mails, embedded.MailRejected)
	carry(t, mails, task, mails.UseCases.Worker.DeliverCredentials)
	good.DeadLetter = deadLetterOf(t, mails, del, "delivery-failed")
	want(t, "a mail", adopt(t, mails, mails.As(tenant.Operator), good), "not-adoptable")
}
