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

// The order of one server is told to its customer by three notices, and one of each credential.
const (
	paidNews    = string(order.EvPaymentConfirmed)
	startedNews = string(order.EvProvisioningStarted)
	doneNews    = string(order.EvFulfilled)
)

// notices are the types of event that the notify consumer has asked a mail for, in its order.
func notices(t *testing.T, w *harness.Harness, o order.ID) []string {
	t.Helper()
	rec, err := w.UseCases.API.Saga(t.Context(), w.As(tenant.Operator), o)
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

// parkedOrder is an order whose payment's event the notify consumer could not apply; its other consumers
// went on, and the order is fulfilled.
func parkedOrder(t *testing.T, w *harness.Harness) (o order.ID, l deadLetterID, heal func()) {
	t.Helper()
	w.Parks = true
	heal = w.DB.Poison(t, "notify", paidNews)
	o = w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	return o, deadLetterOf(t, w, o, "event-failed"), heal
}

func parkedDeadLetter(t *testing.T, w *harness.Harness, l deadLetterID) app.DeadLetterDetail {
	t.Helper()
	d, err := w.UseCases.API.DeadLetter(t.Context(), w.As(tenant.Operator), l)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// stands is what of a letter the tests compare.
func stands(d app.DeadLetterDetail) string {
	s := d.State.String() + " " + string(d.Event.Type) + " " + string(d.Suggested())
	if d.Event.Blocked > 0 {
		s += " blocked " + string(rune('0'+d.Event.Blocked))
	}
	return s
}

func counts(t *testing.T, w *harness.Harness, as tenant.Role) []app.ParkedCount {
	t.Helper()
	r, err := w.UseCases.API.Routing(t.Context(), w.As(as))
	if err != nil {
		t.Fatal(err)
	}
	return r.Parked
}

func TestAParkedEventHoldsItsOrdersLaterOnesForItsConsumerAlone(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l, _ := parkedOrder(t, w)
	d := parkedDeadLetter(t, w, l)
	want(t, "the letter", stands(d), "parked order.payment-confirmed redrive blocked 2")
	if d.Class != fault.Retryable || d.Attempts != 6 || d.Step != "notify" || d.Event.Consumer != "notify" ||
		d.Detail != "internal: the consumer's log has the error" {
		t.Errorf("the letter: %+v", d.DeadLetter)
	}
	wantEach(t, "grounds to abandon it", abandonReasons(d.Allows), "other")
	if diff := cmp.Diff([]app.ParkedCount{{Consumer: "notify", Parked: 1, Blocked: 2}},
		counts(t, w, tenant.Operator)); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
	if got := notices(t, w, o); got != nil {
		t.Errorf("notices %v behind a parked event", got)
	}
	if n := w.Count(`SELECT seq FROM platforma.inbox WHERE consumer = 'billing'`); n == 0 {
		t.Error("billing did not go on")
	}
	w.CheckWorld()
}

func abandonReasons(all []app.AbandonReason) []string {
	var names []string
	for _, g := range all {
		names = append(names, string(g))
	}
	return names
}

func TestARedriveAppliesTheParkedEventAndThenWhatWaitsBehindItInOrder(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l, heal := parkedOrder(t, w)
	heal()
	want(t, "redrive", redriveOf(t, w, l), "parked")
	want(t, "while it is at work", stands(parkedDeadLetter(t, w, l)), "parked order.payment-confirmed wait blocked 2")
	want(t, "a second one meanwhile", redriveOf(t, w, l), "not-stuck")
	w.Drain(o)
	wantEach(t, "notices", notices(t, w, o), paidNews, startedNews, doneNews)
	d := parkedDeadLetter(t, w, l)
	want(t, "the letter", stands(d), "redriven order.payment-confirmed nothing")
	if d.Reason != "again" || d.ClosedAt == nil {
		t.Errorf("closed at %v with the reason %q", d.ClosedAt, d.Reason)
	}
	if got := counts(t, w, tenant.Operator); got != nil {
		t.Errorf("still parked: %v", got)
	}
	if n := w.Count(`SELECT count(*) FROM platforma.inbox WHERE parked_seq IS NOT NULL OR blocked_to IS NOT NULL
		OR blocked <> 0 OR redrive_seq IS NOT NULL`); n != 0 {
		t.Errorf("%d marks are not clean", n)
	}
	w.CheckWorld()
}

func TestARedriveThatFailsAgainIsCalledSixTimesAndLeavesTheDeadLetterParked(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l, heal := parkedOrder(t, w)
	began := w.Clock.Now()
	want(t, "redrive", redriveOf(t, w, l), "parked")
	w.Drain(o)
	d := parkedDeadLetter(t, w, l)
	want(t, "the letter", stands(d), "parked order.payment-confirmed redrive blocked 2")
	if d.Attempts != 12 || d.Event.Redriving {
		t.Errorf("%d attempts, want 12: six in the consumer, six by the redrive", d.Attempts)
	}
	if took := w.Clock.Now().Sub(began); took < time.Minute || took > 66*time.Second {
		t.Errorf("the redrive gave up after %s, want 60 to 66 s", took)
	}
	wantEach(t, "notices", notices(t, w, o))
	heal()
	want(t, "redrive once mended", redriveOf(t, w, l), "parked")
	w.Drain(o)
	wantEach(t, "notices", notices(t, w, o), paidNews, startedNews, doneNews)
	w.CheckWorld()
}

func TestAHeldEventThatFailsWhenItsTurnComesIsParkedInItsTurn(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, first, heal := parkedOrder(t, w)
	heal()
	healStarted := w.DB.Poison(t, "notify", startedNews)
	want(t, "redrive", redriveOf(t, w, first), "parked")
	w.Drain(o)
	want(t, "the first letter", stands(parkedDeadLetter(t, w, first)), "redriven order.payment-confirmed nothing")
	second := deadLetterOf(t, w, o, "event-failed")
	d := parkedDeadLetter(t, w, second)
	want(t, "the second letter", stands(d), "parked order.provisioning-started redrive blocked 1")
	if d.Attempts != 6 {
		t.Errorf("%d attempts, want 6", d.Attempts)
	}
	wantEach(t, "notices", notices(t, w, o), paidNews)
	healStarted()
	want(t, "redrive", redriveOf(t, w, second), "parked")
	w.Drain(o)
	wantEach(t, "notices", notices(t, w, o), paidNews, startedNews, doneNews)
	w.CheckWorld()
}

func TestAnAbandonedEventIsPassedOverByTwoPeopleAndTheHeldOnesGoOn(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l, heal := parkedOrder(t, w)
	in := app.AbandonDeadLetter{
		DeadLetter: l, AbandonReason: app.OtherReason, Text: "the customer was told by telephone", Proof: "OPS-7",
	}
	_, err := w.UseCases.API.AbandonDeadLetter(t.Context(), w.As(tenant.Operator), in)
	want(t, "first signature", outcome(t, "signed", err), "signed")
	want(t, "while it awaits the second", stands(parkedDeadLetter(t, w, l)),
		"parked order.payment-confirmed second-person blocked 2")
	_, err = w.UseCases.API.AbandonDeadLetter(t.Context(), w.As(tenant.Operator), in)
	want(t, "the same person again", outcome(t, "signed", err), "second-person-required")
	_, err = w.UseCases.API.AbandonDeadLetter(t.Context(), w.As(tenant.Admin), in)
	want(t, "second signature", outcome(t, "signed", err), "signed")
	heal() // the poison sits at the mark, which passes over now
	w.Drain(o)
	wantEach(t, "notices", notices(t, w, o), startedNews, doneNews)
	want(t, "the letter", stands(parkedDeadLetter(t, w, l)), "abandoned order.payment-confirmed nothing")
	want(t, "redrive", redriveOf(t, w, l), "not-stuck")
	if got := counts(t, w, tenant.Operator); got != nil {
		t.Errorf("still parked: %v", got)
	}
	w.CheckWorld()
}

// Two workers have the same task: a frozen one and the one that took over.
func TestTwoRedrivesAtOnceApplyEachEventOnce(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l, heal := parkedOrder(t, w)
	heal()
	want(t, "redrive", redriveOf(t, w, l), "parked")
	var calls sync.Map
	counted := w.UseCases.Worker.Handlers["notify"]
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
	w.UseCases.Worker.Handlers["notify"] = counted
	taskID := parkedDeadLetter(t, w, l).Task
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { _, _ = w.UseCases.Worker.RedriveEvent(t.Context(), w.Tenant.ID, taskID) })
	}
	both.Wait()
	w.Drain(o)
	wantEach(t, "notices", notices(t, w, o), paidNews, startedNews, doneNews)
	w.CheckWorld()
}

