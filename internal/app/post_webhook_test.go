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

func TestAnEndpointThatNeverTakesAMessageIsCalledTenTimesAndThenLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated).ID
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	var waits []time.Duration
	calls := h.heard("/hook")
	for i := 1; i < len(calls); i++ {
		waits = append(waits, calls[i].at.Sub(calls[i-1].at))
	}
	wantGaps(t, waits, 5*time.Second, 5*time.Minute, 30*time.Minute, 2*time.Hour, 5*time.Hour, 10*time.Hour, 14*time.Hour,
		20*time.Hour, 24*time.Hour)
	delivery := h.only(e)
	if delivery.State != app.WebhookDeliveryFailed || delivery.Calls != 10 || len(delivery.Log) != 10 ||
		delivery.Log[0].N != 10 || delivery.LastResult != app.PostRefused || delivery.LastStatus != 500 {
		t.Errorf("the delivery: %+v", delivery)
	}
	if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointFailing || got.Why != app.WebhookEndpointExhausted {
		t.Errorf("the endpoint is %s, %s; want failing, exhausted", got.State, got.Why)
	}

	second := h.Draft("per_item", harness.VPS())
	h.Drain(second.Order.ID)
	if n := len(h.heard("/hook")); n != 10 {
		t.Errorf("a failing endpoint was called: %d calls", n)
	}
	h.replay(e, delivery.ID)
	h.Drain()
	if got, calls := h.webhookEndpoint(e), h.heard("/hook"); got.State != app.WebhookEndpointFailing || len(calls) != 11 {
		t.Errorf("after a replay in vain: %s, %d calls; want failing, one more call", got.State, len(calls))
	}

	h.says(200)
	h.replay(e, delivery.ID)
	h.Drain()
	if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointActive || got.Failures != 0 {
		t.Errorf("after a replay that was taken: %+v, want active with a clean record", got)
	}
	log := h.log(e)
	if len(log) != 2 || log[0].State != app.WebhookDeliveryDelivered || log[1].State != app.WebhookDeliveryDelivered ||
		log[0].Calls != 12 || log[1].Calls != 1 {
		t.Errorf("deliveries: %+v, want both taken", log)
	}
	first := h.heard("/hook")[0]
	for _, c := range h.heard("/hook")[:12] {
		if c.id != first.id || string(c.body) != string(first.body) {
			t.Errorf("a repeated call has another id or body: %s, %s", c.id, c.body)
		}
	}
	h.CheckWorld()
}

func TestAnEndpointThatIsGoneIsNeverCalledAgainUntilSomebodyEnablesIt(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(410)
	e := h.add("/hook", order.EvCreated).ID
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID) // while disabled: not kept
	if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointDisabled || got.Why != app.WebhookEndpointGone {
		t.Errorf("the endpoint is %s, %s; want disabled, gone", got.State, got.Why)
	}
	delivery := h.only(e)
	if delivery.State != app.WebhookDeliveryFailed || delivery.Calls != 1 || delivery.LastResult != app.PostGone {
		t.Errorf("the delivery: %+v", delivery)
	}
	if _, err := h.UseCases.API.ReplayWebhookDelivery(t.Context(), h.admin(), e,
		delivery.ID); codeOf(err) != "webhook-disabled" {
		t.Errorf("replay to a disabled endpoint: %v", err)
	}
	h.says(204)
	h.enable(e, true)
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	if n := len(h.heard("/hook")); n != 2 {
		t.Errorf("%d calls, want the one of before and the one of the new event", n)
	}
}

func codeOf(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code
	}
	return ""
}

func TestAnEndpointThatIsStoppedDuringACallKeepsWhatIsPending(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated).ID
	h.UseCases.Worker.WebhookSender = webhookSender{
		h.UseCases.Worker.WebhookSender,
		func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
			answer := post()
			if len(h.heard("/hook")) == 1 {
				h.enable(e, false)
			}
			return answer
		},
	}
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	if delivery := h.only(e); delivery.State != app.WebhookDeliveryPending || delivery.Calls != 1 {
		t.Errorf("%+v, want it pending, its call written down", delivery)
	}
	h.says(204)
	h.enable(e, true)
	h.Drain()
	if delivery := h.only(e); delivery.State != app.WebhookDeliveryDelivered {
		t.Errorf("enabled again: %+v", delivery)
	}
}

