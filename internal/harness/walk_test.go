package harness_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// stepsPerWalk is fixed, so that the test takes about as long each time. Half of a walk's steps are
// work, or few walks would see an order provisioned.
const stepsPerWalk = 24

// walk is one order on its random way, with the model beside it.
type walk struct {
	t          *rapid.T
	w          *harness.Harness
	o          order.ID
	m          model
	version    int
	seq        int
	itemAt     map[string]string // last seen state by item id
	references []string          // recorded for this order; the last one may be live
	live       bool
	n          int
}

func TestRandomWalksOverTheRealDatabaseAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	walks, steps := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		w.Sim.ClearFaults()
		x := &walk{t: rt, w: w, itemAt: map[string]string{}}
		x.create()
		for range stepsPerWalk {
			x.step()
			steps++
		}
		x.rest()
		walks++
	})
	t.Logf("%d walks, %d steps", walks, steps)
	w.Drain()
	w.CheckWorld()
}

func (x *walk) items() []app.ItemInput {
	n := rapid.SampledFrom([]int{1, 2, 1, 2, 0}).Draw(x.t, "items")
	all := []app.ItemInput{}
	for i := range n {
		in := rapid.SampledFrom([]app.ItemInput{harness.VPS(), harness.Storage()}).Draw(x.t, "item")
		x.n++
		all = append(all, harness.Labelled(in, fmt.Sprintf("%s %d %d", in.Product, i, x.n)))
	}
	return all
}

func (x *walk) create() {
	policy := rapid.SampledFrom([]string{"per_item", "all_or_nothing"}).Draw(x.t, "policy")
	x.o = x.w.Draft(policy, x.items()...).Order.ID
	x.m = model{state: "draft", allOr: policy == "all_or_nothing", quoted: x.w.Clock.Now()}
	x.look("create", "")
}

func (x *walk) step() {
	// Words are repeated by their weight.
	switch what := rapid.SampledFrom([]string{
		"work", "work", "work", "work", "publish", "publish", "wait", "settle",
		"submit", "confirm-payment", "forward", "forward", "forward", "edit", "revert-payment", "hold",
		"release", "cancel", "restore",
		"expire", "restart", "fault", "fault", "clear",
	}).Draw(x.t, "step"); what {
	case "work":
		x.w.WorkOne()
		x.look("work", "worked")
	case "publish":
		x.w.Publish()
		x.look("publish", "")
	case "wait":
		x.w.Wait()
		x.look("wait", "")
	case "settle":
		x.w.Drain(x.o)
		x.look("settle", "worked")
	case "restart":
		x.w.Restart()
		x.look("restart", "")
	case "expire":
		x.expire()
	case "fault":
		x.w.Sim.Script(rapid.SampledFrom(faults).Draw(x.t, "fault"))
	case "clear":
		x.w.Sim.ClearFaults()
	case "forward": // whatever takes the order on
		for _, next := range []string{"submit", "confirm-payment", "release", "restore"} {
			if slices.Contains(x.m.actions(), next) {
				x.command(next, "operator")
				return
			}
		}
	default:
		x.command(what, rapid.SampledFrom([]string{"customer", "operator", "operator", "auditor", "stranger"}).Draw(x.t,
			"role"))
	}
}

var faults = []sim.Fault{
	{Operation: sim.OpCreate, Kind: sim.Refused, Times: 2},
	{Operation: sim.OpCreate, Kind: sim.LostReply, Times: 1},
	{Operation: sim.OpCreate, Kind: sim.FailedBuild, Times: 1},
	{Operation: sim.OpCreate, Kind: sim.NoCapacity, Times: 1},
	{Operation: sim.OpCreate, Kind: sim.Invalid, Times: 1},
	{Operation: sim.OpCreate, Kind: sim.Stuck, Times: 1},
	{Operation: sim.OpCreate, Kind: sim.Late, Times: 1},
	{Operation: sim.OpCreate, Kind: sim.RateLimited, Times: 3},
	{Operation: sim.OpDelete, Kind: sim.Refused, Times: 7},
	{Operation: sim.OpDelete, Kind: sim.LostReply, Times: 1},
	{Operation: sim.OpCredentials, Kind: sim.PendingSecret, Times: 2},
	{Operation: sim.OpObserve, Kind: sim.Unavailable, Times: 3},
}

