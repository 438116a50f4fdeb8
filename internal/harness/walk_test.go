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

// stepsPerWalk is fixed, so that the test takes about the same time in each run.
const stepsPerWalk = 24

// walk takes one order through random steps and compares it with the model after each.
type walk struct {
	t           *rapid.T
	h           *harness.Harness
	o           order.ID
	model       model
	version     int
	seq         int
	lastState   map[string]string // last seen state, by item id; the order's under "order"
	references  []string          // recorded for this order; the last one may be live
	livePayment bool
	counter     int
}

func TestRandomWalksOverTheRealDatabaseAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	walks, steps := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		h.Sim.ClearFaults()
		x := &walk{t: rt, h: h, lastState: map[string]string{}}
		x.create()
		for range stepsPerWalk {
			x.step()
			steps++
		}
		x.finish()
		walks++
	})
	t.Logf("%d walks, %d steps", walks, steps)
	h.Drain()
	h.CheckInvariants()
}

func (x *walk) items() []app.ItemInput {
	n := rapid.SampledFrom([]int{1, 2, 1, 2, 0}).Draw(x.t, "items")
	all := []app.ItemInput{}
	for i := range n {
		in := rapid.SampledFrom([]app.ItemInput{harness.VPS(), harness.Storage()}).Draw(x.t, "item")
		x.counter++
		all = append(all, harness.Labelled(in, fmt.Sprintf("%s %d %d", in.Product, i, x.counter)))
	}
	return all
}

func (x *walk) create() {
	policy := rapid.SampledFrom([]string{"per_item", "all_or_nothing"}).Draw(x.t, "policy")
	x.o = x.h.DraftOrder(policy, x.items()...).Order.ID
	x.model = model{state: "draft", allOrNothing: policy == "all_or_nothing", quoted: x.h.Clock.Now()}
	x.compare("create", "")
}

func (x *walk) step() {
	// A step that is listed more often is drawn more often. Without much work few walks would reach provisioning.
	switch what := rapid.SampledFrom([]string{
		"work", "work", "work", "work", "publish", "publish", "wait", "drain",
		"submit", "confirm-payment", "forward", "forward", "forward", "edit", "revert-payment", "hold",
		"release", "cancel", "restore",
		"expire", "restart", "fault", "fault", "clear",
	}).Draw(x.t, "step"); what {
	case "work":
		x.h.WorkOneTask()
		x.compare("work", "worked")
	case "publish":
		x.h.Publish()
		x.compare("publish", "")
	case "wait":
		x.h.AdvanceToNextDue()
		x.compare("wait", "")
	case "drain":
		x.h.Drain(x.o)
		x.compare("drain", "worked")
	case "restart":
		x.h.Restart()
		x.compare("restart", "")
	case "expire":
		x.expire()
	case "fault":
		x.h.Sim.Script(rapid.SampledFrom(walkFaults).Draw(x.t, "fault"))
	case "clear":
		x.h.Sim.ClearFaults()
	case "forward": // the command that takes the order towards its fulfilment
		for _, next := range []string{"submit", "confirm-payment", "release", "restore"} {
			if slices.Contains(x.model.actions(), next) {
				x.command(next, "operator")
				return
			}
		}
	default:
		roles := []string{"customer", "operator", "operator", "auditor", "stranger"}
		x.command(what, rapid.SampledFrom(roles).Draw(x.t, "role"))
	}
}

var walkFaults = []sim.Fault{
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
	x.h.Outage(15 * 24 * time.Hour) // retries of other orders are late after it
	if _, err := x.h.UseCases.Worker.ExpireOrders(x.t.Context()); err != nil {
		x.t.Fatalf("ExpireOrders: %v", err)
	}
	if x.model.state == "pending_payment" {
		x.model.state, x.model.settled = "cancelled", true
		x.compare("expire", "changed")
		return
	}
	x.compare("expire", "")
}

func (x *walk) caller(role string) app.Caller {
	if role == "stranger" {
		return app.Caller{Actor: x.h.OtherTenant.Actor(tenant.Operator)}
	}
	return x.h.As(map[string]tenant.Role{
		"customer": tenant.Customer, "operator": tenant.Operator, "auditor": tenant.Auditor,
	}[role])
}

