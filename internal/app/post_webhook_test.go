package app_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestAnEndpointThatNeverAcceptsAMessageIsCalledTenTimesAndThenFails(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(500)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	var waits []time.Duration
	calls := h.callsTo("/hook")
	for i := 1; i < len(calls); i++ {
		waits = append(waits, calls[i].at.Sub(calls[i-1].at))
	}
	wantGaps(t, waits, 5*time.Second, 5*time.Minute, 30*time.Minute, 2*time.Hour, 5*time.Hour, 10*time.Hour, 14*time.Hour,
		20*time.Hour, 24*time.Hour)
	delivery := h.onlyDelivery(e)
	if delivery.State != app.WebhookDeliveryFailed || delivery.Calls != 10 || len(delivery.Log) != 10 ||
		delivery.Log[0].N != 10 || delivery.LastResult != app.CallRefused || delivery.LastStatus != 500 {
		t.Errorf("the delivery: %+v", delivery)
	}
	if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointFailing || got.Why != app.WebhookEndpointExhausted {
		t.Errorf("the endpoint is %s, %s; want failing, exhausted", got.State, got.Why)
	}

	second := h.DraftOrder("per_item", harness.VPS())
	h.Drain(second.Order.ID)
	if n := len(h.callsTo("/hook")); n != 10 {
		t.Errorf("a failing endpoint was called: %d calls", n)
	}
	h.replay(e, delivery.ID)
	h.Drain()
	got, n := h.webhookEndpoint(e), len(h.callsTo("/hook"))
	if got.State != app.WebhookEndpointFailing || n != 11 {
		t.Errorf("after a replay that failed: %s, %d calls; want failing, one more call", got.State, n)
	}

	h.answerWith(200)
	h.replay(e, delivery.ID)
	h.Drain()
	if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointActive || got.Failures != 0 {
		t.Errorf("after a replay that was accepted: %+v, want active without failures", got)
	}
	log := h.deliveries(e)
	if len(log) != 2 || log[0].State != app.WebhookDeliveryDelivered || log[1].State != app.WebhookDeliveryDelivered ||
		log[0].Calls != 12 || log[1].Calls != 1 {
		t.Errorf("deliveries: %+v, want both delivered", log)
	}
	first := h.callsTo("/hook")[0]
	for _, c := range h.callsTo("/hook")[:12] {
		if c.id != first.id || string(c.body) != string(first.body) {
			t.Errorf("a repeated call has another id or body: %s, %s", c.id, c.body)
		}
	}
	h.CheckInvariants()
}

func TestAnEndpointThatAnswersGoneIsNotCalledUntilSomebodyEnablesIt(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(410)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID) // a disabled endpoint gets no delivery
	if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointDisabled || got.Why != app.WebhookEndpointGone {
		t.Errorf("the endpoint is %s, %s; want disabled, gone", got.State, got.Why)
	}
	delivery := h.onlyDelivery(e)
	if delivery.State != app.WebhookDeliveryFailed || delivery.Calls != 1 || delivery.LastResult != app.CallGone {
		t.Errorf("the delivery: %+v", delivery)
	}
	if _, err := h.UseCases.API.ReplayWebhookDelivery(t.Context(), h.admin(), e,
		delivery.ID); faultCode(err) != "webhook-disabled" {
		t.Errorf("replay to a disabled endpoint: %v", err)
	}
	h.answerWith(204)
	h.setEnabled(e, true)
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	if n := len(h.callsTo("/hook")); n != 2 {
		t.Errorf("%d calls, want the first one and the one of the new event", n)
	}
}

func faultCode(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code
	}
	return ""
}

func TestAnEndpointDisabledDuringACallKeepsItsPendingDeliveries(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(500)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.UseCases.Worker.WebhookSender = hookedSender{
		h.UseCases.Worker.WebhookSender,
		func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
			answer := post()
			if len(h.callsTo("/hook")) == 1 {
				h.setEnabled(e, false)
			}
			return answer
		},
	}
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	if delivery := h.onlyDelivery(e); delivery.State != app.WebhookDeliveryPending || delivery.Calls != 1 {
		t.Errorf("%+v, want it pending with its call recorded", delivery)
	}
	h.answerWith(204)
	h.setEnabled(e, true)
	h.Drain()
	if delivery := h.onlyDelivery(e); delivery.State != app.WebhookDeliveryDelivered {
		t.Errorf("enabled again: %+v", delivery)
	}
}

func TestRetryAfterOfAReceiverIsHonoured(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(429, "Retry-After", "7200")
	h.addEndpoint("/hook", order.EvCreated)
	h.DraftOrder("per_item", harness.VPS())
	h.Publish()
	h.WorkOneTask()
	h.answerWith(204)
	h.Drain()
	calls := h.callsTo("/hook")
	if len(calls) != 2 || calls[1].at.Sub(calls[0].at) < 2*time.Hour ||
		calls[1].at.Sub(calls[0].at) > 2*time.Hour+time.Minute {
		t.Errorf("calls %+v, want the second two hours after the first", calls)
	}
}