// expire lets the time for payment pass.
func (x *walk) expire() {
	x.w.Pause(15 * 24 * time.Hour) // nobody works meanwhile, on this order or another
	if _, err := x.w.UseCases.Worker.ExpireOrders(x.t.Context()); err != nil {
		x.t.Fatalf("ExpireOrders: %v", err)
	}
	if x.m.state == "pending_payment" {
		x.m.state, x.m.settled = "cancelled", true
		x.look("expire", "changed")
		return
	}
	x.look("expire", "")
}

func (x *walk) caller(role string) app.Caller {
	if role == "stranger" {
		return app.Caller{Actor: x.w.Other.Actor(tenant.Operator)}
	}
	return x.w.As(map[string]tenant.Role{
		"customer": tenant.Customer, "operator": tenant.Operator, "auditor": tenant.Auditor,
	}[role])
}

// command asks for one thing and compares the answer with the model's.
func (x *walk) command(what, role string) {
	api, c, ctx := x.w.UseCases.API, x.caller(role), x.t.Context()
	agg := x.w.Get(x.o)
	why := app.Reasoned{Order: x.o, Reason: "the walk goes here"}
	wrong := ""
	var err error
	switch what {
	case "edit":
		items := x.items()
		_, err = api.EditOrder(ctx, c, app.EditOrder{
			Order: x.o, Precondition: app.Precondition{Version: &x.version}, Items: &items,
		})
	case "submit":
		switch {
		case len(x.m.items) == 0:
			wrong = "order-empty"
		case x.w.Clock.Now().After(x.m.quoted.Truncate(time.Second).AddDate(0, 0, 30)):
			wrong = "price-expired"
		}
		_, err = api.SubmitOrder(ctx, c, app.SubmitOrder{Order: x.o})
	case "confirm-payment":
		var in app.ConfirmPayment
		in, wrong = x.payment(agg)
		if _, err = api.ConfirmPayment(ctx, c, in); err == nil && wrong == "" {
			x.references, x.live = append(x.references, in.Reference), true
		}
	case "revert-payment":
		if _, err = api.RevertPayment(ctx, c, why); err == nil {
			x.live = false
		}
	case "hold":
		_, err = api.HoldOrder(ctx, c, why)
	case "release":
		_, err = api.ReleaseOrder(ctx, c, why)
	case "cancel":
		_, err = api.CancelOrder(ctx, c, why)
	case "restore":
		if _, err = api.RestoreOrder(ctx, c, why); err == nil {
			x.live = false
		}
	}
	x.answered(what, role, x.m.refusal(what, role, wrong), err)
}

// payment draws the right one, or one with something wrong about it, and says what.
func (x *walk) payment(agg *app.Aggregate) (in app.ConfirmPayment, wrong string) {
	x.n++
	amount := agg.Order.Due
	in = app.ConfirmPayment{Order: x.o, Reference: fmt.Sprintf("%s-%d", agg.Order.Number, x.n), Method: "bank_transfer"}
	switch kind := rapid.SampledFrom([]string{"right", "right", "nearly right", "wrong", "known"}).Draw(x.t, "payment"); {
	case kind == "nearly right":
		amount += 99
	case kind == "wrong":
		amount, wrong = amount+101, "payment-amount-mismatch"
	case kind == "known" && len(x.references) > 0:
		in.Reference = rapid.SampledFrom(x.references).Draw(x.t, "reference")
		if wrong = "payment-reference-in-use"; x.live && in.Reference == x.references[len(x.references)-1] {
			wrong = "same"
		}
	}
	in.Amount = event.Amount{Amount: money.Format(amount, agg.Order.Currency), Currency: agg.Order.Currency}
	return in, wrong
}

