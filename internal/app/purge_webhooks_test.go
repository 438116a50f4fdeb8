package app_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// wantPurged lets a worker purge, twice, and compares how many deliveries it removed.
func (h *hooks) wantPurged(want int) {
	h.t.Helper()
	for _, want := range []int{want, 0} {
		if n, err := h.UseCases.Worker.PurgeWebhooks(h.t.Context()); n != want || err != nil {
			h.t.Errorf("%d deliveries purged, %v; want %d", n, err, want)
		}
	}
}

// sealed is how many secrets are stored, of all tenants.
func (h *hooks) sealed() int {
	h.t.Helper()
	return h.Count(`SELECT count(*) FROM platforma.webhook_secret WHERE sealed IS NOT NULL OR wrapped IS NOT NULL`)
}

func TestTheSecretBeforeIsEmptiedWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	old := h.add("/hook", order.EvCreated)
	foreign := app.Caller{Actor: h.Other.Actor(tenant.Admin)}
	if _, err := h.UseCases.API.AddWebhookEndpoint(t.Context(), foreign, app.AddWebhookEndpoint{
		URL: h.server.URL + "/theirs",
	}); err != nil {
		t.Fatal(err)
	}
	overlap := 24 * time.Hour
	fresh, err := h.UseCases.API.RotateWebhookSecret(t.Context(), h.admin(), app.RotateWebhookSecret{
		WebhookEndpoint: old.ID, Overlap: &overlap,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Clock.Advance(overlap - time.Second)
	h.wantPurged(0)
	if n := h.sealed(); n != 3 {
		t.Errorf("%d secrets before the overlap ends, want the two that are valid and the other tenant's", n)
	}
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	h.Clock.Advance(time.Second)
	h.wantPurged(0)
	if n := h.sealed(); n != 2 {
		t.Errorf("%d secrets after it, want each endpoint's present one", n)
	}
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	calls := h.heard("/hook")
	if len(calls) != 2 || !verifies(t, old.Secret, calls[0]) || verifies(t, old.Secret, calls[1]) ||
		!verifies(t, fresh.Secret, calls[1]) {
		t.Error("the old secret does not sign until the overlap ends, or not the new one after it")
	}
	h.CheckWorld()
}

func TestADeliveryIsRemovedThirtyDaysAfterItWasTakenAndAFailedOneStaysWithItsEndpoint(t *testing.T) {
	t.Parallel()
	const kept = 30 * 24 * time.Hour
	h := newHooks(t)
	taken := h.add("/taken", order.EvCreated).ID
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	h.mu.Lock()
	h.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/failing" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	h.mu.Unlock()
	failing := h.add("/failing", order.EvSubmitted).ID
	h.Clock.Advance(time.Hour)
	for range 2 { // one fails, the other waits
		h.Submitted("per_item", harness.VPS())
		h.Drain()
	}
	h.says(204)
	log := h.log(taken)
	if len(log) != 3 || log[0].State != app.WebhookDeliveryDelivered {
		t.Fatalf("deliveries %+v, want three that were taken", log)
	}
	h.Clock.Set(log[0].DoneAt.Add(kept))
	h.wantPurged(0)
	h.Clock.Advance(time.Millisecond)
	h.wantPurged(1) // the first order's; the others' were taken a while later

	h.Clock.Advance(3 * kept)
	if _, err := h.UseCases.Worker.PurgeWebhooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, calls := len(h.log(taken)), h.Count(`SELECT count(*) FROM platforma.webhook_call c
		JOIN platforma.webhook_delivery d ON d.id = c.delivery_id WHERE d.type = 'order.created'`); n != 0 || calls != 0 {
		t.Errorf("%d deliveries that were taken are left, and %d calls", n, calls)
	}
	log = h.log(failing)
	if len(log) != 2 || log[0].State != app.WebhookDeliveryFailed || log[1].State != app.WebhookDeliveryPending {
		t.Fatalf("the failing endpoint's: %+v, want the one that failed and the one that waits", log)
	}
	if got := h.Count(`SELECT count(*) FROM platforma.webhook_call`); got != 10 {
		t.Errorf("%d calls are kept, want the ten of the one that failed", got)
	}

	// An event that comes once more, as after a rebuild of the topic, is not posted again.
	heard := len(h.heard("/taken"))
	for _, ev := range h.Events {
		if err := h.UseCases.Worker.QueueWebhookDeliveries(t.Context(), ev); !errors.Is(err, app.ErrDuplicate) {
			t.Fatalf("ProjectWebhooks: %v", err)
		}
	}
	h.Drain()
	if n := len(h.heard("/taken")); n != heard {
		t.Errorf("%d messages were posted again", n-heard)
	}

	h.replay(failing, log[0].ID) // long after
	h.Drain()
	if log = h.log(failing); log[0].State != app.WebhookDeliveryDelivered || log[1].State != app.WebhookDeliveryDelivered {
		t.Errorf("replayed: %+v", log)
	}
	h.Clock.Advance(kept)
	h.wantPurged(0)
	h.Clock.Advance(time.Second)
	h.wantPurged(2)
	h.CheckWorld()
}

func TestWhatADeletedEndpointLeftIsRemovedThirtyDaysLater(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated).ID
	for range 2 { // one fails, the other waits
		h.Draft("per_item", harness.VPS())
		h.Drain()
	}
	h.Clock.Advance(60 * 24 * time.Hour)
	h.wantPurged(0)
	if _, err := h.UseCases.API.DeleteWebhookEndpoint(t.Context(), h.admin(), e, app.Precondition{}); err != nil {
		t.Fatal(err)
	}
	h.wantPurged(0)
	h.Clock.Advance(30*24*time.Hour + time.Second)
	h.wantPurged(2)
	if n := h.Count(`SELECT count(*) FROM platforma.webhook_call`); n != 0 {
		t.Errorf("%d calls are left", n)
	}
	h.CheckWorld()
}