func TestAProcessThatDiesAroundACallPostsTheSameMessageAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after    bool
		messages int
	}{"before the call": {false, 1}, "after the call, before it is recorded": {true, 2}} {
		h := newWebhookHarness(t)
		e := h.addEndpoint("/hook", order.EvCreated).ID
		h.UseCases.Worker.WebhookSender = hookedSender{
			h.UseCases.Worker.WebhookSender,
			func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
				if c.after {
					post()
				}
				panic(harness.Crash{})
			},
		}
		h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
		calls := h.callsTo("/hook")
		if len(calls) != c.messages || calls[0].id != calls[len(calls)-1].id ||
			string(calls[0].body) != string(calls[len(calls)-1].body) {
			t.Errorf("died %s: %d messages, want %d of the same", name, len(calls), c.messages)
		}
		if delivery := h.onlyDelivery(e); delivery.State != app.WebhookDeliveryDelivered || delivery.Calls != 1 {
			t.Errorf("died %s: %+v, want it delivered with one call recorded", name, delivery)
		}
		h.CheckInvariants()
	}
}

func TestAWorkerCancelledDuringACallRecordsNothing(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.DraftOrder("per_item", harness.VPS())
	h.Publish()
	ctx, cancel := context.WithCancel(t.Context())
	h.UseCases.Worker.WebhookSender = hookedSender{
		h.UseCases.Worker.WebhookSender,
		func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
			answer := post()
			cancel()
			return answer
		},
	}
	if _, err := h.UseCases.Worker.PostWebhook(ctx, h.Tenant.ID, fulfil.TaskID(h.onlyDelivery(e).ID)); !errors.Is(err,
		context.Canceled) {
		t.Errorf("cancelled during a call: %v", err)
	}
	if delivery := h.onlyDelivery(e); delivery.State != app.WebhookDeliveryPending || delivery.Calls != 0 {
		t.Errorf("%+v, want it as it was", delivery)
	}
}

func TestTwoWorkersOnOneDeliveryCountOneCall(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.DraftOrder("per_item", harness.VPS())
	h.Publish()
	var both sync.WaitGroup
	both.Add(2)
	h.UseCases.Worker.WebhookSender = hookedSender{
		h.UseCases.Worker.WebhookSender,
		func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
			both.Done()
			both.Wait() // each has read the task before either posts
			return post()
		},
	}
	taskID := fulfil.TaskID(h.onlyDelivery(e).ID)
	var done sync.WaitGroup
	ends := make(chan error, 2)
	for range 2 {
		done.Go(func() {
			_, err := h.UseCases.Worker.PostWebhook(context.WithoutCancel(t.Context()), h.Tenant.ID, taskID)
			ends <- err
		})
	}
	done.Wait()
	a, b := <-ends, <-ends
	if (a == nil) == (b == nil) || a != nil && !errors.Is(a, app.ErrFenced) || b != nil && !errors.Is(b, app.ErrFenced) {
		t.Errorf("ended with %v and %v, want one without an error and one fenced", a, b)
	}
	calls := h.callsTo("/hook")
	if len(calls) != 2 || calls[0].id != calls[1].id {
		t.Errorf("received %v, want the same message twice", messageIDs(calls))
	}
	if delivery := h.onlyDelivery(e); delivery.State != app.WebhookDeliveryDelivered || delivery.Calls != 1 {
		t.Errorf("%+v, want it delivered, one call", delivery)
	}
}

// errOf returns the error of a call with two results.
func errOf[T any](_ T, err error) error { return err }

func TestThreeFailuresInARowPauseAllDeliveriesOfAnEndpoint(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(500)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	for range 10 {
		h.DraftOrder("per_item", harness.VPS())
	}
	h.Publish()
	for h.WorkOneTask() {
	}
	if got := h.webhookEndpoint(e); got.Failures != 3 || !got.RestingUntil.Equal(h.Clock.Now().Add(30*time.Second)) {
		t.Errorf("after three failures in a row: %d failures, resting until %s; want 3 and half a minute from %s",
			got.Failures, got.RestingUntil, h.Clock.Now())
	}
	if n := len(h.callsTo("/hook")); n != 3 {
		t.Errorf("%d calls before it pauses, want 3", n)
	}
	due, err := h.DB.Worker(t).DueTasks(t.Context(), "webhook", fulfil.Queued, h.Clock.Now(), 100)
	if err != nil || len(due) != 0 {
		t.Errorf("%d of its deliveries are due while it pauses (%v)", len(due), err)
	}
	h.answerWith(204)
	h.Drain()
	for _, delivery := range h.deliveries(e) {
		if delivery.State != app.WebhookDeliveryDelivered {
			t.Errorf("after the pause: %+v", delivery)
		}
	}
	if got := h.webhookEndpoint(e); got.Failures != 0 || !got.RestingUntil.IsZero() {
		t.Errorf("after the deliveries: %+v, want no failures and no pause", got)
	}
}