func (x *walk) answered(what, role, want string, err error) {
	code := ""
	if err != nil {
		f := fault.Of(err)
		if f == nil {
			x.t.Fatalf("%s by a %s: %v", what, role, err)
		}
		if code = f.Code; code == "illegal-transition" && f.Members["state"] != x.m.state {
			x.t.Fatalf("the refusal of %s names the state %v, want %s", what, f.Members["state"], x.m.state)
		}
	}
	if want == "same" {
		want = ""
		if code == "" {
			x.look(what, "")
			return
		}
	}
	if code != want {
		x.t.Fatalf("%s by a %s in %s (%s): %q, %v; want %q", what, role, x.m.state, x.m.closing, code, err, want)
	}
	if want != "" {
		x.look(what, "")
		return
	}
	x.m.do(what, x.w.Clock.Now())
	x.look(what, "changed")
}

// look reads the order and compares everything about it with the model. how is "" when nothing may
// have changed, "changed" after a command that was taken, "worked" after work.
func (x *walk) look(what, how string) {
	agg := x.w.Get(x.o)
	got := agg.Order
	x.m.items, x.m.refunds = nil, nil
	for _, it := range got.Items {
		x.m.items = append(x.m.items, it.State.String())
	}
	if p := got.LivePayment(); p != nil {
		for _, r := range got.Refunds {
			if r.Payment == p.ID {
				x.m.refunds = append(x.m.refunds, r.State.String())
			}
		}
	}
	if how == "worked" {
		if !slices.Contains(x.m.worked(), got.State.String()) {
			x.t.Fatalf("%s took the order from %s to %s", what, x.m.state, got.State)
		}
		if x.m.before() && (got.State == order.Failed || got.Closing == order.ClosingRejected) {
			x.m.closing = "rejected"
		}
		if x.m.before() {
			x.m.state = map[bool]string{true: got.State.String(), false: "provisioning"}[got.State == order.PaymentConfirmed ||
				got.State == order.Validating]
		}
		if x.m.state == "provisioning" && got.State == order.PartiallyFulfilled ||
			got.State == order.Fulfilled && x.m.building() {
			x.m.state = got.State.String() // it may have been up in between
			if x.m.state == "fulfilled" {
				x.m.state = "partially_fulfilled"
			}
		}
	}
	if want := x.m.derived(); got.State.String() != want {
		x.t.Fatalf("after %s the order is %s, want %s (was %s %s, items %v, refunds %v)", what, got.State, want, x.m.state,
			x.m.closing, x.m.items, x.m.refunds)
	}
	x.m.state = got.State.String()
	x.m.settled = got.Settlement == order.SettlementSettled
	for _, role := range []string{"operator", "customer", "auditor"} {
		allowed := []string{}
		for _, a := range x.w.UseCases.API.AllowedActions(x.caller(role), agg) {
			allowed = append(allowed, string(a))
		}
		if diff := cmp.Diff(x.m.mine(role), allowed); diff != "" {
			x.t.Fatalf("allowed_actions of a %s in %s (-want +got):\n%s", role, x.m.state, diff)
		}
	}
	x.history(what, how, got)
}

// history checks what was recorded since the last look.
func (x *walk) history(what, how string, o *order.Order) {
	recs, err := x.w.UseCases.API.OrderEvents(context.WithoutCancel(x.t.Context()), x.caller("operator"), x.o, x.seq, 500)
	if err != nil {
		x.t.Fatalf("OrderEvents: %v", err)
	}
	grown := o.Version - x.version
	switch {
	case what == "create":
	case how == "" && (grown != 0 || len(recs) > 0):
		x.t.Fatalf("%s changed nothing, yet version %d became %d with %d events", what, x.version, o.Version, len(recs))
	case how == "changed" && (grown != 1 || len(recs) == 0):
		x.t.Fatalf("%s moved version %d to %d with %d events, want one version more", what, x.version, o.Version, len(recs))
	case grown < 0 || grown > len(recs):
		x.t.Fatalf("%s moved version %d to %d with %d events", what, x.version, o.Version, len(recs))
	}
	at := "draft"
	if x.seq > 0 {
		at = x.itemAt["order"]
	}
	for _, r := range recs {
		var e event.Data
		if err := json.Unmarshal(r.Data, &e); err != nil {
			x.t.Fatalf("event %d: %v", r.Seq, err)
		}
		if x.seq++; r.Seq != x.seq || e.From != at {
			x.t.Fatalf("event %d %s from %s, want number %d from %s", r.Seq, r.Type, e.From, x.seq, at)
		}
		at = e.To
		x.itemMoved(r, e)
	}
	if at != o.State.String() || o.LastSeq != x.seq {
		x.t.Fatalf("the events end in %s at %d, the order is %s at %d", at, x.seq, o.State, o.LastSeq)
	}
	x.itemAt["order"], x.version = at, o.Version
}

