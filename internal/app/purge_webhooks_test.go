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

// wantPurged runs the purge and compares how many deliveries it removed. A second purge must remove nothing.
func (h *webhookHarness) wantPurged(want int) {
	h.t.Helper()
	for _, want := range []int{want, 0} {
		if n, err := h.UseCases.Worker.PurgeWebhooks(h.t.Context()); n != want || err != nil {
			h.t.Errorf("%d deliveries purged, %v; want %d", n, err, want)
		}
	}
}

// sealedSecrets returns the number of stored secrets of all tenants.
func (h *webhookHarness) sealedSecrets() int {
	h.t.Helper()
	return h.QueryInt(`SELECT count(*) FROM platforma.webhook_secret WHERE sealed IS NOT NULL OR wrapped IS NOT NULL`)
}

func TestThePreviousSecretIsErasedWhenItsOverlapEnds(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	old := h.addEndpoint("/hook", order.EvCreated)
	foreign := app.Caller{Actor: h.OtherTenant.Actor(tenant.Admin)}
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
	if n := h.sealedSecrets(); n != 3 {
		t.Errorf("%d secrets before the overlap ends, want the two valid ones and the other tenant's", n)
	}
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	h.Clock.Advance(time.Second)
	h.wantPurged(0)
	if n := h.sealedSecrets(); n != 2 {
		t.Errorf("%d secrets after the overlap, want the present one of each endpoint", n)
	}
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	calls := h.callsTo("/hook")
	if len(calls) != 2 || !verifies(t, old.Secret, calls[0]) || verifies(t, old.Secret, calls[1]) ||
		!verifies(t, fresh.Secret, calls[1]) {
		t.Error("the old secret does not sign until the overlap ends, or not the new one after it")
	}
	h.CheckInvariants()
}

func TestAnAcceptedDeliveryIsRemovedAfterThirtyDaysAndAFailedOneStaysWithItsEndpoint(t *testing.T) {
	t.Parallel()
	const kept = 30 * 24 * time.Hour
	h := newWebhookHarness(t)
	accepting := h.addEndpoint("/accepting", order.EvCreated).ID
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	h.mu.Lock()
	h.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/failing" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	h.mu.Unlock()
	failing := h.addEndpoint("/failing", order.EvSubmitted).ID
	h.Clock.Advance(time.Hour)
	for range 2 { // the first delivery fails, the second waits
		h.SubmittedOrder("per_item", harness.VPS())
		h.Drain()
	}
	h.answerWith(204)
	log := h.deliveries(accepting)
	if len(log) != 3 || log[0].State != app.WebhookDeliveryDelivered {
		t.Fatalf("deliveries %+v, want three delivered ones", log)
	}
	h.Clock.Set(log[0].DoneAt.Add(kept))
	h.wantPurged(0)
	h.Clock.Advance(time.Millisecond)
	h.wantPurged(1) // the first order's; the others were delivered later

	h.Clock.Advance(3 * kept)
	if _, err := h.UseCases.Worker.PurgeWebhooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls := h.QueryInt(`
		SELECT count(*) FROM platforma.webhook_call c
		JOIN platforma.webhook_delivery d ON d.id = c.delivery_id
		WHERE d.type = 'order.created'`)
	if n := len(h.deliveries(accepting)); n != 0 || calls != 0 {
		t.Errorf("%d delivered ones are left, and %d calls", n, calls)
	}
	log = h.deliveries(failing)
	if len(log) != 2 || log[0].State != app.WebhookDeliveryFailed || log[1].State != app.WebhookDeliveryPending {
		t.Fatalf("the failing endpoint's: %+v, want the one that failed and the one that waits", log)
	}
	if got := h.QueryInt(`SELECT count(*) FROM platforma.webhook_call`); got != 10 {
		t.Errorf("%d calls are kept, want the ten of the one that failed", got)
	}

	// An event that the topic delivers again, as after it was rebuilt, is not posted again.
	received := len(h.callsTo("/accepting"))
	for _, ev := range h.Events {
		if err := h.UseCases.Worker.QueueWebhookDeliveries(t.Context(), ev); !errors.Is(err, app.ErrDuplicate) {
			t.Fatalf("QueueWebhookDeliveries: %v", err)
		}
	}
	h.Drain()
	if n := len(h.callsTo("/accepting")); n != received {
		t.Errorf("%d messages were posted again", n-received)
	}

	h.replay(failing, log[0].ID) // long after it failed
	h.Drain()
	log = h.deliveries(failing)
	if log[0].State != app.WebhookDeliveryDelivered || log[1].State != app.WebhookDeliveryDelivered {
		t.Errorf("replayed: %+v", log)
	}
	h.Clock.Advance(kept)
	h.wantPurged(0)
	h.Clock.Advance(time.Second)
	h.wantPurged(2)
	h.CheckInvariants()
}