// command gives a command and compares the answer with the model.
func (x *walk) command(what, role string) {
	api, c, ctx := x.h.UseCases.API, x.caller(role), x.t.Context()
	agg := x.h.Order(x.o)
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
		case len(x.model.items) == 0:
			wrong = "order-empty"
		case x.h.Clock.Now().After(x.model.quoted.Truncate(time.Second).AddDate(0, 0, 30)):
			wrong = "price-expired"
		}
		_, err = api.SubmitOrder(ctx, c, app.SubmitOrder{Order: x.o})
	case "confirm-payment":
		var in app.ConfirmPayment
		in, wrong = x.payment(agg)
		if _, err = api.ConfirmPayment(ctx, c, in); err == nil && wrong == "" {
			x.references, x.livePayment = append(x.references, in.Reference), true
		}
	case "revert-payment":
		if _, err = api.RevertPayment(ctx, c, why); err == nil {
			x.livePayment = false
		}
	case "hold":
		_, err = api.HoldOrder(ctx, c, why)
	case "release":
		_, err = api.ReleaseOrder(ctx, c, why)
	case "cancel":
		_, err = api.CancelOrder(ctx, c, why)
	case "restore":
		if _, err = api.RestoreOrder(ctx, c, why); err == nil {
			x.livePayment = false
		}
	}
	x.checkAnswer(what, role, x.model.refusal(what, role, wrong), err)
}

// payment draws a payment. The code in wrong says what is wrong with it, "" when it is right.
func (x *walk) payment(agg *app.Aggregate) (in app.ConfirmPayment, wrong string) {
	x.counter++
	amount := agg.Order.Due
	in = app.ConfirmPayment{
		Order: x.o, Reference: fmt.Sprintf("%s-%d", agg.Order.Number, x.counter), Method: "bank_transfer",
	}
	switch kind := rapid.SampledFrom([]string{"right", "right", "nearly right", "wrong", "known"}).Draw(x.t, "payment"); {
	case kind == "nearly right":
		amount += 99
	case kind == "wrong":
		amount, wrong = amount+101, "payment-amount-mismatch"
	case kind == "known" && len(x.references) > 0:
		in.Reference = rapid.SampledFrom(x.references).Draw(x.t, "reference")
		if wrong = "payment-reference-in-use"; x.livePayment && in.Reference == x.references[len(x.references)-1] {
			wrong = "same"
		}
	}
	in.Amount = event.Amount{Amount: money.Format(amount, agg.Order.Currency), Currency: agg.Order.Currency}
	return in, wrong
}

func (x *walk) checkAnswer(what, role, want string, err error) {
	code := ""
	if err != nil {
		f := fault.Of(err)
		if f == nil {
			x.t.Fatalf("%s by a %s: %v", what, role, err)
		}
		if code = f.Code; code == "illegal-transition" && f.Members["state"] != x.model.state {
			x.t.Fatalf("the refusal of %s names the state %v, want %s", what, f.Members["state"], x.model.state)
		}
	}
	if want == "same" {
		want = ""
		if code == "" {
			x.compare(what, "")
			return
		}
	}
	if code != want {
		x.t.Fatalf("%s by a %s in %s (%s): %q, %v; want %q", what, role, x.model.state, x.model.closing, code, err, want)
	}
	if want != "" {
		x.compare(what, "")
		return
	}
	x.model.apply(what, x.h.Clock.Now())
	x.compare(what, "changed")
}

// compare reads the order and compares it with the model. how is "" when nothing may have changed, "changed" after a
// command that was accepted, and "worked" after work.
func (x *walk) compare(what, how string) {
	agg := x.h.Order(x.o)
	got := agg.Order
	x.model.items, x.model.refunds = nil, nil
	for _, it := range got.Items {
		x.model.items = append(x.model.items, it.State.String())
	}
	if p := got.LivePayment(); p != nil {
		for _, r := range got.Refunds {
			if r.Payment == p.ID {
				x.model.refunds = append(x.model.refunds, r.State.String())
			}
		}
	}
	if how == "worked" {
		if !slices.Contains(x.model.statesAfterWork(), got.State.String()) {
			x.t.Fatalf("%s took the order from %s to %s", what, x.model.state, got.State)
		}
		if x.model.beforeProvisioning() && (got.State == order.Failed || got.Closing == order.ClosingRejected) {
			x.model.closing = "rejected"
		}
		if x.model.beforeProvisioning() {
			x.model.state = "provisioning"
			if got.State == order.PaymentConfirmed || got.State == order.Validating {
				x.model.state = got.State.String()
			}
		}
		if x.model.state == "provisioning" && got.State == order.PartiallyFulfilled ||
			got.State == order.Fulfilled && x.model.building() {
			x.model.state = got.State.String() // it may have been partially fulfilled in between
			if x.model.state == "fulfilled" {
				x.model.state = "partially_fulfilled"
			}
		}
	}
	if want := x.model.derived(); got.State.String() != want {
		x.t.Fatalf("after %s the order is %s, want %s (was %s %s, items %v, refunds %v)", what, got.State, want,
			x.model.state, x.model.closing, x.model.items, x.model.refunds)
	}
	x.model.state = got.State.String()
	x.model.settled = got.Settlement == order.SettlementSettled
	for _, role := range []string{"operator", "customer", "auditor"} {
		allowed := []string{}
		for _, a := range x.h.UseCases.API.AllowedActions(x.caller(role), agg) {
			allowed = append(allowed, string(a))
		}
		if diff := cmp.Diff(x.model.actionsOf(role), allowed); diff != "" {
			x.t.Fatalf("allowed_actions of a %s in %s (-want +got):\n%s", role, x.model.state, diff)
		}
	}
	x.checkHistory(what, how, got)
}

