package process_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// placeUnpaidOrder places and submits an order and returns its id.
func (r *rig) placeUnpaidOrder(base, label string) string {
	r.t.Helper()
	var o orderView
	r.api(base, tenant.Customer, http.MethodPost, "/v1/orders", map[string]any{"items": []any{vps(label)}}, &o)
	r.api(base, tenant.Customer, http.MethodPost, "/v1/orders/"+o.ID+"/submit",
		map[string]any{"expected_total": o.Totals.DueNow}, &o)
	return o.ID
}

// waitForCount waits until the query counts n rows.
func waitForCount(t *testing.T, db *pgtest.DB, n int, what, sql string, args ...any) {
	t.Helper()
	conn := db.Super(t)
	kafkatest.Eventually(t, what, func() bool {
		var got int
		if err := conn.QueryRow(t.Context(), sql, args...).Scan(&got); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return got == n
	})
}

// While no process runs, time passes and a resource is lost. The next process runs the periodic jobs that
// have become due, without a request.
func TestAProcessDoesByItselfWhatHasBecomeDue(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	base, stop := r.run()
	late, waiting := r.placeUnpaidOrder(base, "late"), r.placeUnpaidOrder(base, "waiting")
	built, _ := r.placePaidOrder(base, vps("built"))
	if built = r.waitAtRest(base, built.ID); built.State != "fulfilled" {
		t.Fatalf("the order is %s, want fulfilled", built.State)
	}
	waitForCount(t, r.db, 1, "the tenant has figures",
		`SELECT count(*) FROM rollup WHERE tenant_id = $1`, r.tenant.ID.String())
	stop()

	cloud := r.sim.Provider()
	for o, err := range cloud.ListOwned(t.Context(), provider.Scope{Installation: "test"}) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Key.Step != "server" {
			continue // the server uses the port
		}
		step := provider.Step{Name: o.Key.Step, Key: o.Key, Spec: provider.Spec{Region: o.Region}}
		if err := cloud.Delete(t.Context(), step, o.Ref); err != nil {
			t.Fatal(err)
		}
	}
	kafkatest.Eventually(t, "the server is lost", func() bool { return len(r.sim.Live()) == 1 })
	oldKey := `
		INSERT INTO idempotency (tenant_id, key, fingerprint, status, headers, body, created_at)
		SELECT id, 'old', '\x00', 200, '{}', '\x00', now() - interval '73 hours'
		FROM tenants
		WHERE id = $1`
	for _, change := range []struct{ sql, id string }{
		{`UPDATE orders SET expires_at = now() - interval '1 minute' WHERE id = $1`, late},
		{`UPDATE orders SET expires_at = now() + interval '1 hour' WHERE id = $1`, waiting},
		{`UPDATE rollup SET asked_zone = 'Pacific/Pago_Pago' WHERE tenant_id = $1`, r.tenant.ID.String()},
		{oldKey, r.tenant.ID.String()},
	} {
		if tag, err := r.db.Super(t).Exec(t.Context(), change.sql, change.id); err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("%s: %s, %v", change.sql, tag, err)
		}
	}

	base = r.start()
	kafkatest.Eventually(t, "the order that was not paid in time is cancelled", func() bool {
		var o orderView
		r.api(base, tenant.Customer, http.MethodGet, "/v1/orders/"+late, nil, &o)
		return o.State == "cancelled"
	})
	waitForCount(t, r.db, 1, "the overdue payment is recorded as an incident",
		`SELECT count(*) FROM operator_incident WHERE cause = 'payment-overdue' AND order_id = $1`, waiting)
	waitForCount(t, r.db, 0, "no figures are of another time zone",
		`SELECT count(*) FROM rollup WHERE asked_zone = 'Pacific/Pago_Pago'`)
	waitForCount(t, r.db, 0, "expired idempotency keys are gone",
		`SELECT count(*) FROM idempotency WHERE key = 'old'`)
	kafkatest.Eventually(t, "the vanished resource is logged", func() bool {
		logged := r.logs.String()
		return strings.Contains(logged, "a live resource has vanished") && strings.Contains(logged, built.Items[0].ID)
	})
}
