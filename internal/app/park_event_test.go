package app_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// These are the events of an order of one server that the customer gets a notice of. The credentials come in a mail of
// their own.
const (
	paymentConfirmed    = string(order.EvPaymentConfirmed)
	provisioningStarted = string(order.EvProvisioningStarted)
	fulfilled           = string(order.EvFulfilled)
)

// notices returns the types of the events that the notify consumer has made a task for, in its order.
func notices(t *testing.T, h *harness.Harness, o order.ID) []string {
	t.Helper()
	rec, err := h.UseCases.API.Saga(t.Context(), h.As(tenant.Operator), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, task := range rec.Tasks {
		if task.Kind == fulfil.Notify {
			got = append(got, task.Detail)
		}
	}
	return got
}

// parkedOrder returns a fulfilled order whose payment event the notify consumer could not apply, and the dead letter of
// that event. heal removes the failure.
func parkedOrder(t *testing.T, h *harness.Harness) (o order.ID, l deadLetterID, heal func()) {
	t.Helper()
	h.ParkOnError = true
	heal = h.DB.Poison(t, "notify", paymentConfirmed)
	o = h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	return o, deadLetterOf(t, h, o, "event-failed"), heal
}

func deadLetterDetail(t *testing.T, h *harness.Harness, l deadLetterID) app.DeadLetterDetail {
	t.Helper()
	d, err := h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Operator), l)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// deadLetterSummary returns what the tests compare of a dead letter.
func deadLetterSummary(d app.DeadLetterDetail) string {
	s := d.State.String() + " " + string(d.Event.Type) + " " + string(d.Suggested())
	if d.Event.Blocked > 0 {
		s += " blocked " + string(rune('0'+d.Event.Blocked))
	}
	return s
}

func wantDeadLetter(t *testing.T, h *harness.Harness, what string, l deadLetterID, want string) {
	t.Helper()
	wantEqual(t, what, deadLetterSummary(deadLetterDetail(t, h, l)), want)
}

func parkedCounts(t *testing.T, h *harness.Harness, as tenant.Role) []app.ParkedCount {
	t.Helper()
	r, err := h.UseCases.API.Routing(t.Context(), h.As(as))
	if err != nil {
		t.Fatal(err)
	}
	return r.Parked
}

func TestAParkedEventBlocksTheOrdersLaterEventsForItsConsumerAlone(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l, _ := parkedOrder(t, h)
	d := deadLetterDetail(t, h, l)
	wantEqual(t, "the dead letter", deadLetterSummary(d), "parked order.payment-confirmed redrive blocked 2")
	if d.Class != fault.Retryable || d.Attempts != 6 || d.Step != "notify" || d.Event.Consumer != "notify" ||
		d.Detail != "internal: the consumer's log has the error" {
		t.Errorf("the dead letter: %+v", d.DeadLetter)
	}
	wantList(t, "reasons to abandon it", abandonReasons(d.AbandonReasons), "other")
	if diff := cmp.Diff([]app.ParkedCount{{Consumer: "notify", Parked: 1, Blocked: 2}},
		parkedCounts(t, h, tenant.Operator)); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
	if got := notices(t, h, o); got != nil {
		t.Errorf("notices %v behind a parked event", got)
	}
	if n := h.QueryInt(`SELECT seq FROM platforma.inbox WHERE consumer = 'billing'`); n == 0 {
		t.Error("the billing consumer did not go on")
	}
	h.CheckInvariants()
}

func abandonReasons(all []app.AbandonReason) []string {
	var names []string
	for _, g := range all {
		names = append(names, string(g))
	}
	return names
}

func TestARedriveAppliesTheParkedEventAndThenTheBlockedOnesInOrder(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l, heal := parkedOrder(t, h)
	heal()
	wantEqual(t, "redrive", redrive(t, h, l), "parked")
	wantDeadLetter(t, h, "while it is at work", l, "parked order.payment-confirmed wait blocked 2")
	wantEqual(t, "a second one meanwhile", redrive(t, h, l), "not-stuck")
	h.Drain(o)
	wantList(t, "notices", notices(t, h, o), paymentConfirmed, provisioningStarted, fulfilled)
	d := deadLetterDetail(t, h, l)
	wantEqual(t, "the dead letter", deadLetterSummary(d), "redriven order.payment-confirmed nothing")
	if d.Reason != "again" || d.ClosedAt == nil {
		t.Errorf("closed at %v with the reason %q", d.ClosedAt, d.Reason)
	}
	if got := parkedCounts(t, h, tenant.Operator); got != nil {
		t.Errorf("still parked: %v", got)
	}
	if n := h.QueryInt(`
		SELECT count(*) FROM platforma.inbox
		WHERE parked_seq IS NOT NULL OR blocked_to IS NOT NULL OR blocked <> 0 OR redrive_seq IS NOT NULL`); n != 0 {
		t.Errorf("%d checkpoints still have something parked or blocked", n)
	}
	h.CheckInvariants()
}

