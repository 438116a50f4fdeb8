package pgfacts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/pgfacts"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.M{M: m}) }

const (
	tenantID = "11111111-1111-7111-8111-111111111111"
	orderID  = "22222222-2222-7222-8222-222222222222"
	itemID   = "33333333-3333-7333-8333-333333333333"
	payID    = "44444444-4444-7444-8444-444444444444"
	taskID   = "55555555-5555-7555-8555-555555555555"
	otherID  = "66666666-6666-7666-8666-666666666666"
)

// oneOfEach inserts one row into each table, with numbers for its states. The names that the test expects are taken
// from the comments of the schema, not from the code under test.
const oneOfEach = `
	INSERT INTO tenants (id, slug, created_at) VALUES ('` + tenantID + `', 'acme', '2026-01-15T09:00:00Z');
	INSERT INTO orders (tenant_id, id, number, customer_id, state, outcome, settlement, policy, closing, method,
			version, last_seq, currency, due_cents, delivery_stuck, expires_at, created_at, updated_at)
		VALUES ('` + tenantID + `', '` + orderID + `', 'ORD-1', '` + otherID +
	`', 6, 1, 3, 1, 2, 'manual', 7, 9, 'EUR', 2010, true,
			'2026-02-01T00:00:00Z', '2026-01-15T09:00:00Z', '2026-01-15T10:00:00Z');
	INSERT INTO order_items (tenant_id, id, order_id, line, state, product, label, generation, snapshot,
			price_cents, progress, detail)
		VALUES ('` + tenantID + `', '` + itemID + `', '` + orderID + `', 1, 7, 'vps', '', 3, '{ "b":1,"a":2}', 2010, 0, '');
	INSERT INTO order_event (tenant_id, order_id, seq, event_id, type, actor, at, traceparent, data)
		VALUES ('` + tenantID + `', '` + orderID + `', 4, '` + otherID +
	`', 'order.created', 'system:worker', '2026-01-15T09:00:00.123456Z', '', '{ "seq":4}');
	INSERT INTO outbox (tenant_id, order_id, seq) VALUES ('` + tenantID + `', '` + orderID + `', 4);
	INSERT INTO payments (tenant_id, id, order_id, state, provider, reference, method, due_cents, paid_cents,
			currency, paid_at)
		VALUES ('` + tenantID + `', '` + payID + `', '` + orderID +
	`', 3, 'manual', 'bank-1', 'bank_transfer', 2010, 2009, 'EUR', '2026-01-15T09:00:00Z');
	INSERT INTO allocations (tenant_id, payment_id, item_id, cents) VALUES ('` + tenantID + `', '` + payID +
	`', '` + itemID + `', 2009);
	INSERT INTO refunds (tenant_id, id, order_id, payment_id, item_id, state, reference, cents, currency, accepted_at)
		VALUES ('` + tenantID + `', '` + otherID + `', '` + orderID + `', '` + payID + `', '` + itemID +
	`', 2, 'r', 2009, 'EUR', '2026-01-15T09:30:00Z');
	INSERT INTO billing_receipts (tenant_id, order_id, seq, event_id, type, at, heard_at, subject_id, cents,
			moved_cents, currency)
		VALUES ('` + tenantID + `', '` + orderID + `', 4, '` + otherID +
	`', 'billing.refund-accepted', '2026-01-15T09:00:00Z', '2026-01-15T09:00:01Z', '` + otherID + `', 2009, -2009, 'EUR');
	INSERT INTO billing_finding (tenant_id, order_id, seq, event_id, left_cents, at) VALUES ('` + tenantID + `', '` +
	orderID + `', 4, '` + otherID + `', -7, '2026-01-15T09:00:00Z');
	INSERT INTO inbox (tenant_id, order_id, consumer, seq, parked_seq, blocked_to, blocked) VALUES ('` + tenantID +
	`', '` + orderID + `', 'notify', 4, 6, 9, 2);
	INSERT INTO audit_log (tenant_id, n, order_id, seq, event_id, type, at, seen_at, data_sha256, topic_id, part, off,
			prev_hash, hash)
		VALUES ('` + tenantID + `', 8, '` + orderID + `', 4, '` + otherID +
	`', 'order.created', '2026-01-15T09:00:00Z', '2026-01-15T09:00:00.000001Z', 'd', '` + taskID + `', 11, 12, 'p', 'h');
	INSERT INTO audit_finding (tenant_id, kind, topic_id, part, off, order_id, seq, detail, at)
		VALUES ('` + tenantID + `', 'gap', '` + taskID + `', 11, 12, NULL, NULL, 'why', '2026-01-15T09:00:00Z');
	INSERT INTO rollup (tenant_id, asked_zone, time_zone, counted_at) VALUES ('` + tenantID +
	`', 'Europe/Ljubljana', 'Europe/Ljubljana', '2026-01-15T09:00:00Z');
	INSERT INTO order_daily (tenant_id, day, state, currency, orders, paid, paid_due_cents) VALUES ('` + tenantID +
	`', '2026-01-15', 6, 'EUR', 3, 2, 4020);
	INSERT INTO revenue_daily (tenant_id, day, currency, captured_cents, refunded_cents) VALUES ('` + tenantID +
	`', '2026-01-16', 'EUR', 2009, 2008);
	INSERT INTO credentials (tenant_id, item_id, generation, sealed, created_at) VALUES ('` + tenantID + `', '` + itemID +
	`', 3, 'ciphertext', '2026-01-15T09:00:00Z');
	INSERT INTO idempotency (tenant_id, key, fingerprint, status, headers, body, created_at) VALUES ('` + tenantID +
	`', 'k', 'f', 201, '{}', 'answer', '2026-01-15T09:00:00Z');`

