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

func TestEveryEventReachesTheEndpointsThatHearItOnceAndIsVerified(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	before := h.Draft("per_item", harness.Storage()) // made before any endpoint was: nobody asked for it
	h.Drain(before.Order.ID)
	all, some := h.add("/all"), h.add("/some", order.EvFulfilled, order.EvServiceDelivered)
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
	for _, delivery := range h.log(all.ID) {
		if delivery.State != app.WebhookDeliveryDelivered || delivery.Calls != 1 || delivery.LastStatus != 204 {
			t.Errorf("delivery of %s: %+v", delivery.Type, delivery)
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

func TestAnotherTenantHearsNothingAndReachesNothing(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	foreign := app.Caller{Actor: h.Other.Actor(tenant.Admin)}
	theirs, err := h.UseCases.API.AddWebhookEndpoint(t.Context(), foreign, app.AddWebhookEndpoint{
		URL: h.server.URL + "/theirs",
	})
	if err != nil {
		t.Fatal(err)
	}
	e := h.add("/ours").ID
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	if len(h.heard("/theirs")) != 0 || len(h.heard("/ours")) != 1 {
		t.Errorf("their endpoint heard %d messages, ours %d", len(h.heard("/theirs")), len(h.heard("/ours")))
	}
	delivery, v := h.only(e), 1
	pre := app.Precondition{Version: &v}
	useCases := h.UseCases.API
	for what, err := range map[string]error{
		"read":        second(useCases.WebhookEndpoint(t.Context(), foreign, e)),
		"list":        second(useCases.WebhookDeliveries(t.Context(), foreign, e, app.WebhookDeliveryFilter{})),
		"read one":    second(useCases.WebhookDelivery(t.Context(), foreign, e, delivery.ID)),
		"through own": second(useCases.WebhookDelivery(t.Context(), foreign, theirs.ID, delivery.ID)),
		"replay":      second(useCases.ReplayWebhookDelivery(t.Context(), foreign, e, delivery.ID)),
		"replay own":  second(useCases.ReplayWebhookDelivery(t.Context(), foreign, theirs.ID, delivery.ID)),
		"rotate": second(useCases.RotateWebhookSecret(t.Context(), foreign, app.RotateWebhookSecret{
			WebhookEndpoint: e,
		})),
		"edit": second(useCases.EditWebhookEndpoint(t.Context(), foreign, app.EditWebhookEndpoint{
			WebhookEndpoint: e, Precondition: pre,
		})),
		"delete": second(useCases.DeleteWebhookEndpoint(t.Context(), foreign, e, pre)),
	} {
		if codeOf(err) != fault.CodeNotFound {
			t.Errorf("%s: %v, want what is absent", what, err)
		}
	}
	if wait, err := h.UseCases.Worker.PostWebhook(t.Context(), h.Other.ID, fulfil.TaskID(delivery.ID)); wait != -1 ||
		err != nil || len(h.heard("/ours")) != 1 {
		t.Errorf("our task under their name: %s, %v, %d calls", wait, err, len(h.heard("/ours")))
	}
}
