package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// receive adds a receipt and returns the order's sum in the ledger.
func receive(t *testing.T, db *pgtest.DB, worker *postgres.DB, org pgtest.Org, o order.ID, r app.Receipt) money.Cents {
	t.Helper()
	r.Event, r.Amount, r.At = newID[order.Event](db), event.Amount{Amount: "20.10", Currency: "EUR"}, db.Clock.Now()
	change(t, worker, db, org, o, app.Also{}, func(agg *app.Aggregate) { agg.Added.Receipts = []app.Receipt{r} })
	var sum money.Cents
	err := worker.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) (err error) {
		sum, err = tx.Ledger(t.Context(), o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestTheLedgerFollowsTheStateOfPaymentsAndRefunds(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	agg := draft(db, org, 1)
	insert(t, db.API(t), agg)
	worker, payment, refund := db.Worker(t), db.Clock.NewID(), db.Clock.NewID()
	for i, c := range []struct {
		kind    order.EventType
		subject [16]byte
		stands  int64
		want    money.Cents
	}{
		{order.EvSubmitted, [16]byte{}, 0, 0},
		{order.EvPaymentConfirmed, payment, 2010, 2010},
		{order.EvRefundRequested, refund, 0, 2010},
		{order.EvRefundFailed, refund, 0, 2010},
		{order.EvRefundAccepted, refund, -2010, 0},
		{order.EvRefundFailed, refund, 0, 2010}, // it bounced
		{order.EvRefundAccepted, refund, -2010, 0},
		{order.EvRefundCompleted, refund, -2010, 0}, // and is not given back twice
		{order.EvPaymentReverted, payment, 0, -2010},
	} {
		if got := receive(t, db, worker, org, agg.Order.ID, app.Receipt{
			Seq: i + 1, Type: c.kind, Subject: c.subject, Balance: c.stands, Cents: 2010,
		}); got != c.want {
			t.Errorf("after %d, %s, the ledger says %d, want %d", i+1, c.kind, got, c.want)
		}
	}
	receive(t, db, worker, org, agg.Order.ID, app.Receipt{
		Seq: 2, Type: order.EvPaymentConfirmed, Subject: payment, Balance: 2010,
	}) // the same number again
	if n := textColumn(t, db.Super(t), `SELECT count(*)::text FROM platforma.billing_receipts`); n[0] != "9" {
		t.Errorf("%s receipts, want 9", n[0])
	}
}

func TestTheMigrationAddsReceiptsForExistingEvents(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	migrateBefore(t, db, "0017_receipts_notices.sql")
	c := db.Super(t)
	for _, sql := range []string{
		`INSERT INTO platforma.tenants VALUES ('11111111-1111-7111-8111-111111111111', 'alpha', now())`,
		`INSERT INTO platforma.orders (tenant_id, id, number, customer_id,
			state, outcome, settlement, policy, closing, method, version, last_seq, currency, due_cents,
			delivery_stuck, created_at, updated_at)
		VALUES ('11111111-1111-7111-8111-111111111111', '22222222-2222-7222-8222-222222222222', 'ORD-1',
			'33333333-3333-7333-8333-333333333333',
			8, 0, 3, 0, 1, 'manual', 7, 9, 'EUR', 2010,
			false, now(), now())`,
		`INSERT INTO platforma.order_event (tenant_id, order_id, seq, event_id, type, actor, at, traceparent, data)
		SELECT '11111111-1111-7111-8111-111111111111', '22222222-2222-7222-8222-222222222222', v.seq,
			gen_random_uuid(), v.type, 'system:worker', now(), '', v.data::json
		FROM (VALUES
			(1, 'order.created', '{"due_now":{"amount":"20.10","currency":"EUR"}}'),
			(2, 'order.submitted', '{"due_now":{"amount":"20.10","currency":"EUR"}}'),
			(3, 'order.payment-confirmed', '{"due_now":{"amount":"20.10","currency":"EUR"},
				"payment":{"id":"44444444-4444-7444-8444-444444444444","amount":{"amount":"20.09","currency":"EUR"}}}'),
			(4, 'billing.refund-requested', '{"due_now":{"amount":"20.10","currency":"EUR"},
				"item":{"id":"66666666-6666-7666-8666-666666666666"},
				"refund":{"id":"55555555-5555-7555-8555-555555555555","item_id":"66666666-6666-7666-8666-666666666666",
					"amount":{"amount":"20.09","currency":"EUR"}}}'),
			(5, 'billing.refund-accepted', '{"due_now":{"amount":"20.10","currency":"EUR"},
				"refund":{"id":"55555555-5555-7555-8555-555555555555","item_id":"66666666-6666-7666-8666-666666666666",
					"amount":{"amount":"20.09","currency":"EUR"}}}'),
			(6, 'order.cancelled', '{"due_now":{"amount":"20.10","currency":"EUR"}}'),
			(7, 'billing.refund-completed', '{"due_now":{"amount":"20.10","currency":"EUR"},
				"refund":{"id":"55555555-5555-7555-8555-555555555555","item_id":"66666666-6666-7666-8666-666666666666",
					"amount":{"amount":"20.09","currency":"EUR"}}}'))
			v (seq, type, data)`,
	} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := postgres.Migrate(t.Context(), db.OwnerURL()); err != nil {
		t.Fatal(err)
	}
	got := textColumn(t, c, `
		SELECT concat_ws(' ', seq, type, left(subject_id::text, 4), left(item_id::text, 4), cents, moved_cents, currency)
		FROM platforma.billing_receipts`)
	want := []string{
		"2 order.submitted 2010 0 EUR", "3 order.payment-confirmed 4444 2009 2009 EUR",
		"4 billing.refund-requested 5555 6666 2009 0 EUR",
		"5 billing.refund-accepted 5555 6666 2009 -2009 EUR", "6 order.cancelled 2010 0 EUR",
		"7 billing.refund-completed 5555 6666 2009 0 EUR",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("receipts of existing events (-want +got):\n%s", diff)
	}
	forced := textColumn(t, c, `
		SELECT relforcerowsecurity::text
		FROM pg_class
		WHERE oid = 'platforma.order_event'::regclass`)
	if forced[0] != "true" {
		t.Error("the migration left order_event without FORCE ROW LEVEL SECURITY")
	}
}