func TestEveryRowIsReadWithTheNamesOfItsStates(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Super(t).Exec(t.Context(), oneOfEach); err != nil {
		t.Fatalf("insert: %v", err)
	}
	got, err := pgfacts.Read(t.Context(), db.OwnerURL())
	if err != nil {
		t.Fatalf("Read() = %v", err)
	}
	at := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	want := invariant.Facts{
		Orders: []invariant.Order{{
			Tenant: tenantID, ID: orderID, Number: "ORD-1", State: "partially_fulfilled", Outcome: "partial",
			Settlement: "stuck", Policy: "all_or_nothing", Closing: "rejected",
			Version: 7, LastSeq: 9, Currency: "EUR", DueCents: 2010, Expires: true, DeliveryStuck: true, CreatedAt: at,
			UpdatedAt: at.Add(time.Hour),
		}},
		Items: []invariant.Item{{
			Tenant: tenantID, Order: orderID, ID: itemID, State: "waiting_capacity",
			Product: "vps", Generation: 3, Snapshot: []byte(`{ "b":1,"a":2}`), PriceCents: 2010,
		}},
		Events: []invariant.Event{{
			Tenant: tenantID, Order: orderID, Seq: 4, ID: otherID, Type: "order.created",
			Actor: "system:worker", At: at.Add(123456 * time.Microsecond), Data: []byte(`{ "seq":4}`),
		}},
		Outbox: []invariant.Outbox{{Tenant: tenantID, Order: orderID, Seq: 4}},
		Payments: []invariant.Payment{{
			Tenant: tenantID, ID: payID, Order: orderID, State: "refunded", Provider: "manual",
			Reference: "bank-1", DueCents: 2010, PaidCents: 2009, Currency: "EUR", PaidAt: at,
		}},
		Allocations: []invariant.Allocation{{Tenant: tenantID, Payment: payID, Item: itemID, Cents: 2009}},
		Refunds: []invariant.Refund{{
			Tenant: tenantID, ID: otherID, Order: orderID, Payment: payID, Item: itemID,
			State: "accepted", Cents: 2009, Currency: "EUR", AcceptedAt: at.Add(30 * time.Minute),
		}},
		Receipts: []invariant.Receipt{{
			Tenant: tenantID, Order: orderID, Seq: 4, Event: otherID,
			Type: "billing.refund-accepted", Subject: otherID, Cents: 2009, Moved: -2009, Currency: "EUR",
		}},
		BillingFindings: []invariant.BillingFinding{{Tenant: tenantID, Order: orderID, Seq: 4, Cents: -7}},
		Checkpoints: []invariant.Checkpoint{{
			Tenant: tenantID, Order: orderID, Consumer: "notify",
			Seq: 4, Parked: 6, BlockedTo: 9,
		}},
		Credentials: []invariant.Credential{{Tenant: tenantID, Item: itemID, Generation: 3, Sealed: true}},
		Answers:     []invariant.Answer{{Tenant: tenantID, Key: "k", Status: 201, Body: []byte("answer")}},
		Tasks:       []invariant.Task{}, Journal: []invariant.JournalEntry{}, Log: []invariant.LogLine{},
		DeadLetters: []invariant.DeadLetter{}, Deliveries: []invariant.Delivery{},
		AuditLog: []invariant.AuditEntry{{
			Tenant: tenantID, N: 8, Order: orderID, Seq: 4, Event: otherID, Type: "order.created", At: at,
			SeenAt: at.Add(time.Microsecond), Hash: []byte("d"),
			Topic: taskID, Partition: 11, Offset: 12, Before: []byte("p"), Chain: []byte("h"),
		}},
		Rollups: []invariant.Rollup{{Tenant: tenantID, Zone: "Europe/Ljubljana"}},
		Days: []invariant.Day{
			{
				Tenant: tenantID, Day: "2026-01-15", State: "partially_fulfilled", Currency: "EUR",
				Amounts: invariant.Amounts{3, 2, 4020},
			},
			{Tenant: tenantID, Day: "2026-01-16", Currency: "EUR", Amounts: invariant.Amounts{2009, 2008}},
		},
		Findings: []invariant.Finding{{Tenant: tenantID, Kind: "gap", Detail: "why", Partition: 11, Offset: 12}},
	}
	if got.At.IsZero() || len(got.Grants) == 0 {
		t.Errorf("read at %s, %d grants; want a time and grants", got.At, len(got.Grants))
	}
	got.At, got.Grants = time.Time{}, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read() (-want +got):\n%s", diff)
	}
}

