package app_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/world"
)

func TestEveryEventReachesTheEndpointsThatHearItOnceAndIsVerified(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	before := h.Draft("per_item", world.Storage()) // made before any endpoint was: nobody asked for it
	h.Settle(before.Order.ID)
	all, some := h.add("/all"), h.add("/some", order.EvFulfilled, order.EvServiceDelivered)
	o := h.PaidOrder(world.VPS(), world.Storage())
	h.Settle(o)
	var want, wantSome []string
	for _, ev := range h.Events {
		if ev.Order != o {
			continue
		}
		want = append(want, ev.ID.String())
		if ev.Type == order.EvFulfilled || ev.Type == order.EvServiceDelivered {
			wantSome = append(wantSome, ev.ID.String())
		}
	}
	// In the world's one thread they come in order; nothing promises that.
	if diff := cmp.Diff(want, idsOf(h.heard("/all"))); diff != "" || len(want) < 12 {
		t.Errorf("events (-committed +posted):\n%s", diff)
	}
	if diff := cmp.Diff(wantSome, idsOf(h.heard("/some"))); diff != "" || len(wantSome) != 3 {
		t.Errorf("events of the types asked for (-committed +posted):\n%s", diff)
	}
	for i, c := range h.heard("/all") {
		if !verifies(t, all.Secret, c) || verifies(t, some.Secret, c) {
			t.Errorf("message %d is not signed by its endpoint's secret alone", i+1)
		}
		var m struct {
			Type      string
			Timestamp time.Time
			Data      json.RawMessage
		}
		if err := json.Unmarshal(c.body, &m); err != nil {
			t.Fatalf("message %d: %v: %s", i+1, err, c.body)
		}
		ev := eventOf(t, h.Events, c.id)
		if m.Type != string(ev.Type) || !m.Timestamp.Equal(ev.At) || string(m.Data) != string(ev.Data) {
			t.Errorf("message %d is not the event as it stands on the topic:\n%s\n%s", i+1, c.body, ev.Data)
		}
	}
	for _, p := range h.log(all.ID) {
		if p.State != app.PostingDelivered || p.Calls != 1 || p.LastStatus != 204 {
			t.Errorf("delivery of %s: %+v", p.Type, p)
		}
	}
	h.CheckWorld()
}

func eventOf(t *testing.T, all []event.Event, id string) event.Event {
	t.Helper()
	for _, ev := range all {
		if ev.ID.String() == id {
			return ev
		}
	}
	t.Fatalf("message %s is no event", id)
	return event.Event{}
}

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