func TestAnEventHeardWhileItsOrderIsRedrivenIsAppliedWithTheRest(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Parks = true
	heal := w.DB.Poison(t, "notify", paidNews)
	o := w.PaidOrder(harness.VPS())
	w.Publish()
	l := deadLetterOf(t, w, o, "event-failed")
	heal()
	want(t, "redrive", redriveOf(t, w, l), "parked")
	w.Drain(o) // the order goes on, and its events are heard, beside the redrive
	wantEach(t, "notices", notices(t, w, o), paidNews, startedNews, doneNews)
	want(t, "the letter", stands(parkedDeadLetter(t, w, l)), "redriven order.payment-confirmed nothing")
	w.CheckWorld()
}

func TestAParkedEventIsNobodyElsesToSeeOrToMove(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	_, l, _ := parkedOrder(t, w)
	foreign := app.Caller{Actor: w.Other.Actor(tenant.Operator)}
	_, err := w.UseCases.API.DeadLetter(t.Context(), foreign, l)
	want(t, "another tenant reads", outcome(t, "shown", err), "not-found")
	_, err = w.UseCases.API.RedriveDeadLetter(t.Context(), foreign, l, "mine")
	want(t, "another tenant redrives", outcome(t, "redriven", err), "not-found")
	r, err := w.UseCases.API.Routing(t.Context(), foreign)
	if err != nil || r.Parked != nil {
		t.Errorf("another tenant counts %v (%v)", r.Parked, err)
	}
	_, err = w.UseCases.API.RedriveDeadLetter(t.Context(), w.As(tenant.Customer), l, "mine")
	want(t, "a customer redrives", outcome(t, "redriven", err), "forbidden")
	ev := w.Events[0]
	ev.Tenant = w.Other.ID
	err = w.UseCases.Worker.ParkEvent(t.Context(), app.Poison{
		Consumer: "notify", Event: ev, Attempts: 6, FirstFailedAt: w.Clock.Now(), Err: fault.Absent(),
	})
	want(t, "an event under another tenant's name", outcome(t, "parked", err), "not-found")
	if n := w.Count(`SELECT count(*) FROM platforma.inbox WHERE tenant_id = '` + w.Other.ID.String() + `'`); n != 0 {
		t.Errorf("%d marks of the other tenant", n)
	}
}