func TestEffectiveGrantsAreRead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	grants := func() map[invariant.Grant]bool {
		t.Helper()
		f, err := pgfacts.Read(t.Context(), db.OwnerURL())
		if err != nil {
			t.Fatalf("Read() = %v", err)
		}
		if found := invariant.Check(f); len(found) > 0 {
			t.Logf("violations: %v", found)
		}
		held := map[invariant.Grant]bool{}
		for _, g := range f.Grants {
			held[g] = true
		}
		return held
	}
	before := grants()
	for g, want := range map[invariant.Grant]bool{
		{Login: "platforma_relay", Table: "outbox", Privilege: "DELETE"}:      true,
		{Login: "platforma_worker", Table: "payments", Privilege: "UPDATE"}:   true, // of one column
		{Login: "platforma_api", Table: "order_event", Privilege: "UPDATE"}:   false,
		{Login: "platforma_audit", Table: "audit_log", Privilege: "DELETE"}:   false,
		{Login: "platforma_worker", Table: "orders", Privilege: "DELETE"}:     false,
		{Login: "platforma_portal", Table: "orders", Privilege: "TRUNCATE"}:   false,
		{Login: "platforma_owner", Table: "order_event", Privilege: "DELETE"}: false, // nobody logs in as the owner
	} {
		if before[g] != want {
			t.Errorf("grant %v = %t, want %t", g, before[g], want)
		}
	}
	if _, err := db.Super(t).Exec(t.Context(), `GRANT UPDATE (actor) ON order_event TO platforma_api`); err != nil {
		t.Fatal(err)
	}
	if !grants()[invariant.Grant{Login: "platforma_api", Table: "order_event", Privilege: "UPDATE"}] {
		t.Error("Read() does not find a login that may change one column of the log")
	}
}

func TestALoginThatRowSecurityBindsIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := pgfacts.Read(t.Context(), db.URL("platforma_worker"))
	if err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("Read() with a login under row-level security = %v, want an error that names it", err)
	}
}
