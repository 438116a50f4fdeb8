package app_test

import (
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/world"
)

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
