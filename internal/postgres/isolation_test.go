package postgres_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// tenantless are the tables that may be without a tenant (D24).
var tenantless = []string{
	"catalog", "catalog_change", "consumer_status", "exchange_rates", "payment_webhooks", "provider_accounts",
	"reaper_findings", "refused_record", "relays", "tenants",
}

// textColumn runs a query with one text column and returns its values, sorted.
func textColumn(t *testing.T, c *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, _ := c.Query(t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	slices.Sort(list)
	return list
}

// sqlState returns the SQLSTATE of an error, or "" if it has none.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// fill adds a row of an organisation to every table that has a tenant.
func fill(t *testing.T, db *pgtest.DB, org pgtest.Org) order.ID {
	t.Helper()
	ctx := t.Context()
	worker := db.Worker(t)
	agg := draft(db, org, 1)
	insert(t, worker, agg)
	o := agg.Order.ID
	change(t, worker, db, org, o, app.Also{}, func(agg *app.Aggregate) {
		if _, err := agg.Order.Fire(order.Submit, ""); err != nil {
			t.Fatal(err)
		}
	})
	pay(t, db, worker, org, o, "ref-"+org.Slug)
	var delivery app.Delivery
	saved := change(t, worker, db, org, o, app.Also{}, func(agg *app.Aggregate) {
		now, it := db.Clock.Now(), agg.Order.Items[0].ID
		r := agg.Order.RequestRefund(newID[order.Refund](db), &agg.Order.Items[0], "test")
		agg.Order.MoveRefund(r, order.RefundAccepted, "x", now, "test")
		agg.Order.MoveRefund(r, order.RefundStuck, "", now, "it bounced")
		task := fulfil.Task{
			ID: newID[fulfil.Task](db), Tenant: org.ID, Order: o, Item: it, Kind: fulfil.Provision, Queue: "sim",
			NextAt: now,
		}
		agg.Tasks = append(agg.Tasks, task)
		agg.Resources = append(agg.Resources, fulfil.Resource{
			Task: task.ID, Step: "server", Generation: 1, Key: "k", Phase: fulfil.Intent, CalledAt: now,
		})
		agg.Added.Log = []app.LogEntry{{Task: task.ID, At: now, What: app.LogIntent}}
		agg.Added.DeadLetters = []app.DeadLetter{
			{ID: newID[app.DeadLetter](db), Item: it, Task: task.ID, Source: "step", FirstFailedAt: now, At: now},
		}
		agg.Added.Credentials = []app.SealedCredential{{Item: it, Generation: 1, Sealed: []byte("sealed for " + org.Slug)}}
		delivery = app.Delivery{
			ID: newID[app.Delivery](db), Item: it, PassphraseSealed: []byte("passphrase for " + org.Slug),
			State: app.DeliveryAccepted, At: now,
		}
		agg.Added.Deliveries = []app.Delivery{delivery}
		agg.Added.Receipts = []app.Receipt{
			{
				Seq: 1, Event: newID[order.Event](db), Type: order.EvSubmitted, At: now,
				Amount: event.Amount{Amount: "20.10", Currency: "EUR"}, Cents: 2010,
			},
		}
		agg.Added.Findings = []app.BillingFinding{{Seq: 1, Event: newID[order.Event](db), Balance: 1}}
		agg.Added.Incidents = []app.Incident{{Cause: notice.ItemStuck, Subject: [16]byte(task.ID), At: now}}
	})
	_, ok, err := worker.ClaimNotice(ctx, app.NoticeRef{Tenant: org.ID, Cause: notice.ItemStuck}, time.Hour,
		db.Clock.NewID(), db.Clock.Now().Add(time.Minute))
	if err != nil || !ok {
		t.Fatalf("claim a notice: %t, %v", ok, err)
	}
	for _, p := range []postgres.Purpose{postgres.ForCredentials, postgres.ForPassphrases} {
		if _, err := worker.Keyset(ctx, org.ID, p, func() (postgres.Keyset, error) {
			return postgres.Keyset{Wrapped: []byte(p), KEK: "k1"}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	access := postgres.Access{Actor: "test", Why: "test", Recipient: "test"}
	if _, err := db.Delivery(t).SealedCredential(ctx, org.ID, saved.Order.Items[0].ID, 1, access); err != nil {
		t.Fatal(err)
	}
	if err := consume(t, worker, org, o, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := worker.ProjectEvents(ctx, allEvents(t, worker, org)); err != nil {
		t.Fatal(err)
	}
	// Not the order's first event, so that there is a finding: a gap.
	if _, err := db.Audit(t).AppendAuditLog(ctx, []auditlog.Entry{
		auditlog.NewEntry(eventOf(saved.Added.Events[0]), db.Clock.Now()),
	}); err != nil {
		t.Fatal(err)
	}
	fillWebhooks(t, db, org, o)
	err = db.API(t).InTenant(ctx, org.ID, app.With{Key: key("k-" + org.Slug)}, func(tx app.Tx) error {
		tx.Remember(app.Answer{Status: 200})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func pay(t *testing.T, db *pgtest.DB, s *postgres.DB, org pgtest.Org, o order.ID, reference string) *app.Aggregate {
	t.Helper()
	return change(t, s, db, org, o, app.Also{}, func(agg *app.Aggregate) {
		p, err := agg.Order.Pay(order.Payment{
			ID: newID[order.Payment](db), Provider: "manual", Reference: reference, Method: "bank_transfer",
			Paid: agg.Order.Due, Currency: agg.Order.Currency, PaidAt: db.Clock.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := agg.Order.Confirm(p); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTenantSeesNoRowOfAnotherInAnyTable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	fill(t, db, a)
	super := db.Super(t)
	tables := textColumn(t, super, `
		SELECT c.relname::text
		FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
		WHERE c.relnamespace = 'platforma'::regnamespace AND c.relkind IN ('r', 'p')`)
	for _, table := range tables {
		var n int
		row := super.QueryRow(t.Context(), `SELECT count(*) FROM `+table+` WHERE tenant_id = $1`, a.ID.String())
		if err := row.Scan(&n); err != nil || n == 0 {
			t.Errorf("table %s has %d rows of tenant a (%v): let fill add one", table, n, err)
		}
	}
	for _, login := range []string{
		postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker, postgres.LoginDelivery, postgres.LoginAudit,
	} {
		c := db.Conn(t, login)
		checked := 0
		for _, table := range tables {
			var readable bool
			row := c.QueryRow(t.Context(), `SELECT has_any_column_privilege(current_user, $1::regclass, 'SELECT')`, table)
			if err := row.Scan(&readable); err != nil {
				t.Fatal(err)
			}
			if !readable {
				continue
			}
			checked++
			if own, foreign := countAs(t, c, table, a.ID); own == 0 || foreign != 0 {
				t.Errorf("%s as tenant a sees %d rows of its own and %d of others in %s", login, own, foreign, table)
			}
			if _, foreign := countAs(t, c, table, b.ID); foreign != 0 {
				t.Errorf("%s as tenant b sees %d rows of others in %s", login, foreign, table)
			}
			// The connection was used for tenants a and b, and now has no tenant.
			var n int
			if err := c.QueryRow(t.Context(), `SELECT count(tenant_id) FROM `+table).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s sees %d rows in %s with no tenant set (%v)", login, n, table, err)
			}
		}
		if checked == 0 {
			t.Errorf("%s may read no table at all: this test checks nothing", login)
		}
	}
}

func countAs(t *testing.T, c *pgx.Conn, table string, as tenant.ID) (own, foreign int) {
	t.Helper()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	setTenant(t, tx, as)
	err = tx.QueryRow(t.Context(), `
		SELECT count(*) FILTER (WHERE tenant_id = $1), count(*) FILTER (WHERE tenant_id <> $1)
		FROM `+table, as.String()).Scan(&own, &foreign)
	if err != nil {
		t.Fatalf("count %s: %v", table, err)
	}
	return own, foreign
}

func setTenant(t *testing.T, tx pgx.Tx, as tenant.ID) {
	t.Helper()
	_, err := tx.Exec(t.Context(), `
		SELECT set_config('app.tenant_id', $1, true), set_config('app.tenant_ids', '{' || $1 || '}', true)`, as.String())
	if err != nil {
		t.Fatal(err)
	}
}

func TestFreshConnectionSeesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, _ := db.Two(t)
	fill(t, db, a)
	for _, login := range []string{postgres.LoginAPI, postgres.LoginWorker} {
		var n int
		if err := db.Conn(t, login).QueryRow(t.Context(), `SELECT count(id) FROM orders`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: a fresh connection counts %d orders (%v), want 0 and no error", login, n, err)
		}
	}
}

func TestWritingIntoAnotherTenantIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	o := fill(t, db, a)
	c := db.Conn(t, postgres.LoginWorker)
	attempt := func(sql string, args ...any) (pgconn.CommandTag, error) {
		t.Helper()
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(t.Context()) }()
		setTenant(t, tx, b.ID)
		return tx.Exec(t.Context(), sql, args...)
	}
	_, err := attempt(`
		INSERT INTO inbox (tenant_id, order_id, consumer, seq)
		VALUES ($1, $2, 'x', 1)`, a.ID.String(), o.String())
	if sqlState(err) != "42501" {
		t.Errorf("insert for tenant a as b: %v, want 42501", err)
	}
	for _, login := range []string{postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker} {
		c = db.Conn(t, login)
		_, err := attempt(`
			INSERT INTO outbox (tenant_id, order_id, seq)
			VALUES ($1, $2, 9)`, a.ID.String(), o.String())
		if sqlState(err) != "42501" {
			t.Errorf("%s inserts for tenant a as b: %v, want 42501", login, err)
		}
	}
	c = db.Conn(t, postgres.LoginWorker)
	tag, err := attempt(`UPDATE orders SET method = 'x' WHERE id = $1`, o.String())
	if err != nil || tag.RowsAffected() != 0 {
		t.Errorf("update of tenant a's order as b: %d rows, %v; want none", tag.RowsAffected(), err)
	}
	// A foreign key to another tenant's row: the key includes the tenant, so there is no such row.
	_, err = attempt(`
		INSERT INTO saga_tasks (tenant_id, id, order_id, kind, provider, state, step, try, compensating, sent, epoch,
			waited_ms, progress, detail)
		VALUES ($1, gen_random_uuid(), $2, 1, 'x', 0, 0, 0, false, false, 0,
			0, 0, '')`, b.ID.String(), o.String())
	if sqlState(err) != "23503" {
		t.Errorf("task of b on the order of a: %v, want 23503", err)
	}
	api := db.API(t)
	agg := draft(db, a, 1)
	err = api.InTenant(t.Context(), b.ID, app.With{}, func(tx app.Tx) error { tx.Insert(agg); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := api.Order(t.Context(), b.ID, agg.Order.ID); err != nil || got.Order.Tenant != b.ID {
		t.Errorf("an order lands in the transaction's tenant, whatever it says: %v, %v", got, err)
	}
}

func TestListOfTenantsSeesExactlyThose(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	c := db.Seed(t, db.API(t), "gamma")
	worker := db.Worker(t)
	tasks := map[tenant.ID]app.TaskRef{}
	for _, org := range []pgtest.Org{a, b, c} {
		agg := draft(db, org, 1)
		task := fulfil.Task{
			ID: newID[fulfil.Task](db), Tenant: org.ID, Order: agg.Order.ID, Item: agg.Order.Items[0].ID,
			Kind: fulfil.Provision, Queue: "sim", NextAt: db.Clock.Now(),
		}
		agg.Tasks = []fulfil.Task{task}
		insert(t, worker, agg)
		tasks[org.ID] = app.TaskRef{Tenant: org.ID, Task: task.ID}
	}
	foreign := app.TaskRef{Tenant: b.ID, Task: tasks[c.ID].Task} // c's task under b's name
	if err := worker.MarkOpen(t.Context(), []app.TaskRef{tasks[a.ID], tasks[b.ID], foreign}); err != nil {
		t.Fatal(err)
	}
	open, err := worker.DueTasks(t.Context(), "sim", fulfil.Open, db.Clock.Now(), 10)
	if err != nil {
		t.Fatal(err)
	}
	got := map[tenant.ID]bool{}
	for _, task := range open {
		got[task.Tenant] = true
	}
	if diff := cmp.Diff(map[tenant.ID]bool{a.ID: true, b.ID: true}, got); diff != "" {
		t.Errorf("open tasks (-want +got):\n%s", diff)
	}
}

// gapsInWalls reads the server's catalogue and returns what the walls of the tables with a tenant lack. A new
// table is checked without a change here.
func gapsInWalls(t *testing.T, c *pgx.Conn) []string {
	t.Helper()
	var gaps []string
	report := func(what, sql string) {
		t.Helper()
		for _, found := range textColumn(t, c, sql) {
			gaps = append(gaps, what+": "+found)
		}
	}
	tenanted := `pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid
			AND a.attname = 'tenant_id'
			AND c.relnamespace = 'platforma'::regnamespace
			AND c.relkind IN ('r', 'p')`
	report("tenant_id may be null", `
		SELECT c.relname::text
		FROM `+tenanted+`
		WHERE NOT a.attnotnull`)
	report("no ENABLE or no FORCE", `
		SELECT c.relname::text
		FROM `+tenanted+`
		WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity)`)
	report("no index led by tenant_id", `
		SELECT c.relname::text
		FROM `+tenanted+`
		WHERE c.relname <> 'outbox'
			AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum)`)
	report("unique index not led by tenant_id", `
		SELECT i.indexrelid::regclass::text
		FROM `+tenanted+`
		JOIN pg_index i ON i.indrelid = c.oid
		WHERE i.indisunique
			AND i.indkey[0] <> a.attnum
			AND i.indexrelid::regclass::text NOT LIKE '%outbox_pkey'`)
	report("policy without WITH CHECK", `
		SELECT tablename || '.' || policyname
		FROM pg_policies
		WHERE schemaname = 'platforma' AND policyname IN ('one', 'few') AND (qual IS NULL OR with_check IS NULL)`)
	report("policy casts the column", `
		SELECT tablename || '.' || policyname
		FROM pg_policies
		WHERE schemaname = 'platforma' AND (qual LIKE '%(tenant_id)::%' OR with_check LIKE '%(tenant_id)::%')`)
	report("grantee without a policy", `
		SELECT DISTINCT c.relname || ' to ' || g.grantee::regrole
		FROM `+tenanted+`
		CROSS JOIN LATERAL (
			SELECT x.grantee
			FROM aclexplode(c.relacl) x
			UNION
			SELECT x.grantee
			FROM pg_attribute k
			CROSS JOIN LATERAL aclexplode(k.attacl) x
			WHERE k.attrelid = c.oid) g
		WHERE g.grantee <> c.relowner
			AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND g.grantee = ANY (p.polroles))`)
	report("foreign key between tenant tables not led by tenant_id", `
		SELECT k.conname::text
		FROM pg_constraint k
		JOIN `+tenanted+` ON k.conrelid = c.oid
		WHERE k.contype = 'f' AND k.confrelid <> 'platforma.tenants'::regclass AND k.conkey[1] <> a.attnum`)
	return gaps
}

// TestEveryTableWithATenantHasItsWalls is a lint of the server's catalogue.
func TestEveryTableWithATenantHasItsWalls(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t).Super(t)
	for _, gap := range gapsInWalls(t, c) {
		t.Error(gap)
	}
	wantNone := func(what, sql string) {
		t.Helper()
		if found := textColumn(t, c, sql); len(found) > 0 {
			t.Errorf("%s: %s", what, strings.Join(found, ", "))
		}
	}
	wantNone("table outside the schema: its migration sets no search_path", `
		SELECT c.oid::regclass::text
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p')
			AND n.nspname NOT IN ('platforma', 'pg_catalog', 'information_schema')
			AND c.relname <> 'goose_db_version'`)
	wantNone("table with another owner: its migration sets no role", `
		SELECT c.relname::text
		FROM pg_class c
		WHERE c.relnamespace = 'platforma'::regnamespace
			AND c.relkind IN ('r', 'p')
			AND c.relowner <> 'platforma_owner'::regrole`)
	wantNone("function with another owner", `
		SELECT proname::text
		FROM pg_proc
		WHERE pronamespace = 'platforma'::regnamespace
			AND proowner NOT IN ('platforma_owner'::regrole, 'platforma_system'::regrole)`)
	// DELETE is granted on the outbox, the idempotency keys, the webhook deliveries and the consumers' status only.
	wantNone("TRUNCATE, REFERENCES, TRIGGER or DELETE that may not be granted", `
		SELECT c.relname || ' ' || x.privilege_type || ' to ' || x.grantee::regrole
		FROM pg_class c
		CROSS JOIN LATERAL aclexplode(c.relacl) x
		WHERE c.relnamespace = 'platforma'::regnamespace
			AND x.grantee <> c.relowner
			AND (x.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
				OR x.privilege_type = 'DELETE' AND NOT (
					c.relname = 'outbox' AND x.grantee = 'platforma_relay'::regrole
					OR c.relname IN ('idempotency', 'webhook_delivery', 'webhook_call')
						AND x.grantee = 'platforma_system'::regrole
					OR c.relname = 'consumer_status' AND x.grantee = 'platforma_worker'::regrole))`)
	wantNone("view or materialized view", `
		SELECT relname::text
		FROM pg_class
		WHERE relnamespace = 'platforma'::regnamespace AND relkind IN ('v', 'm')`)
	wantNone("function that PUBLIC may call", `
		SELECT p.proname::text
		FROM pg_proc p
		CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
		WHERE p.pronamespace = 'platforma'::regnamespace AND x.grantee = 0`)
	wantNone("function without a fixed search_path", `
		SELECT p.proname::text
		FROM pg_proc p
		WHERE p.pronamespace = 'platforma'::regnamespace
			AND NOT coalesce(p.proconfig::text LIKE '%search_path=platforma, pg_temp%', false)`)
	wantNone("login that bypasses row-level security", `
		SELECT rolname::text
		FROM pg_roles
		WHERE rolname LIKE 'platforma\_%' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)`)
	wantNone("event, audit log or ledger that may be updated", `
		SELECT c.relname || ' to ' || x.grantee::regrole
		FROM pg_class c
		CROSS JOIN LATERAL aclexplode(c.relacl) x
		WHERE c.relname IN ('order_event', 'audit_log', 'audit_finding', 'billing_receipts', 'billing_finding')
			AND x.grantee <> c.relowner
			AND x.privilege_type = 'UPDATE'`)

	got := textColumn(t, c, `
		SELECT c.relname::text
		FROM pg_class c
		WHERE c.relnamespace = 'platforma'::regnamespace
			AND c.relkind IN ('r', 'p')
			AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')`)
	if diff := cmp.Diff(tenantless, got); diff != "" {
		t.Errorf("tables without a tenant (-allowed +found):\n%s", diff)
	}
	sanctioned := textColumn(t, c, `
		SELECT p.proname::text
		FROM pg_proc p
		WHERE p.pronamespace = 'platforma'::regnamespace AND p.prosecdef`)
	want := []string{"due_tasks", "expired_orders", "find_actor", "purge_expired", "purge_webhooks"}
	if diff := cmp.Diff(want, sanctioned); diff != "" {
		t.Errorf("functions with their owner's rights, at most 5 (-want +got):\n%s", diff)
	}
	cache := textColumn(t, c, `
		SELECT cache_size::text
		FROM pg_sequences
		WHERE schemaname = 'platforma' AND sequencename LIKE 'outbox%'`)
	if !slices.Equal(cache, []string{"1"}) {
		t.Errorf("outbox ids are drawn with CACHE %v, want 1: otherwise they are not in the order of the changes", cache)
	}
}

// TestWallIsAllThatANewTableNeeds creates tables as a migration does, with a call of wall and without one.
func TestWallIsAllThatANewTableNeeds(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t).Super(t)
	create := func(name, wall string) {
		t.Helper()
		_, err := c.Exec(t.Context(), `
			SET ROLE platforma_owner;
			SET search_path = platforma, pg_temp;
			CREATE TABLE `+name+` (
				tenant_id uuid NOT NULL REFERENCES tenants, id uuid NOT NULL, PRIMARY KEY (tenant_id, id));
			`+wall+`
			GRANT SELECT, INSERT ON `+name+` TO platforma_api, platforma_worker;
			RESET ROLE`)
		if err != nil {
			t.Fatalf("create table %s: %v", name, err)
		}
	}
	create("walled", `CALL wall('walled');`)
	create("open_ground", ``)
	want := []string{
		"no ENABLE or no FORCE: open_ground",
		"grantee without a policy: open_ground to platforma_api",
		"grantee without a policy: open_ground to platforma_worker",
	}
	if diff := cmp.Diff(want, gapsInWalls(t, c)); diff != "" {
		t.Errorf("what the walls lack (-want +found):\n%s", diff)
	}
	policies := `
		SELECT policyname || ' ' || cmd || ' ' || permissive || ' ' || roles::text || ' ' || qual || ' ' || with_check
		FROM pg_policies
		WHERE tablename = $1`
	if diff := cmp.Diff(textColumn(t, c, policies, "inbox"), textColumn(t, c, policies, "walled")); diff != "" {
		t.Errorf("policies (-of the first migration +of wall):\n%s", diff)
	}
}

func TestOnlyTheOwnerMayCallWall(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, login := range postgres.Logins() {
		if _, err := db.Conn(t, login).Exec(t.Context(), `CALL wall('orders')`); sqlState(err) != "42501" {
			t.Errorf("%s: %v, want 42501", login, err)
		}
	}
}

func TestColumnsThatALoginMayNotTouch(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, _ := db.Two(t)
	fill(t, db, a)
	refused := map[string][]string{
		`SELECT sealed FROM credentials`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT * FROM credentials`: {postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker},
		`UPDATE credentials SET sealed = 'x'`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT passphrase_sealed FROM deliveries`: {
			postgres.LoginAPI, postgres.LoginWorker, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT sealed FROM webhook_secret`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT * FROM webhook_secret`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT wrapped FROM webhook_secret`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`UPDATE webhook_secret SET sealed = 'x' RETURNING sealed`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker, postgres.LoginDelivery,
			postgres.LoginRelay, postgres.LoginAudit,
		},
		`UPDATE webhook_endpoint SET url = 'x'`: {
			postgres.LoginWorker, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`DELETE FROM webhook_delivery`: postgres.Logins(),
		`DELETE FROM webhook_call`:     postgres.Logins(),
		`SELECT purge_webhooks(now(), now(), 1)`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT id FROM webhook_delivery`:     {postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit},
		`SELECT wrapped FROM keysets`:         {postgres.LoginAPI, postgres.LoginRelay, postgres.LoginAudit},
		`UPDATE payments SET paid_cents = 1`:  {postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker},
		`UPDATE payments SET reference = 'x'`: {postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker},
		`UPDATE allocations SET cents = 1`:    {postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker},
		`UPDATE order_event SET data = '{}'`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker, postgres.LoginRelay,
		},
		`DELETE FROM orders`:                   postgres.Logins(),
		`UPDATE audit_log SET off = 1`:         postgres.Logins(),
		`DELETE FROM audit_log`:                postgres.Logins(),
		`UPDATE audit_finding SET detail = ''`: postgres.Logins(),
		`DELETE FROM audit_finding`:            postgres.Logins(),
		`SELECT hash FROM audit_log`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker, postgres.LoginDelivery, postgres.LoginRelay,
		},
		`SELECT detail FROM audit_finding`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker, postgres.LoginDelivery, postgres.LoginRelay,
		},
		`UPDATE billing_receipts SET moved_cents = 0`:      postgres.Logins(),
		`DELETE FROM billing_receipts`:                     postgres.Logins(),
		`DELETE FROM operator_incident`:                    postgres.Logins(),
		`UPDATE operator_incident SET order_id = order_id`: postgres.Logins(),
		`SELECT moved_cents FROM billing_receipts`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT cause FROM operator_notice`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT data FROM order_event`: {postgres.LoginDelivery, postgres.LoginAudit},
		`DELETE FROM idempotency`:      postgres.Logins(),
		`TRUNCATE orders`:              postgres.Logins(),
		`SELECT id FROM orders`:        {postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit},
		`SELECT * FROM expired_orders(now(), 1)`: {
			postgres.LoginAPI, postgres.LoginPortal, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`SELECT * FROM find_actor('x', now())`: {
			postgres.LoginWorker, postgres.LoginDelivery, postgres.LoginRelay, postgres.LoginAudit,
		},
		`COPY outbox (tenant_id, order_id, seq) FROM '/dev/null'`:    postgres.Logins(),
		`SET ROLE platforma_owner`:                                   postgres.Logins(),
		`INSERT INTO tenants VALUES (gen_random_uuid(), 'x', now())`: postgres.Logins(),
	}
	for _, login := range postgres.Logins() {
		c := db.Conn(t, login)
		for _, sql := range slices.Sorted(maps.Keys(refused)) {
			if !slices.Contains(refused[sql], login) {
				continue
			}
			if _, err := c.Exec(t.Context(), sql); sqlState(err) != "42501" {
				t.Errorf("%s: %s: %v, want 42501", login, sql, err)
			}
		}
	}
	tx, err := db.Conn(t, postgres.LoginDelivery).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	setTenant(t, tx, a.ID)
	var sealed string
	err = tx.QueryRow(t.Context(), `SELECT convert_from(sealed, 'UTF8') FROM credentials`).Scan(&sealed)
	if err != nil || sealed != "sealed for alpha" {
		t.Errorf("the delivery login reads %q (%v)", sealed, err)
	}
}

func TestOpenFailsWithoutTheTenantWalls(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ sql, want string }{
		"no force": {
			`ALTER TABLE orders NO FORCE ROW LEVEL SECURITY`,
			"tables without ENABLE and FORCE ROW LEVEL SECURITY: [orders]",
		},
		"truncate": {
			`GRANT TRUNCATE ON orders TO platforma_api`,
			"platforma_api holds TRUNCATE, REFERENCES or TRIGGER (or a materialized view): revoke it on [orders]",
		},
		"references": {
			`GRANT REFERENCES ON order_items TO platforma_api`,
			"platforma_api holds TRUNCATE, REFERENCES or TRIGGER (or a materialized view): revoke it on [order_items]",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Super(t).Exec(t.Context(), c.sql); err != nil {
				t.Fatal(err)
			}
			opened, err := postgres.Open(t.Context(), db.URL(postgres.LoginAPI), postgres.LoginAPI, postgres.Options{
				Clock: db.Clock, NewID: db.Clock.NewID,
			})
			if err == nil {
				opened.Close()
				t.Fatal("it opened")
			}
			if err.Error() != c.want {
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
	t.Run("superuser", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		opened, err := postgres.Open(t.Context(), db.OwnerURL(), postgres.LoginAPI, postgres.Options{
			Clock: db.Clock, NewID: db.Clock.NewID,
		})
		if err == nil {
			opened.Close()
			t.Fatal("it opened as a superuser")
		}
		if want := fmt.Sprintf("where %s is needed", postgres.LoginAPI); !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to say %q", err, want)
		}
	})
}

func TestSettingThatOutlivesItsTransactionEndsTheConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	api := db.Open(t, postgres.LoginAPI, postgres.Options{MaxConns: 1})
	o := fill(t, db, a)
	pid := func() (pid int) {
		t.Helper()
		err := db.Super(t).QueryRow(t.Context(), `
			SELECT pid
			FROM pg_stat_activity
			WHERE datname = current_database() AND usename = 'platforma_api'
			ORDER BY backend_start DESC
			LIMIT 1`).Scan(&pid)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	before := pid()
	// The worst case is a trigger that sets the tenant for the whole session.
	if _, err := db.Super(t).Exec(t.Context(), `
		CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM set_config('app.tenant_id', NEW.tenant_id::text, false);
			RETURN NEW;
		END $$;
		GRANT EXECUTE ON FUNCTION spoil TO platforma_api;
		CREATE TRIGGER spoil BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION spoil()`); err != nil {
		t.Fatal(err)
	}
	change(t, api, db, a, o, app.Also{}, func(agg *app.Aggregate) { agg.Order.Method = "x" })
	p, err := api.Orders(t.Context(), b.ID, app.OrderFilter{Limit: 10})
	if err != nil || len(p.Data) != 0 {
		t.Errorf("tenant b lists %d orders, %v", len(p.Data), err)
	}
	if after := pid(); after == before {
		t.Error("the connection that kept a tenant is still in use")
	}
}