func TestAFailingRedriveIsTriedSixTimesAndLeavesTheEventParked(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l, heal := parkedOrder(t, h)
	began := h.Clock.Now()
	wantEqual(t, "redrive", redrive(t, h, l), "parked")
	h.Drain(o)
	d := deadLetterDetail(t, h, l)
	wantEqual(t, "the dead letter", deadLetterSummary(d), "parked order.payment-confirmed redrive blocked 2")
	if d.Attempts != 12 || d.Event.Redriving {
		t.Errorf("%d attempts, want 12: six in the consumer, six by the redrive", d.Attempts)
	}
	if took := h.Clock.Now().Sub(began); took < time.Minute || took > 66*time.Second {
		t.Errorf("the redrive gave up after %s, want 60 to 66 s", took)
	}
	wantList(t, "notices", notices(t, h, o))
	heal()
	wantEqual(t, "redrive after the failure is gone", redrive(t, h, l), "parked")
	h.Drain(o)
	wantList(t, "notices", notices(t, h, o), paymentConfirmed, provisioningStarted, fulfilled)
	h.CheckInvariants()
}

func TestABlockedEventThatFailsDuringARedriveIsParkedItself(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, first, heal := parkedOrder(t, h)
	heal()
	healStarted := h.DB.Poison(t, "notify", provisioningStarted)
	wantEqual(t, "redrive", redrive(t, h, first), "parked")
	h.Drain(o)
	wantDeadLetter(t, h, "the first dead letter", first, "redriven order.payment-confirmed nothing")
	second := deadLetterOf(t, h, o, "event-failed")
	d := deadLetterDetail(t, h, second)
	wantEqual(t, "the second dead letter", deadLetterSummary(d), "parked order.provisioning-started redrive blocked 1")
	if d.Attempts != 6 {
		t.Errorf("%d attempts, want 6", d.Attempts)
	}
	wantList(t, "notices", notices(t, h, o), paymentConfirmed)
	healStarted()
	wantEqual(t, "redrive", redrive(t, h, second), "parked")
	h.Drain(o)
	wantList(t, "notices", notices(t, h, o), paymentConfirmed, provisioningStarted, fulfilled)
	h.CheckInvariants()
}

func TestAnEventAbandonedByTwoPeopleIsSkippedAndTheBlockedOnesGoOn(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l, heal := parkedOrder(t, h)
	in := app.AbandonDeadLetter{
		DeadLetter: l, AbandonReason: app.OtherReason, Text: "the customer was told by telephone", Proof: "OPS-7",
	}
	_, err := h.UseCases.API.AbandonDeadLetter(t.Context(), h.As(tenant.Operator), in)
	wantEqual(t, "first signature", outcome(t, "signed", err), "signed")
	wantDeadLetter(t, h, "while it awaits the second", l, "parked order.payment-confirmed second-person blocked 2")
	_, err = h.UseCases.API.AbandonDeadLetter(t.Context(), h.As(tenant.Operator), in)
	wantEqual(t, "the same person again", outcome(t, "signed", err), "second-person-required")
	_, err = h.UseCases.API.AbandonDeadLetter(t.Context(), h.As(tenant.Admin), in)
	wantEqual(t, "second signature", outcome(t, "signed", err), "signed")
	heal() // the trigger that fails the checkpoint would fail the skip too
	h.Drain(o)
	wantList(t, "notices", notices(t, h, o), provisioningStarted, fulfilled)
	wantDeadLetter(t, h, "the dead letter", l, "abandoned order.payment-confirmed nothing")
	wantEqual(t, "redrive", redrive(t, h, l), "not-stuck")
	if got := parkedCounts(t, h, tenant.Operator); got != nil {
		t.Errorf("still parked: %v", got)
	}
	h.CheckInvariants()
}

// Two workers work the same task, as after the first one froze.
func TestTwoRedrivesAtOnceApplyEachEventOnce(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l, heal := parkedOrder(t, h)
	heal()
	wantEqual(t, "redrive", redrive(t, h, l), "parked")
	var calls sync.Map
	counted := h.UseCases.Worker.Handlers["notify"]
	apply := counted.Apply
	counted.Apply = func(ctx context.Context, ev event.Event) error {
		err := apply(ctx, ev)
		if err == nil {
			if _, twice := calls.LoadOrStore(ev.Seq, true); twice {
				t.Errorf("event %d was applied twice", ev.Seq)
			}
		}
		return err
	}
	h.UseCases.Worker.Handlers["notify"] = counted
	taskID := deadLetterDetail(t, h, l).Task
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { _, _ = h.UseCases.Worker.RedriveEvent(t.Context(), h.Tenant.ID, taskID) })
	}
	both.Wait()
	h.Drain(o)
	wantList(t, "notices", notices(t, h, o), paymentConfirmed, provisioningStarted, fulfilled)
	h.CheckInvariants()
}

