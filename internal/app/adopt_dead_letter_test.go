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

// hidingCloud creates the resource of one step, loses the answer, and shows the resource in no list. A read by id finds
// it. While the cloud is broken its lists fail.
type hidingCloud struct {
	provider.Provider
	step    string
	broken  bool
	crashes bool // the process dies at the next read by id
}

// Capabilities asks for few polls, so that the test takes less time.
func (cloud *hidingCloud) Capabilities() provider.Capabilities {
	c := cloud.Provider.Capabilities()
	c.PollEvery = 5 * time.Minute
	return c
}

func (cloud *hidingCloud) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	if s.Name != cloud.step {
		return cloud.Provider.Create(ctx, s, j)
	}
	if _, err := cloud.Provider.Create(ctx, s, nil); err != nil {
		return "", err
	}
	return "", provider.NewError(fault.Ambiguous, "lost", "the answer was lost")
}

func (cloud *hidingCloud) Observe(ctx context.Context, s provider.Step, r provider.Ref) (provider.Observation, error) {
	switch {
	case s.Name == cloud.step && r == "" && cloud.broken:
		return provider.Observation{}, provider.NewError(fault.Retryable, "lists-down", "lists do not work")
	case s.Name == cloud.step && r == "":
		return provider.Observation{Phase: provider.Absent}, nil
	case r != "" && cloud.crashes:
		cloud.crashes = false
		panic(harness.Crash{})
	}
	return cloud.Provider.Observe(ctx, s, r)
}

func (cloud *hidingCloud) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	if s.Name == cloud.step && r == "" {
		return nil // a delete by key finds nothing, as the lists do
	}
	return cloud.Provider.Delete(ctx, s, r)
}

// uncertainServer returns an order whose compensation is stuck because nobody knows whether its server exists.
func uncertainServer(t *testing.T) (*harness.Harness, *hidingCloud, order.ID) {
	t.Helper()
	cloud := &hidingCloud{step: "server", broken: true}
	h := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider {
		cloud.Provider = p
		return cloud
	}))
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	cloud.broken = false
	return h, cloud, o
}

// serverOf returns the id of an item's server, as a person finds it at the console.
func serverOf(t *testing.T, h *harness.Harness, item order.ItemID) string {
	t.Helper()
	for _, r := range h.Sim.Live() {
		if r.Kind == "server" && r.Labels[provider.LabelItem] == item.String() {
			return r.ID
		}
	}
	t.Fatalf("item %s has no server in the cloud", item)
	return ""
}

func adopt(t *testing.T, h *harness.Harness, c app.Caller, in app.AdoptDeadLetter) string {
	t.Helper()
	got, err := h.UseCases.API.AdoptDeadLetter(t.Context(), c, in)
	return outcome(t, got.State.String(), err)
}

func TestAResourceThatAPersonFoundIsAdoptedAndRemoved(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		h, cloud, o := uncertainServer(t)
		ref := serverOf(t, h, h.Item(o, "vps").ID)
		in := app.AdoptDeadLetter{
			DeadLetter: deadLetterOf(t, h, o, "compensation-exhausted"), Step: "server", Ref: ref, Reason: "seen at the console",
		}
		cloud.crashes = dies
		wantEqual(t, "adopt", adopt(t, h, h.As(tenant.Operator), in), "redriven")
		wantEqual(t, "the same again", adopt(t, h, h.As(tenant.Operator), in), "not-stuck")
		h.Drain(o)
		h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
		h.WantLiveResources("", 0)
		if open := h.Order(o).DeadLetters; len(open) != 0 {
			t.Errorf("dead letters are still open: %+v", open)
		}
		saga, err := h.UseCases.API.Saga(t.Context(), h.As(tenant.Auditor), o)
		if err != nil {
			t.Fatal(err)
		}
		var notes []string
		for _, e := range saga.Log {
			if e.What == app.LogDecision || strings.Contains(e.Note, "adopted") {
				notes = append(notes, e.Note)
			}
		}
		wanted := []string{
			"said to be there by member:" + h.Tenant.Members[tenant.Operator].ID.String() + ": server as " + ref +
				": seen at the console",
			"what was said to be the server is this item's: adopted, to be removed",
		}
		if !slices.Equal(notes, wanted) {
			t.Errorf("the saga log has %q, want %q", notes, wanted)
		}
		h.CheckInvariants()
	}
}