func TestTheDeliveriesOfADeletedEndpointAreRemovedThirtyDaysLater(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(500)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	for range 2 { // the first delivery fails, the second waits
		h.DraftOrder("per_item", harness.VPS())
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
	if n := h.QueryInt(`SELECT count(*) FROM platforma.webhook_call`); n != 0 {
		t.Errorf("%d calls are left", n)
	}
	h.CheckInvariants()
}

// oldDelivery returns an endpoint with one delivery, which was delivered so long ago that the next purge removes it.
func oldDelivery(t *testing.T) (*webhookHarness, app.WebhookEndpointID, app.WebhookDelivery) {
	t.Helper()
	h := newWebhookHarness(t)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	delivery := h.onlyDelivery(e)
	h.Clock.Advance(31 * 24 * time.Hour)
	return h, e, delivery
}

func TestAReplayOfARemovedDeliveryFindsNothing(t *testing.T) {
	t.Parallel()
	h, e, delivery := oldDelivery(t)
	h.wantPurged(1)
	if _, err := h.UseCases.API.ReplayWebhookDelivery(t.Context(), h.admin(), e,
		delivery.ID); faultCode(err) != fault.CodeNotFound {
		t.Errorf("replay: %v, want not-found", err)
	}
}

// One run removes a thousand deliveries in each transaction.
func TestThousandsOfOldDeliveriesAreRemovedInOneRun(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.addEndpoint("/hook", order.EvCreated)
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	_, err := h.DB.Super(t).Exec(t.Context(), `
		INSERT INTO webhook_delivery (tenant_id, id, endpoint_id, order_id, seq, event_id, type,
			state, calls, last_result, created_at, done_at)
		SELECT tenant_id, gen_random_uuid(), endpoint_id, order_id, seq, gen_random_uuid(), type,
			state, calls, last_result, created_at, done_at
		FROM webhook_delivery, generate_series(1, 2499)`)
	if err != nil {
		t.Fatal(err)
	}
	h.Clock.Advance(31 * 24 * time.Hour)
	oldest := h.Clock.Now().Add(-30 * 24 * time.Hour)
	n, err := h.DB.Worker(t).PurgeWebhooks(t.Context(), h.Clock.Now(), oldest, 100)
	if n != 100 || err != nil {
		t.Errorf("%d of a limit of 100, %v", n, err)
	}
	h.wantPurged(2400)
}

// awaitLockWait waits until a login waits for a lock.
func (h *webhookHarness) awaitLockWait(login string) {
	h.t.Helper()
	super, until := h.DB.Super(h.t), time.Now().Add(time.Minute)
	for waiting := 0; waiting == 0; {
		if time.Now().After(until) {
			h.t.Fatalf("%s waits for no lock", login)
		}
		err := super.QueryRow(h.t.Context(), `
			SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND usename = $1 AND wait_event_type = 'Lock'`, login).Scan(&waiting)
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// A delivery is replayed while a purge waits for its row. It stays, with its log.
func TestAReplayBeforeThePurgeCommitsKeepsTheDelivery(t *testing.T) {
	t.Parallel()
	h, e, delivery := oldDelivery(t)
	replay, err := h.DB.Super(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = replay.Exec(t.Context(), `UPDATE webhook_delivery SET state = $1, done_at = NULL WHERE id = $2`,
		int16(app.WebhookDeliveryPending), delivery.ID.String())
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
	h.awaitLockWait("platforma_worker")
	if err := replay.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := <-purged; n != 0 {
		t.Errorf("%d deliveries removed", n)
	}
	if got := h.onlyDelivery(e); got.State != app.WebhookDeliveryPending || len(got.Log) != 1 {
		t.Errorf("%+v, want it pending with the log of its first call", got)
	}
}

// A replay waits for a purge that removes the delivery. It finds nothing, and leaves no task without a delivery.
func TestAReplayAfterThePurgeBeganFindsNothing(t *testing.T) {
	t.Parallel()
	h, e, delivery := oldDelivery(t)
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
	h.awaitLockWait("platforma_api")
	if err := purge.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-replayed; faultCode(err) != fault.CodeNotFound {
		t.Errorf("replay: %v, want not-found", err)
	}
	if n := h.QueryInt(`SELECT count(*) FROM platforma.saga_tasks WHERE kind = $1 AND state <> $2`,
		int16(fulfil.Webhook), int16(fulfil.Closed)); n != 0 {
		t.Errorf("%d tasks wait without a delivery", n)
	}
}