func TestWhatIsPendingWaitsWhileAnEndpointIsDisabled(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(503)
	e := h.add("/hook", order.EvCreated).ID
	h.Draft("per_item", world.VPS())
	h.Publish()
	h.WorkOne() // the first call
	h.enable(e, false)
	h.Settle()
	h.Clock.Advance(100 * time.Hour)
	h.Settle()
	if p := h.only(e); p.State != app.PostingPending || p.Calls != 1 {
		t.Errorf("disabled: %+v, want it pending after its one call", p)
	}
	h.says(204)
	h.enable(e, true)
	h.Settle()
	if p := h.only(e); p.State != app.PostingDelivered || p.Calls != 2 {
		t.Errorf("enabled again: %+v, want it taken", p)
	}
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

// A receiver that still knows the old secret and one that knows only the new one: across a rotation each
// verifies every message, retries of messages from before included.
func TestARotationLosesNothing(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	old := h.add("/hook", order.EvCreated)
	h.Draft("per_item", world.VPS())
	h.Publish()
	h.WorkOne() // called before the rotation, taken after it
	overlap := 24 * time.Hour
	fresh, err := h.Verbs.Portal.RotateSecret(t.Context(), h.admin(), app.RotateSecret{Endpoint: old.ID, Overlap: &overlap})
	if err != nil {
		t.Fatal(err)
	}
	h.says(204)
	for range 3 {
		h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
	}
	calls := h.heard("/hook")
	if len(calls) != 5 || !verifies(t, old.Secret, calls[0]) || verifies(t, fresh.Secret, calls[0]) {
		t.Fatalf("%d calls; want five, the first under the old secret alone", len(calls))
	}
	for i, c := range calls[1:] {
		if !verifies(t, old.Secret, c) || !verifies(t, fresh.Secret, c) {
			t.Errorf("call %d: old %t, new %t; want both", i+2, verifies(t, old.Secret, c), verifies(t, fresh.Secret, c))
		}
	}
	if got := h.endpoint(old.ID).Secrets; len(got) != 2 || !got[0].ExpiresAt.IsZero() || got[1].ExpiresAt.IsZero() {
		t.Errorf("secrets %+v, want the present one and one that expires", got)
	}

	h.Clock.Advance(overlap + time.Second)
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
	if c := h.heard("/hook")[5]; verifies(t, old.Secret, c) || !verifies(t, fresh.Secret, c) {
		t.Error("after the overlap the old secret still signs, or the new one does not")
	}

	none := time.Duration(0)
	last, err := h.Verbs.API.RotateSecret(t.Context(), h.admin(), app.RotateSecret{Endpoint: old.ID, Overlap: &none})
	if err != nil {
		t.Fatal(err)
	}
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
	if c := h.heard("/hook")[6]; verifies(t, fresh.Secret, c) || !verifies(t, last.Secret, c) {
		t.Error("a rotation without overlap left the leaked secret valid")
	}
	h.wantNoSecret(old.Secret, fresh.Secret, last.Secret)
}

// wantNoSecret looks for secrets in every row there is.
func (h *hooks) wantNoSecret(secrets ...string) {
	h.t.Helper()
	c := h.DB.Super(h.t)
	defer func() { _ = c.Close(context.Background()) }()
	var union string
	if err := c.QueryRow(h.t.Context(), `SELECT string_agg(format('SELECT r::text AS t FROM %I.%I r', schemaname, tablename), ' UNION ALL ') FROM pg_tables WHERE schemaname IN ('platforma', 'river')`).Scan(&union); err != nil {
		h.t.Fatal(err)
	}
	for _, s := range secrets {
		text := strings.TrimPrefix(s, "whsec_")
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			h.t.Fatal(err)
		}
		var n int
		err = c.QueryRow(h.t.Context(), `SELECT count(*) FROM (`+union+`) x WHERE strpos(t, $1) > 0 OR strpos(t, encode($2::bytea, 'hex')) > 0 OR strpos(t, encode($1::bytea, 'hex')) > 0`, text, raw).Scan(&n)
		if err != nil || n > 0 {
			h.t.Errorf("%d rows hold a signing secret (%v)", n, err)
		}
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

func TestAnotherTenantHearsNothingAndReachesNothing(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	foreign := app.Caller{Actor: h.Other.Actor(tenant.Admin)}
	theirs, err := h.Verbs.API.AddEndpoint(t.Context(), foreign, app.AddEndpoint{URL: h.server.URL + "/theirs"})
	if err != nil {
		t.Fatal(err)
	}
	e := h.add("/ours").ID
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
	if len(h.heard("/theirs")) != 0 || len(h.heard("/ours")) != 1 {
		t.Errorf("their endpoint heard %d messages, ours %d", len(h.heard("/theirs")), len(h.heard("/ours")))
	}
	p, v := h.only(e), 1
	pre := app.Precondition{Version: &v}
	verbs := h.Verbs.API
	for what, err := range map[string]error{
		"read":        second(verbs.Endpoint(t.Context(), foreign, e)),
		"list":        second(verbs.Postings(t.Context(), foreign, e, app.PostingFilter{})),
		"read one":    second(verbs.Posting(t.Context(), foreign, e, p.ID)),
		"through own": second(verbs.Posting(t.Context(), foreign, theirs.ID, p.ID)),
		"replay":      second(verbs.ReplayPosting(t.Context(), foreign, e, p.ID)),
		"replay own":  second(verbs.ReplayPosting(t.Context(), foreign, theirs.ID, p.ID)),
		"rotate":      second(verbs.RotateSecret(t.Context(), foreign, app.RotateSecret{Endpoint: e})),
		"edit":        second(verbs.EditEndpoint(t.Context(), foreign, app.EditEndpoint{Endpoint: e, Precondition: pre})),
		"delete":      second(verbs.DeleteEndpoint(t.Context(), foreign, e, pre)),
	} {
		if codeOf(err) != fault.CodeNotFound {
			t.Errorf("%s: %v, want what is absent", what, err)
		}
	}
	if wait, err := h.Verbs.Worker.PostWebhook(t.Context(), h.Other.ID, fulfil.UnitID(p.ID)); wait != -1 || err != nil || len(h.heard("/ours")) != 1 {
		t.Errorf("our unit under their name: %s, %v, %d calls", wait, err, len(h.heard("/ours")))
	}
}

func second[T any](_ T, err error) error { return err }

func TestADeletedEndpointIsForgottenWithItsSecretAndWhatWasPending(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated)
	h.Draft("per_item", world.VPS())
	h.Publish()
	h.WorkOne()
	if _, err := h.Verbs.API.DeleteEndpoint(t.Context(), h.admin(), e.ID, app.Precondition{}); err != nil {
		t.Fatal(err)
	}
	h.Settle(h.Draft("per_item", world.VPS()).Order.ID)
	if n := len(h.heard("/hook")); n != 1 {
		t.Errorf("a deleted endpoint was called: %d calls", n)
	}
	if _, err := h.Verbs.API.Endpoint(t.Context(), h.admin(), e.ID); codeOf(err) != fault.CodeNotFound {
		t.Errorf("it is still there: %v", err)
	}
	c := h.DB.Super(t)
	var sealed, live int
	err := c.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM webhook_secret WHERE sealed IS NOT NULL OR wrapped IS NOT NULL),
			(SELECT count(*) FROM saga_units WHERE kind = $1 AND state <> $2)`,
		int16(fulfil.Webhook), int16(fulfil.Closed)).Scan(&sealed, &live)
	if err != nil || sealed != 0 || live != 0 {
		t.Errorf("%d secrets and %d units are left (%v)", sealed, live, err)
	}
	h.CheckWorld()
}

func TestATenantHasAtMostTwentyEndpointsHoweverManyAreAddedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	for range 18 {
		h.add("/hook")
	}
	var wg sync.WaitGroup
	ends := make(chan error, 6)
	for range 6 {
		wg.Go(func() {
			_, err := h.Verbs.API.AddEndpoint(context.WithoutCancel(t.Context()), h.admin(), app.AddEndpoint{URL: "https://hooks.example.com/"})
			ends <- err
		})
	}
	wg.Wait()
	close(ends)
	made := 0
	for err := range ends {
		if err == nil {
			made++
		} else if codeOf(err) != "too-many-webhooks" {
			t.Errorf("one too many: %v", err)
		}
	}
	if made != 2 {
		t.Errorf("%d of six were made beside eighteen, want 2", made)
	}
}

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

func TestAnInstallationWithoutItsKeyHasNoWebhooks(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.Verbs.API.Secrets = nil
	if _, err := h.Verbs.API.AddEndpoint(t.Context(), h.admin(), app.AddEndpoint{URL: "https://hooks.example.com/"}); codeOf(err) != "webhooks-not-set-up" {
		t.Errorf("add: %v", err)
	}
	if all, err := h.Verbs.API.Endpoints(t.Context(), h.admin()); err != nil || len(all) != 0 {
		t.Errorf("%d endpoints, %v", len(all), err)
	}
}