func TestAnEventConsumedDuringARedriveIsAppliedWithTheRest(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.ParkOnError = true
	heal := h.DB.Poison(t, "notify", paymentConfirmed)
	o := h.PaidOrder(harness.VPS())
	h.Publish()
	l := deadLetterOf(t, h, o, "event-failed")
	heal()
	wantEqual(t, "redrive", redrive(t, h, l), "parked")
	h.Drain(o) // the consumer reads the later events of the order during the redrive
	wantList(t, "notices", notices(t, h, o), paymentConfirmed, provisioningStarted, fulfilled)
	wantDeadLetter(t, h, "the dead letter", l, "redriven order.payment-confirmed nothing")
	h.CheckInvariants()
}

func TestOnlyOperatorsOfTheTenantSeeAndRedriveAParkedEvent(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	_, l, _ := parkedOrder(t, h)
	foreign := app.Caller{Actor: h.OtherTenant.Actor(tenant.Operator)}
	_, err := h.UseCases.API.DeadLetter(t.Context(), foreign, l)
	wantEqual(t, "another tenant reads", outcome(t, "shown", err), "not-found")
	_, err = h.UseCases.API.RedriveDeadLetter(t.Context(), foreign, l, "mine")
	wantEqual(t, "another tenant redrives", outcome(t, "redriven", err), "not-found")
	r, err := h.UseCases.API.Routing(t.Context(), foreign)
	if err != nil || r.Parked != nil {
		t.Errorf("another tenant counts %v (%v)", r.Parked, err)
	}
	_, err = h.UseCases.API.RedriveDeadLetter(t.Context(), h.As(tenant.Customer), l, "mine")
	wantEqual(t, "a customer redrives", outcome(t, "redriven", err), "forbidden")
	ev := h.Events[0]
	ev.Tenant = h.OtherTenant.ID
	err = h.UseCases.Worker.ParkEvent(t.Context(), app.Poison{
		Consumer: "notify", Event: ev, Attempts: 6, FirstFailedAt: h.Clock.Now(), Err: fault.Absent(),
	})
	wantEqual(t, "an event under another tenant's name", outcome(t, "parked", err), "not-found")
	if n := h.QueryInt(`SELECT count(*) FROM platforma.inbox WHERE tenant_id = $1`, h.OtherTenant.ID.String()); n != 0 {
		t.Errorf("%d checkpoints of the other tenant", n)
	}
}

func TestParkedEventsAppearInTheDesksGroupsAndAreRedrivenByCause(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l, heal := parkedOrder(t, h)
	groups, err := h.UseCases.API.DeadLetterGroups(t.Context(), h.As(tenant.Operator), app.DeadLetterFilter{})
	if err != nil || len(groups) != 1 || groups[0].Cause != "event-failed" || groups[0].Count != 1 ||
		groups[0].Suggested() != app.SuggestRedrive {
		t.Errorf("groups %+v (%v)", groups, err)
	}
	heal()
	wantList(t, "by its cause", redriveMany(t, h, h.As(tenant.Operator), app.RedriveDeadLetters{
		Cause: "event-failed", Reason: "mended",
	}), "redriven")
	wantList(t, "by its cause, while it is at work",
		redriveMany(t, h, h.As(tenant.Operator), app.RedriveDeadLetters{Cause: "event-failed"}))
	h.Drain(o)
	wantDeadLetter(t, h, "the dead letter", l, "redriven order.payment-confirmed nothing")
}

// A consumer that kept its checkpoint under one name and parked under another would skip what it has parked.
func TestEachConsumerKeepsItsCheckpointUnderTheNameItParksUnder(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	names := slices.Sorted(slices.Values(app.Parking()))
	wantList(t, "wired", slices.Sorted(maps.Keys(h.UseCases.Worker.Handlers)), names...)
	for name, l := range h.UseCases.Worker.Handlers {
		wantEqual(t, "wired as "+name, l.Name, name)
		if n := h.QueryInt(`SELECT count(*) FROM platforma.inbox WHERE consumer = $1`, name); n != 1 {
			t.Errorf("%s has %d checkpoints of the order, want 1", name, n)
		}
	}
	if n := h.QueryInt(`SELECT count(*) FROM platforma.inbox`); n != len(names) {
		t.Errorf("%d checkpoints, want %d: one of each consumer", n, len(names))
	}
}
