package app_test

import (
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestPendingDeliveriesWaitWhileTheEndpointIsDisabled(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(503)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.DraftOrder("per_item", harness.VPS())
	h.Publish()
	h.WorkOneTask() // the first call
	h.setEnabled(e, false)
	h.Drain()
	h.Clock.Advance(100 * time.Hour)
	h.Drain()
	if delivery := h.onlyDelivery(e); delivery.State != app.WebhookDeliveryPending || delivery.Calls != 1 {
		t.Errorf("disabled: %+v, want it pending after its one call", delivery)
	}
	h.answerWith(204)
	h.setEnabled(e, true)
	h.Drain()
	if delivery := h.onlyDelivery(e); delivery.State != app.WebhookDeliveryDelivered || delivery.Calls != 2 {
		t.Errorf("enabled again: %+v, want it delivered", delivery)
	}
}

func TestDeletingAnEndpointRemovesItsSecretAndItsPendingDeliveries(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(500)
	e := h.addEndpoint("/hook", order.EvCreated)
	h.DraftOrder("per_item", harness.VPS())
	h.Publish()
	h.WorkOneTask()
	if _, err := h.UseCases.API.DeleteWebhookEndpoint(t.Context(), h.admin(), e.ID, app.Precondition{}); err != nil {
		t.Fatal(err)
	}
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	if n := len(h.callsTo("/hook")); n != 1 {
		t.Errorf("a deleted endpoint was called: %d calls", n)
	}
	if _, err := h.UseCases.API.WebhookEndpoint(t.Context(), h.admin(), e.ID); faultCode(err) != fault.CodeNotFound {
		t.Errorf("it is still there: %v", err)
	}
	c := h.DB.Super(t)
	var sealed, live int
	err := c.QueryRow(t.Context(), `
		SELECT
			(SELECT count(*) FROM webhook_secret WHERE sealed IS NOT NULL OR wrapped IS NOT NULL),
			(SELECT count(*) FROM saga_tasks WHERE kind = $1 AND state <> $2)`,
		int16(fulfil.Webhook), int16(fulfil.Closed)).Scan(&sealed, &live)
	if err != nil || sealed != 0 || live != 0 {
		t.Errorf("%d secrets and %d tasks are left (%v)", sealed, live, err)
	}
	h.CheckInvariants()
}