func TestAFalseAssertionRemovesNothingAndLeavesTheDeadLetterOpen(t *testing.T) {
	t.Parallel()
	h, cloud, o := uncertainServer(t)
	cloud.step = "" // the neighbour's server is not hidden
	neighbour := h.PaidOrder(harness.VPS())
	h.Drain(neighbour)
	cloud.step = "server"
	item := h.Item(o, "vps").ID
	own := provider.Key{Installation: "test", Item: item.String(), Step: "server", Generation: 1}
	other := own
	other.Item = h.OtherTenant.ID.String() // any id that is not an item of the tenant
	elsewhere := own
	elsewhere.Installation = "staging"
	plant := func(k provider.Key) string {
		return h.Sim.Plant(sim.Foreign{Name: "planted", Kind: "server", Region: "lj-1", Labels: k.Labels()}).ID
	}
	live := len(h.Sim.Live()) + 4
	for _, c := range []struct{ what, ref, class string }{
		{"another order's server", serverOf(t, h, h.Item(neighbour, "vps").ID), "forbidden"},
		{"another tenant's server", plant(other), "forbidden"},
		{"another installation's server", plant(elsewhere), "forbidden"},
		{"another step of the item", plant(own.WithStep("port")), "forbidden"},
		{
			"a server without our labels", h.Sim.Plant(sim.Foreign{Name: "somebody's", Kind: "server", Region: "lj-1"}).ID,
			"forbidden",
		},
		{"an id that is not there", "srv-0000", "not-found"},
	} {
		in := app.AdoptDeadLetter{
			DeadLetter: deadLetterOf(t, h, o, "compensation-exhausted"), Step: "server", Ref: c.ref, Reason: "I think so",
		}
		wantEqual(t, c.what, adopt(t, h, h.As(tenant.Operator), in), "redriven")
		h.Drain(o)
		h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
		again, err := h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Operator),
			deadLetterOf(t, h, o, "compensation-exhausted"))
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, c.what, again.Class.String(), c.class)
		if refs := again.Remaining[len(again.Remaining)-1].Refs; len(refs) != 0 || again.Work.Assertion.Ref != "" {
			t.Errorf("%s: the journal has %v, the task %+v; want nothing adopted and no assertion left", c.what, refs,
				again.Work.Assertion)
		}
		if n := len(h.Sim.Live()); n != live {
			t.Fatalf("%s: %d resources live after the assertion, want %d as before", c.what, n, live)
		}
	}
	for _, c := range h.Sim.Calls(sim.OpDelete, h.Item(neighbour, "vps").ID.String()) {
		t.Errorf("a delete of the neighbour's %s was sent", c.Step)
	}
	in := app.AdoptDeadLetter{
		DeadLetter: deadLetterOf(t, h, o, "compensation-exhausted"), Step: "server", Ref: serverOf(t, h, item),
		Reason: "this one",
	}
	wantEqual(t, "the item's server", adopt(t, h, h.As(tenant.Operator), in), "redriven")
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
}

func TestAnInvalidAssertionIsRefused(t *testing.T) {
	t.Parallel()
	h, _, o := uncertainServer(t)
	l := deadLetterOf(t, h, o, "compensation-exhausted")
	good := app.AdoptDeadLetter{DeadLetter: l, Step: "server", Ref: "srv-1", Reason: "seen"}
	for what, c := range map[string]struct {
		who    app.Caller
		change func(*app.AdoptDeadLetter)
		want   string
	}{
		"a customer": {h.As(tenant.Customer), func(*app.AdoptDeadLetter) {}, "forbidden"},
		"an auditor": {h.As(tenant.Auditor), func(*app.AdoptDeadLetter) {}, "forbidden"},
		"another tenant": {
			app.Caller{Actor: h.OtherTenant.Actor(tenant.Operator)},
			func(*app.AdoptDeadLetter) {},
			"not-found",
		},
		"an unknown step": {h.As(tenant.Operator), func(in *app.AdoptDeadLetter) {
			in.Step = "volume"
		}, "validation-failed"},
		"no step": {h.As(tenant.Operator), func(in *app.AdoptDeadLetter) { in.Step = "" }, "validation-failed"},
		"no id":   {h.As(tenant.Operator), func(in *app.AdoptDeadLetter) { in.Ref = "" }, "validation-failed"},
		"an id with a new line": {h.As(tenant.Operator), func(in *app.AdoptDeadLetter) {
			in.Ref = "srv-1\nsrv-2"
		}, "validation-failed"},
		"no reason": {h.As(tenant.Operator), func(in *app.AdoptDeadLetter) {
			in.Reason = " "
		}, "validation-failed"},
	} {
		in := good
		c.change(&in)
		wantEqual(t, what, adopt(t, h, c.who, in), c.want)
	}
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")

	mails := harness.New(t)
	del, task := readyToDeliver(t, mails, embedded.MailRejected)
	workToEnd(t, mails, task, mails.UseCases.Worker.DeliverCredentials)
	good.DeadLetter = deadLetterOf(t, mails, del, "delivery-failed")
	wantEqual(t, "a mail", adopt(t, mails, mails.As(tenant.Operator), good), "not-adoptable")
}