func TestARetryAfterIsKept(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(429, "Retry-After", "7200")
	h.add("/hook", order.EvCreated)
	h.Draft("per_item", harness.VPS())
	h.Publish()
	h.WorkOne()
	h.says(204)
	h.Drain()
	calls := h.heard("/hook")
	if len(calls) != 2 || calls[1].at.Sub(calls[0].at) < 2*time.Hour ||
		calls[1].at.Sub(calls[0].at) > 2*time.Hour+time.Minute {
		t.Errorf("calls %+v, want the second two hours after the first", calls)
	}
}

func TestAProcessThatDiesAroundACallPostsTheSameMessageAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after bool
		heard int
	}{"before the call": {false, 1}, "after it, before it is written down": {true, 2}} {
		h := newHooks(t)
		e := h.add("/hook", order.EvCreated).ID
		h.UseCases.Worker.WebhookSender = webhookSender{
			h.UseCases.Worker.WebhookSender,
			func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
				if c.after {
					post()
				}
				panic(harness.Crash{})
			},
		}
		h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
		calls := h.heard("/hook")
		if len(calls) != c.heard || calls[0].id != calls[len(calls)-1].id ||
			string(calls[0].body) != string(calls[len(calls)-1].body) {
			t.Errorf("dead %s: heard %d messages, want %d of the same", name, len(calls), c.heard)
		}
		if delivery := h.only(e); delivery.State != app.WebhookDeliveryDelivered || delivery.Calls != 1 {
			t.Errorf("dead %s: %+v, want it delivered, one call written down", name, delivery)
		}
		h.CheckWorld()
	}
}

func TestAWorkerThatIsToldToStopDuringACallWritesNothingDown(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	e := h.add("/hook", order.EvCreated).ID
	h.Draft("per_item", harness.VPS())
	h.Publish()
	ctx, cancel := context.WithCancel(t.Context())
	h.UseCases.Worker.WebhookSender = webhookSender{
		h.UseCases.Worker.WebhookSender,
		func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
			answer := post()
			cancel()
			return answer
		},
	}
	if _, err := h.UseCases.Worker.PostWebhook(ctx, h.Tenant.ID, fulfil.TaskID(h.only(e).ID)); !errors.Is(err,
		context.Canceled) {
		t.Errorf("stopped in a call: %v", err)
	}
	if delivery := h.only(e); delivery.State != app.WebhookDeliveryPending || delivery.Calls != 0 {
		t.Errorf("%+v, want it as it was", delivery)
	}
}

func TestTwoWorkersOnOneDeliveryCountOneCall(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	e := h.add("/hook", order.EvCreated).ID
	h.Draft("per_item", harness.VPS())
	h.Publish()
	var both sync.WaitGroup
	both.Add(2)
	h.UseCases.Worker.WebhookSender = webhookSender{
		h.UseCases.Worker.WebhookSender,
		func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
			both.Done()
			both.Wait() // each has read the task before either posts
			return post()
		},
	}
	taskID := fulfil.TaskID(h.only(e).ID)
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
		t.Errorf("ends %v and %v, want one written down and one fenced", a, b)
	}
	calls := h.heard("/hook")
	if len(calls) != 2 || calls[0].id != calls[1].id {
		t.Errorf("heard %v, want the same message twice", idsOf(calls))
	}
	if delivery := h.only(e); delivery.State != app.WebhookDeliveryDelivered || delivery.Calls != 1 {
		t.Errorf("%+v, want it delivered, one call", delivery)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnEndpointThatFailsInARowRestsAsAWhole(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated).ID
	for range 10 {
		h.Draft("per_item", harness.VPS())
	}
	h.Publish()
	for h.WorkOne() {
	}
	if got := h.webhookEndpoint(e); got.Failures != 3 || !got.RestingUntil.Equal(h.Clock.Now().Add(30*time.Second)) {
		t.Errorf("after three failures in a row: %d failures, resting until %s; want 3 and half a minute from %s",
			got.Failures, got.RestingUntil, h.Clock.Now())
	}
	if n := len(h.heard("/hook")); n != 3 {
		t.Errorf("%d calls before it rests, want 3", n)
	}
	due, err := h.DB.Worker(t).DueTasks(t.Context(), "webhook", fulfil.Queued, h.Clock.Now(), 100)
	if err != nil || len(due) != 0 {
		t.Errorf("%d of its deliveries take their tenant's places while it rests (%v)", len(due), err)
	}
	h.says(204)
	h.Drain()
	for _, delivery := range h.log(e) {
		if delivery.State != app.WebhookDeliveryDelivered {
			t.Errorf("after its rest: %+v", delivery)
		}
	}
	if got := h.webhookEndpoint(e); got.Failures != 0 || !got.RestingUntil.IsZero() {
		t.Errorf("a clean record: %+v", got)
	}
}
