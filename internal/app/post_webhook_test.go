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
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/world"
)

func TestAnEndpointThatNeverTakesAMessageIsCalledTenTimesAndThenLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated).ID
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
	var waits []time.Duration
	calls := h.heard("/hook")
	for i := 1; i < len(calls); i++ {
		waits = append(waits, calls[i].at.Sub(calls[i-1].at))
	}
	wantGaps(t, waits, 5*time.Second, 5*time.Minute, 30*time.Minute, 2*time.Hour, 5*time.Hour, 10*time.Hour, 14*time.Hour, 20*time.Hour, 24*time.Hour)
	p := h.only(e)
	if p.State != app.PostingFailed || p.Calls != 10 || len(p.Log) != 10 || p.Log[0].N != 10 || p.LastResult != app.PostRefused || p.LastStatus != 500 {
		t.Errorf("the delivery: %+v", p)
	}
	if got := h.endpoint(e); got.State != app.EndpointFailing || got.Why != app.EndpointExhausted {
		t.Errorf("the endpoint is %s, %s; want failing, exhausted", got.State, got.Why)
	}

	second := h.Draft("per_item", world.VPS())
	h.Settle(second.Order.ID)
	if n := len(h.heard("/hook")); n != 10 {
		t.Errorf("a failing endpoint was called: %d calls", n)
	}
	h.replay(e, p.ID)
	h.Settle()
	if got, calls := h.endpoint(e), h.heard("/hook"); got.State != app.EndpointFailing || len(calls) != 11 {
		t.Errorf("after a replay in vain: %s, %d calls; want failing, one more call", got.State, len(calls))
	}

	h.says(200)
	h.replay(e, p.ID)
	h.Settle()
	if got := h.endpoint(e); got.State != app.EndpointActive || got.Failures != 0 {
		t.Errorf("after a replay that was taken: %+v, want active with a clean record", got)
	}
	log := h.log(e)
	if len(log) != 2 || log[0].State != app.PostingDelivered || log[1].State != app.PostingDelivered || log[0].Calls != 12 || log[1].Calls != 1 {
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
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID) // while disabled: not kept
	if got := h.endpoint(e); got.State != app.EndpointDisabled || got.Why != app.EndpointGone {
		t.Errorf("the endpoint is %s, %s; want disabled, gone", got.State, got.Why)
	}
	p := h.only(e)
	if p.State != app.PostingFailed || p.Calls != 1 || p.LastResult != app.PostGone {
		t.Errorf("the delivery: %+v", p)
	}
	if _, err := h.Verbs.API.ReplayPosting(t.Context(), h.admin(), e, p.ID); codeOf(err) != "webhook-disabled" {
		t.Errorf("replay to a disabled endpoint: %v", err)
	}
	h.says(204)
	h.enable(e, true)
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
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
	h.Verbs.Worker.Poster = poster{h.Verbs.Worker.Poster, func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
		answer := post()
		if len(h.heard("/hook")) == 1 {
			h.enable(e, false)
		}
		return answer
	}}
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
	if p := h.only(e); p.State != app.PostingPending || p.Calls != 1 {
		t.Errorf("%+v, want it pending, its call written down", p)
	}
	h.says(204)
	h.enable(e, true)
	h.Settle()
	if p := h.only(e); p.State != app.PostingDelivered {
		t.Errorf("enabled again: %+v", p)
	}
}

func TestARetryAfterIsKept(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(429, "Retry-After", "7200")
	h.add("/hook", order.EvCreated)
	h.Draft("per_item", world.VPS())
	h.Publish()
	h.WorkOne()
	h.says(204)
	h.Settle()
	calls := h.heard("/hook")
	if len(calls) != 2 || calls[1].at.Sub(calls[0].at) < 2*time.Hour || calls[1].at.Sub(calls[0].at) > 2*time.Hour+time.Minute {
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
		h.Verbs.Worker.Poster = poster{h.Verbs.Worker.Poster, func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
			if c.after {
				post()
			}
			panic(world.Crash{})
		}}
		h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
		calls := h.heard("/hook")
		if len(calls) != c.heard || calls[0].id != calls[len(calls)-1].id || string(calls[0].body) != string(calls[len(calls)-1].body) {
			t.Errorf("dead %s: heard %d messages, want %d of the same", name, len(calls), c.heard)
		}
		if p := h.only(e); p.State != app.PostingDelivered || p.Calls != 1 {
			t.Errorf("dead %s: %+v, want it delivered, one call written down", name, p)
		}
		h.CheckWorld()
	}
}

func TestAWorkerThatIsToldToStopDuringACallWritesNothingDown(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	e := h.add("/hook", order.EvCreated).ID
	h.Draft("per_item", world.VPS())
	h.Publish()
	ctx, cancel := context.WithCancel(t.Context())
	h.Verbs.Worker.Poster = poster{h.Verbs.Worker.Poster, func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
		answer := post()
		cancel()
		return answer
	}}
	if _, err := h.Verbs.Worker.PostWebhook(ctx, h.Tenant.ID, fulfil.UnitID(h.only(e).ID)); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped in a call: %v", err)
	}
	if p := h.only(e); p.State != app.PostingPending || p.Calls != 0 {
		t.Errorf("%+v, want it as it was", p)
	}
}

func TestTwoWorkersOnOneDeliveryCountOneCall(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	e := h.add("/hook", order.EvCreated).ID
	h.Draft("per_item", world.VPS())
	h.Publish()
	var both sync.WaitGroup
	both.Add(2)
	h.Verbs.Worker.Poster = poster{h.Verbs.Worker.Poster, func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
		both.Done()
		both.Wait() // each has read the unit before either posts
		return post()
	}}
	unit := fulfil.UnitID(h.only(e).ID)
	var done sync.WaitGroup
	ends := make(chan error, 2)
	for range 2 {
		done.Go(func() {
			_, err := h.Verbs.Worker.PostWebhook(context.WithoutCancel(t.Context()), h.Tenant.ID, unit)
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
	if p := h.only(e); p.State != app.PostingDelivered || p.Calls != 1 {
		t.Errorf("%+v, want it delivered, one call", p)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnEndpointThatFailsInARowRestsAsAWhole(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated).ID
	for range 10 {
		h.Draft("per_item", world.VPS())
	}
	h.Publish()
	for h.WorkOne() {
	}
	if got := h.endpoint(e); got.Failures != 3 || !got.RestingUntil.Equal(h.Clock.Now().Add(30*time.Second)) {
		t.Errorf("after three failures in a row: %d failures, resting until %s; want 3 and half a minute from %s", got.Failures, got.RestingUntil, h.Clock.Now())
	}
	if n := len(h.heard("/hook")); n != 3 {
		t.Errorf("%d calls before it rests, want 3", n)
	}
	due, err := h.DB.Worker(t).DueUnits(t.Context(), "webhook", fulfil.Queued, h.Clock.Now(), 100)
	if err != nil || len(due) != 0 {
		t.Errorf("%d of its deliveries take their tenant's places while it rests (%v)", len(due), err)
	}
	h.says(204)
	h.Settle()
	for _, p := range h.log(e) {
		if p.State != app.PostingDelivered {
			t.Errorf("after its rest: %+v", p)
		}
	}
	if got := h.endpoint(e); got.Failures != 0 || !got.RestingUntil.IsZero() {
		t.Errorf("a clean record: %+v", got)
	}
}
