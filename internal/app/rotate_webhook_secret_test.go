package app_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
)

// During the overlap of a rotation every message verifies under the old secret and under the new one. That includes
// retries of messages from before the rotation.
func TestARotationLosesNothing(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(500)
	old := h.addEndpoint("/hook", order.EvCreated)
	h.DraftOrder("per_item", harness.VPS())
	h.Publish()
	h.WorkOneTask() // called before the rotation, delivered after it
	overlap := 24 * time.Hour
	fresh, err := h.UseCases.Portal.RotateWebhookSecret(t.Context(), h.admin(), app.RotateWebhookSecret{
		WebhookEndpoint: old.ID, Overlap: &overlap,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.answerWith(204)
	for range 3 {
		h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	}
	calls := h.callsTo("/hook")
	if len(calls) != 5 || !verifies(t, old.Secret, calls[0]) || verifies(t, fresh.Secret, calls[0]) {
		t.Fatalf("%d calls; want five, the first under the old secret alone", len(calls))
	}
	for i, c := range calls[1:] {
		if !verifies(t, old.Secret, c) || !verifies(t, fresh.Secret, c) {
			t.Errorf("call %d: old %t, new %t; want both", i+2, verifies(t, old.Secret, c), verifies(t, fresh.Secret, c))
		}
	}
	if got := h.webhookEndpoint(old.ID).Secrets; len(got) != 2 || !got[0].ExpiresAt.IsZero() || got[1].ExpiresAt.IsZero() {
		t.Errorf("secrets %+v, want the present one and one that expires", got)
	}

	h.Clock.Advance(overlap + time.Second)
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	if c := h.callsTo("/hook")[5]; verifies(t, old.Secret, c) || !verifies(t, fresh.Secret, c) {
		t.Error("after the overlap the old secret still signs, or the new one does not")
	}

	none := time.Duration(0)
	last, err := h.UseCases.API.RotateWebhookSecret(t.Context(), h.admin(), app.RotateWebhookSecret{
		WebhookEndpoint: old.ID, Overlap: &none,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	if c := h.callsTo("/hook")[6]; verifies(t, fresh.Secret, c) || !verifies(t, last.Secret, c) {
		t.Error("a rotation without overlap left the leaked secret valid")
	}
	h.wantNoSecret(old.Secret, fresh.Secret, last.Secret)
}

// wantNoSecret searches every row of the database for secrets.
func (h *webhookHarness) wantNoSecret(secrets ...string) {
	h.t.Helper()
	c := h.DB.Super(h.t)
	defer func() { _ = c.Close(context.Background()) }()
	var union string
	err := c.QueryRow(h.t.Context(), `
		SELECT string_agg(format('SELECT r::text AS t FROM %I.%I r', schemaname, tablename), ' UNION ALL ')
		FROM pg_tables
		WHERE schemaname IN ('platforma', 'river')`).Scan(&union)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range secrets {
		text := strings.TrimPrefix(s, "whsec_")
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			h.t.Fatal(err)
		}
		var n int
		err = c.QueryRow(h.t.Context(), `
			SELECT count(*) FROM (`+union+`) x
			WHERE strpos(t, $1) > 0
				OR strpos(t, encode($2::bytea, 'hex')) > 0
				OR strpos(t, encode($1::bytea, 'hex')) > 0`, text, raw).Scan(&n)
		if err != nil || n > 0 {
			h.t.Errorf("%d rows hold a signing secret (%v)", n, err)
		}
	}
}