func (x *walk) itemMoved(r event.Record, e event.Data) {
	if e.Item == nil || e.Item.From == e.Item.To {
		return
	}
	id := e.Item.ID.String()
	last := x.itemAt[id]
	if last == "" {
		last = "pending"
	}
	if !followed(last, e.Item.From, e.Item.To) {
		x.t.Fatalf("event %d %s takes an item that is %s from %s to %s", r.Seq, r.Type, last, e.Item.From, e.Item.To)
	}
	x.itemAt[id] = e.Item.To
}

// rest lets everything end without faults, and wants nothing to be open without a cause and the cloud
// to hold exactly what was delivered.
func (x *walk) rest() {
	x.w.Sim.ClearFaults()
	x.w.Drain(x.o)
	x.look("rest", "worked")
	again := map[fulfil.TaskID]bool{}
	for _, l := range x.deadLetters() {
		_, err := x.w.UseCases.API.RedriveDeadLetter(x.t.Context(), x.caller("operator"), l.ID, "the faults are over")
		// A task that failed on the way there and back has two letters, and works again after the first.
		if f := fault.Of(err); err != nil && (f == nil || f.Code != "not-stuck" || !again[l.Task]) {
			x.t.Fatalf("RedriveDeadLetter: %v", err)
		}
		again[l.Task] = true
	}
	x.w.Drain(x.o)
	x.look("rest", "worked")
	agg := x.w.Get(x.o)
	caused := agg.Order.State == order.Draft || agg.Order.State == order.PendingPayment || agg.Order.HeldAt != nil
	if !caused && agg.Order.Settlement != order.SettlementSettled {
		x.t.Fatalf("at rest the order stays open: %s", x.w.Picture(x.o))
	}
	if left := x.deadLetters(); len(left) > 0 {
		x.t.Fatalf("at rest the desk has %d letters, the first %s: %s", len(left), left[0].Code, x.w.Picture(x.o))
	}
	parts := map[string]int{"vps": 2, "object_storage": 1}
	up, live := 0, 0
	for _, it := range agg.Order.Items {
		if it.State == order.ItemActive || it.State == order.ItemDelivered {
			up += parts[it.Snapshot.Product]
		}
	}
	for _, r := range x.w.Sim.Live() {
		if r.Labels["order"] == x.o.String() {
			live++
		}
	}
	if live != up {
		x.t.Fatalf("%d resources live, want %d: %s", live, up, x.w.Picture(x.o))
	}
	x.books(agg.Order)
}

// letters are the dead letters of the order that the desk shows.
func (x *walk) deadLetters() []app.DeadLetter {
	open := app.DeadLetterOpen
	page, err := x.w.UseCases.API.DeadLetters(x.t.Context(), x.caller("operator"), app.DeadLetterFilter{
		Order: x.o, State: &open, Limit: 100,
	})
	if err != nil {
		x.t.Fatalf("DeadLetters: %v", err)
	}
	return page.Data
}

// books balances the order: captured less refunded is what its live items were given.
func (x *walk) books(o *order.Order) {
	captured, refunded, alive := money.Cents(0), money.Cents(0), money.Cents(0)
	for _, p := range o.Payments {
		if p.State == order.PaymentReverted {
			continue
		}
		captured += p.Paid
		for _, a := range p.Allocations {
			back := false
			for _, r := range o.Refunds {
				if r.Payment == p.ID && r.Item == a.Item && r.State.Accepted() {
					back, refunded = true, refunded+r.Cents
				}
			}
			if !back {
				alive += a.Cents
			}
		}
	}
	if captured-refunded != alive {
		x.t.Fatalf("captured %d - refunded %d is not the %d of the live items", captured, refunded, alive)
	}
}