func TestWhatIsParkedStandsInTheDesksGroupsAndIsTriedAgainByItsCause(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l, heal := parkedOrder(t, w)
	groups, err := w.UseCases.API.DeadLetterGroups(t.Context(), w.As(tenant.Operator), app.DeadLetterFilter{})
	if err != nil || len(groups) != 1 || groups[0].Cause != "event-failed" || groups[0].Count != 1 ||
		groups[0].Suggested() != app.SuggestRedrive {
		t.Errorf("groups %+v (%v)", groups, err)
	}
	heal()
	wantEach(t, "by its cause", redriveMany(t, w, w.As(tenant.Operator), app.RedriveDeadLetters{
		Cause: "event-failed", Reason: "mended",
	}), "redriven")
	wantEach(t, "by its cause, while it is at work",
		redriveMany(t, w, w.As(tenant.Operator), app.RedriveDeadLetters{Cause: "event-failed"}))
	w.Drain(o)
	want(t, "the letter", stands(parkedDeadLetter(t, w, l)), "redriven order.payment-confirmed nothing")
}

// A consumer that marked under one name and parked under another would go past what it has parked.
func TestEachConsumerThatParksMarksUnderTheNameItParksUnder(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	names := slices.Sorted(slices.Values(app.Parking()))
	wantEach(t, "wired", slices.Sorted(maps.Keys(w.UseCases.Worker.Handlers)), names...)
	for name, l := range w.UseCases.Worker.Handlers {
		want(t, "wired as "+name, l.Name, name)
		if n := w.Count(`SELECT count(*) FROM platforma.inbox WHERE consumer = '` + name + `'`); n != 1 {
			t.Errorf("%s keeps %d marks of the order, want 1", name, n)
		}
	}
	if n := w.Count(`SELECT count(*) FROM platforma.inbox`); n != len(names) {
		t.Errorf("%d marks, want %d: one of each consumer", n, len(names))
	}
}