// takenLongAgo has an endpoint with one delivery, which was taken so long ago that it is kept no longer.
func takenLongAgo(t *testing.T) (*hooks, app.WebhookEndpointID, app.WebhookDelivery) {
	t.Helper()
	h := newHooks(t)
	e := h.add("/hook", order.EvCreated).ID
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	delivery := h.only(e)
	h.Clock.Advance(31 * 24 * time.Hour)
	return h, e, delivery
}

func TestAReplayOfWhatWasRemovedFindsNothing(t *testing.T) {
	t.Parallel()
	h, e, delivery := takenLongAgo(t)
	h.wantPurged(1)
	if _, err := h.UseCases.API.ReplayWebhookDelivery(t.Context(), h.admin(), e,
		delivery.ID); codeOf(err) != fault.CodeNotFound {
		t.Errorf("replay: %v, want what is absent", err)
	}
}

// Thousands are removed in one turn, a thousand in each transaction.
func TestAPileOfOldDeliveriesIsRemovedInOneTurn(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.add("/hook", order.EvCreated)
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	_, err := h.DB.Super(t).Exec(t.Context(), `
		INSERT INTO webhook_delivery (tenant_id, id, endpoint_id, order_id, seq, event_id, type, state, calls, last_result,
		created_at, done_at)
		SELECT tenant_id, gen_random_uuid(), endpoint_id, order_id, seq, gen_random_uuid(), type, state, calls, last_result,
		created_at, done_at FROM webhook_delivery, generate_series(1, 2499)`)
	if err != nil {
		t.Fatal(err)
	}
	h.Clock.Advance(31 * 24 * time.Hour)
	if n, err := h.DB.Worker(t).PurgeWebhooks(t.Context(), h.Clock.Now(), h.Clock.Now().Add(-30*24*time.Hour),
		100); n != 100 || err != nil {
		t.Errorf("%d of a limit of 100, %v", n, err)
	}
	h.wantPurged(2400)
}

// awaitBlocked waits until a login waits for another's lock.
func (h *hooks) awaitBlocked(login string) {
	h.t.Helper()
	super, until := h.DB.Super(h.t), time.Now().Add(time.Minute)
	for waiting := 0; waiting == 0; {
		if time.Now().After(until) {
			h.t.Fatalf("%s waits for no lock", login)
		}
		if err := super.QueryRow(h.t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND usename = $1 AND wait_event_type = 'Lock'`, login).Scan(&waiting); err != nil {
			h.t.Fatal(err)
		}
	}
}

// Somebody replays a delivery at the very moment at which it is old enough to go: it stays, with its log.
func TestAReplayBeforeThePurgeCommitsKeepsTheDelivery(t *testing.T) {
	t.Parallel()
	h, e, delivery := takenLongAgo(t)
	replay, err := h.DB.Super(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = replay.Exec(t.Context(), `UPDATE webhook_delivery SET state = $1, done_at = NULL
		WHERE id = $2`, int16(app.WebhookDeliveryPending), delivery.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	purged := make(chan int, 1)
	go func() {
		n, err := h.UseCases.Worker.PurgeWebhooks(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Errorf("PurgeWebhooks: %v", err)
		}
		purged <- n
	}()
	h.awaitBlocked("platforma_worker")
	if err := replay.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := <-purged; n != 0 {
		t.Errorf("%d deliveries removed", n)
	}
	if got := h.only(e); got.State != app.WebhookDeliveryPending || len(got.Log) != 1 {
		t.Errorf("%+v, want it pending with the log of its first call", got)
	}
}

// The other way round the replay finds nothing, and leaves no work without a delivery behind.
func TestAReplayAfterThePurgeBeganFindsNothing(t *testing.T) {
	t.Parallel()
	h, e, delivery := takenLongAgo(t)
	purge, err := h.DB.Super(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := purge.Exec(t.Context(), `SELECT platforma.purge_webhooks($1, $1, 10)`, h.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	replayed := make(chan error, 1)
	go func() {
		_, err := h.UseCases.API.ReplayWebhookDelivery(context.WithoutCancel(t.Context()), h.admin(), e, delivery.ID)
		replayed <- err
	}()
	h.awaitBlocked("platforma_api")
	if err := purge.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-replayed; codeOf(err) != fault.CodeNotFound {
		t.Errorf("replay: %v, want what is absent", err)
	}
	if n := h.Count(`SELECT count(*) FROM platforma.saga_tasks WHERE kind = $1
		AND state <> $2`, int16(fulfil.Webhook), int16(fulfil.Closed)); n != 0 {
		t.Errorf("%d tasks wait without a delivery", n)
	}
}
