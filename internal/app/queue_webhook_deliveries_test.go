package app_test

import (
	"encoding/json"
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

func TestEveryEventReachesItsSubscribedEndpointsOnceAndIsVerified(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	before := h.DraftOrder("per_item", harness.Storage()) // older than the endpoints, so its events are not posted
	h.Drain(before.Order.ID)
	all, some := h.addEndpoint("/all"), h.addEndpoint("/some", order.EvFulfilled, order.EvServiceDelivered)
	o := h.PaidOrder(harness.VPS(), harness.Storage())
	h.Drain(o)
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
	// The harness works in one goroutine, so the messages come in order. The product does not promise that.
	if diff := cmp.Diff(want, messageIDs(h.callsTo("/all"))); diff != "" || len(want) < 12 {
		t.Errorf("events (-committed +posted):\n%s", diff)
	}
	if diff := cmp.Diff(wantSome, messageIDs(h.callsTo("/some"))); diff != "" || len(wantSome) != 3 {
		t.Errorf("events of the types asked for (-committed +posted):\n%s", diff)
	}
	for i, c := range h.callsTo("/all") {
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
			t.Errorf("message %d differs from the event on the topic:\n%s\n%s", i+1, c.body, ev.Data)
		}
	}
	for _, delivery := range h.deliveries(all.ID) {
		if delivery.State != app.WebhookDeliveryDelivered || delivery.Calls != 1 || delivery.LastStatus != 204 {
			t.Errorf("delivery of %s: %+v", delivery.Type, delivery)
		}
	}
	h.CheckInvariants()
}

func eventOf(t *testing.T, all []event.Event, id string) event.Event {
	t.Helper()
	for _, ev := range all {
		if ev.ID.String() == id {
			return ev
		}
	}
	t.Fatalf("message %s is not an event", id)
	return event.Event{}
}

func TestAnotherTenantReceivesNothingAndReachesNothing(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	foreign := app.Caller{Actor: h.OtherTenant.Actor(tenant.Admin)}
	theirs, err := h.UseCases.API.AddWebhookEndpoint(t.Context(), foreign, app.AddWebhookEndpoint{
		URL: h.server.URL + "/theirs",
	})
	if err != nil {
		t.Fatal(err)
	}
	e := h.addEndpoint("/ours").ID
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	if len(h.callsTo("/theirs")) != 0 || len(h.callsTo("/ours")) != 1 {
		t.Errorf("their endpoint received %d messages, ours %d", len(h.callsTo("/theirs")), len(h.callsTo("/ours")))
	}
	delivery, v := h.onlyDelivery(e), 1
	pre := app.Precondition{Version: &v}
	useCases := h.UseCases.API
	for what, err := range map[string]error{
		"read":        errOf(useCases.WebhookEndpoint(t.Context(), foreign, e)),
		"list":        errOf(useCases.WebhookDeliveries(t.Context(), foreign, e, app.WebhookDeliveryFilter{})),
		"read one":    errOf(useCases.WebhookDelivery(t.Context(), foreign, e, delivery.ID)),
		"through own": errOf(useCases.WebhookDelivery(t.Context(), foreign, theirs.ID, delivery.ID)),
		"replay":      errOf(useCases.ReplayWebhookDelivery(t.Context(), foreign, e, delivery.ID)),
		"replay own":  errOf(useCases.ReplayWebhookDelivery(t.Context(), foreign, theirs.ID, delivery.ID)),
		"rotate": errOf(useCases.RotateWebhookSecret(t.Context(), foreign, app.RotateWebhookSecret{
			WebhookEndpoint: e,
		})),
		"edit": errOf(useCases.EditWebhookEndpoint(t.Context(), foreign, app.EditWebhookEndpoint{
			WebhookEndpoint: e, Precondition: pre,
		})),
		"delete": errOf(useCases.DeleteWebhookEndpoint(t.Context(), foreign, e, pre)),
	} {
		if faultCode(err) != fault.CodeNotFound {
			t.Errorf("%s: %v, want not-found", what, err)
		}
	}
	if wait, err := h.UseCases.Worker.PostWebhook(t.Context(), h.OtherTenant.ID, fulfil.TaskID(delivery.ID)); wait != -1 ||
		err != nil || len(h.callsTo("/ours")) != 1 {
		t.Errorf("our task as their tenant: %s, %v, %d calls", wait, err, len(h.callsTo("/ours")))
	}
}