// checkHistory checks the events since the last comparison.
func (x *walk) checkHistory(what, how string, o *order.Order) {
	recs, err := x.h.UseCases.API.OrderEvents(context.WithoutCancel(x.t.Context()), x.caller("operator"), x.o, x.seq, 500)
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
		at = x.lastState["order"]
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
		x.checkItemMove(r, e)
	}
	if at != o.State.String() || o.LastSeq != x.seq {
		x.t.Fatalf("the events end in %s at %d, the order is %s at %d", at, x.seq, o.State, o.LastSeq)
	}
	x.lastState["order"], x.version = at, o.Version
}

func (x *walk) checkItemMove(r event.Record, e event.Data) {
	if e.Item == nil || e.Item.From == e.Item.To {
		return
	}
	id := e.Item.ID.String()
	last := x.lastState[id]
	if last == "" {
		last = "pending"
	}
	if !itemMayMove(last, e.Item.From, e.Item.To) {
		x.t.Fatalf("event %d %s takes an item that is %s from %s to %s", r.Seq, r.Type, last, e.Item.From, e.Item.To)
	}
	x.lastState[id] = e.Item.To
}

// finish ends all work without faults. After it no order may be open without a reason, and the cloud must hold exactly
// the resources of active and delivered items.
func (x *walk) finish() {
	x.h.Sim.ClearFaults()
	x.h.Drain(x.o)
	x.compare("rest", "worked")
	again := map[fulfil.TaskID]bool{}
	for _, dl := range x.deadLetters() {
		_, err := x.h.UseCases.API.RedriveDeadLetter(x.t.Context(), x.caller("operator"), dl.ID, "the faults are over")
		// A task that failed in provisioning and in compensation has two dead letters, and the first redrive restarts it.
		if f := fault.Of(err); err != nil && (f == nil || f.Code != "not-stuck" || !again[dl.Task]) {
			x.t.Fatalf("RedriveDeadLetter: %v", err)
		}
		again[dl.Task] = true
	}
	x.h.Drain(x.o)
	x.compare("rest", "worked")
	agg := x.h.Order(x.o)
	caused := agg.Order.State == order.Draft || agg.Order.State == order.PendingPayment || agg.Order.HeldAt != nil
	if !caused && agg.Order.Settlement != order.SettlementSettled {
		x.t.Fatalf("at rest the order stays open: %s", x.h.Summary(x.o))
	}
	if open := x.deadLetters(); len(open) > 0 {
		x.t.Fatalf("at rest the desk has %d dead letters, the first %s: %s", len(open), open[0].Code, x.h.Summary(x.o))
	}
	resources := map[string]int{"vps": 2, "object_storage": 1}
	want, live := 0, 0
	for _, it := range agg.Order.Items {
		if it.State == order.ItemActive || it.State == order.ItemDelivered {
			want += resources[it.Snapshot.Product]
		}
	}
	for _, r := range x.h.Sim.Live() {
		if r.Labels["order"] == x.o.String() {
			live++
		}
	}
	if live != want {
		x.t.Fatalf("%d resources live, want %d: %s", live, want, x.h.Summary(x.o))
	}
	x.checkBalance(agg.Order)
}

// deadLetters returns the open dead letters of the order.
func (x *walk) deadLetters() []app.DeadLetter {
	open := app.DeadLetterOpen
	page, err := x.h.UseCases.API.DeadLetters(x.t.Context(), x.caller("operator"), app.DeadLetterFilter{
		Order: x.o, State: &open, Limit: 100,
	})
	if err != nil {
		x.t.Fatalf("DeadLetters: %v", err)
	}
	return page.Data
}

// checkBalance checks that the captured amount less the refunds is the sum of the allocations of the live items.
func (x *walk) checkBalance(o *order.Order) {
	captured, refunded, alive := money.Cents(0), money.Cents(0), money.Cents(0)
	for _, p := range o.Payments {
		if p.State == order.PaymentReverted {
			continue
		}
		captured += p.Paid
		for _, a := range p.Allocations {
			isRefunded := false
			for _, r := range o.Refunds {
				if r.Payment == p.ID && r.Item == a.Item && r.State.Accepted() {
					isRefunded, refunded = true, refunded+r.Cents
				}
			}
			if !isRefunded {
				alive += a.Cents
			}
		}
	}
	if captured-refunded != alive {
		x.t.Fatalf("captured %d - refunded %d is not the %d of the live items", captured, refunded, alive)
	}
}
