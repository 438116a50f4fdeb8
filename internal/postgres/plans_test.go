package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// sqlMany gives a tenant so many orders that a plan shows whether a statement reads all of them.
const sqlMany = `
	CREATE TEMP TABLE s AS
	SELECT n,
		lpad(to_hex(1772442000000 + n * 1000), 12, '0') || '7000800000' || lpad(to_hex(n), 10, '0') AS hex
	FROM generate_series(1, 12000) n;

	INSERT INTO orders (tenant_id, id, number, external_id,
		customer_id, state, outcome, settlement,
		policy, closing, method, version, last_seq, currency, due_cents, delivery_stuck, created_at, updated_at)
	SELECT 'TENANT', hex::uuid, 'ORD-' || upper(substr(md5(n::text), 1, 8)), CASE WHEN n % 3 = 0 THEN 'po-' || n END,
		('00000000-0000-7000-8000-0000000000' || lpad((n % 50)::text, 2, '0'))::uuid,
		1 + n % 9, 0, CASE WHEN n % 500 = 0 THEN 3 ELSE 2 END,
		0, 0, 'manual', 1, 1, 'EUR', 100, false, now(), now()
	FROM s;

	INSERT INTO order_items (tenant_id, id, order_id, line, state, product, label, generation, snapshot, price_cents,
		progress, detail)
	SELECT 'TENANT', hex::uuid, hex::uuid, 1, 1, 'vps', 'label-' || md5(n::text), 1, '{}', 100, 0, ''
	FROM s;

	INSERT INTO payments (tenant_id, id, order_id, state, provider, reference, method, due_cents, paid_cents, currency,
		paid_at)
	SELECT 'TENANT', hex::uuid, hex::uuid, 1, 'manual', 'ref-' || n, 'x', 100, 100, 'EUR', now()
	FROM s;

	INSERT INTO allocations (tenant_id, payment_id, item_id, cents)
	SELECT 'TENANT', hex::uuid, hex::uuid, 100
	FROM s;

	INSERT INTO refunds (tenant_id, id, order_id, payment_id, item_id, state, reference, cents, currency)
	SELECT 'TENANT', hex::uuid, hex::uuid, hex::uuid, hex::uuid, 3, '', 100, 'EUR'
	FROM s;

	INSERT INTO saga_tasks (tenant_id, id, order_id, item_id, kind, provider, state, step, try, compensating, sent,
		epoch, next_at, waited_ms, progress, detail)
	SELECT 'TENANT', hex::uuid, hex::uuid, hex::uuid, 2, 'sim', CASE WHEN n % 100 = 0 THEN 0 ELSE 3 END, 0, 0, false,
		false, 0, now(), 0, 0, ''
	FROM s;

	INSERT INTO saga_resources (tenant_id, task_id, step, generation, key, phase, refs)
	SELECT 'TENANT', hex::uuid, 'server', 1, 'k', 3, '{}'
	FROM s;

	INSERT INTO deliveries (tenant_id, id, item_id, message_id, recipient, state, at)
	SELECT 'TENANT', hex::uuid, hex::uuid, '', '', 2, now()
	FROM s;

	INSERT INTO dead_letters (tenant_id, id, order_id, source, class, error_code, detail, step, attempts,
		payload_sha256, state, first_failed_at, at, reason)
	SELECT 'TENANT', hex::uuid, hex::uuid, 'step', '', '', '', '', 1, '', 4, now(), now(), ''
	FROM s;

	INSERT INTO members (tenant_id, id, role, subject, email)
	SELECT 'TENANT', hex::uuid, 1, hex, ''
	FROM s;

	DROP TABLE s`

// TestReadsUseTheirIndexesBehindRowLevelSecurity explains the store's own statements as the api login. Under
// row-level security only leakproof conditions use an index, so that a superuser's plan would show nothing.
func TestReadsUseTheirIndexesBehindRowLevelSecurity(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, other := db.Two(t)
	super := db.Super(t)
	// Without triggers and foreign keys, because only the plans matter.
	if _, err := super.Exec(t.Context(), `SET session_replication_role = replica`); err != nil {
		t.Fatal(err)
	}
	for _, o := range []string{org.ID.String(), other.ID.String()} {
		if _, err := super.Exec(t.Context(), strings.ReplaceAll(sqlMany, "TENANT", o)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := super.Exec(t.Context(), `ANALYZE`); err != nil {
		t.Fatal(err)
	}
	var orderIDs string
	row := super.QueryRow(t.Context(), `
		SELECT array_agg(id)::text
		FROM (SELECT id FROM orders WHERE tenant_id = $1 LIMIT 50) o`, org.ID.String())
	if err := row.Scan(&orderIDs); err != nil {
		t.Fatal(err)
	}
	c := db.Conn(t, postgres.LoginAPI)
	plan := func(t *testing.T, sql string, args ...any) string {
		t.Helper()
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(t.Context()) }()
		setTenant(t, tx, org.ID)
		if _, err := tx.Exec(t.Context(), `SELECT set_config('app.page', $1, true)`, orderIDs); err != nil {
			t.Fatal(err)
		}
		rows, _ := tx.Query(t.Context(), `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) `+sql, args...)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return strings.Join(lines, "\n")
	}
	check := func(name, got, index string) {
		t.Helper()
		for _, bad := range []string{
			"Seq Scan on orders", "Seq Scan on order_items", "Seq Scan on payments", "Seq Scan on allocations",
			"Seq Scan on refunds", "Seq Scan on saga_", "Seq Scan on deliveries", "Seq Scan on dead_letters",
			"Seq Scan on members", "Rows Removed by Filter",
		} {
			if strings.Contains(got, bad) {
				t.Errorf("%s: %s in\n%s", name, bad, got)
			}
		}
		for _, want := range strings.Fields(index) {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not use %s:\n%s", name, want, got)
			}
		}
	}

	stuck := order.SettlementStuck
	for name, f := range map[string]struct {
		filter app.OrderFilter
		index  string
	}{
		"first page":  {app.OrderFilter{}, "orders_pkey"},
		"state":       {app.OrderFilter{State: order.Validating}, "orders_state"},
		"stuck":       {app.OrderFilter{Settlement: &stuck}, "orders_settlement"},
		"customer":    {app.OrderFilter{Customer: member(org)}, "orders_customer"},
		"reference":   {app.OrderFilter{Reference: "ref-77"}, "payments_reference"},
		"search text": {app.OrderFilter{Query: "po-117"}, "orders_number orders_external order_items_label"},
	} {
		f.filter.Limit = 50
		sql, args := postgres.OrdersPage(org.ID, f.filter, order.ID{})
		check(name, plan(t, sql, args...), f.index)
	}
	indexes := map[string]string{
		"orders": "orders_pkey", "lock": "orders_pkey", "items": "order_items_line", "payments": "payments_",
		"allocations": "allocations_pkey", "refunds": "refunds_order",
		"tasks": "saga_tasks_", "dead letters": "dead_letters_", "customers": "orders_pkey",
		"resources": "saga_resources_pkey", "deliveries": "deliveries_item",
	}
	for name, sql := range postgres.AggregateStatements() {
		check(name, plan(t, sql, org.ID.String(), orderIDs), indexes[name])
	}
	for name, sql := range postgres.PageStatements() {
		check("page of "+name, plan(t, sql, org.ID.String()), "")
	}
}
