package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

func leaseOf(t *testing.T, relay *postgres.DB) app.OutboxLease {
	t.Helper()
	l, ok, err := relay.TryLease(t.Context(), 0)
	if err != nil || !ok {
		t.Fatalf("lease: %t, %v", ok, err)
	}
	return l
}

func ids(rows []app.OutboxRow) (list []int64) {
	for _, r := range rows {
		list = append(list, r.ID)
	}
	return list
}

func TestTheOutboxReturnsEventsAndDeadLettersInOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	agg := draft(db, org, 1)
	agg.Order.Record(order.Event{Type: order.EvUpdated})
	recordEvents(db, agg)
	task := fulfil.Task{
		ID: newID[fulfil.Task](db), Tenant: org.ID, Order: agg.Order.ID, Item: agg.Order.Items[0].ID,
		Kind: fulfil.Provision, Queue: "sim",
	}
	agg.Tasks = []fulfil.Task{task}
	now := db.Clock.Now()
	deadLetter := app.DeadLetter{
		ID: newID[app.DeadLetter](db), Order: agg.Order.ID, Item: task.Item, Task: task.ID, Source: "step",
		Class: fault.Quota, Code: "step-failed", Detail: "over quota", Step: "server",
		Attempts: 1, PayloadSHA256: [32]byte{9}, FirstFailedAt: now, At: now,
	}
	agg.Added.DeadLetters = []app.DeadLetter{deadLetter}
	insert(t, api, agg)

	lease := leaseOf(t, db.Relay(t))
	defer lease.Release()
	rows, err := lease.Pending(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for i := range rows {
		if i > 0 && rows[i].ID <= rows[i-1].ID {
			t.Errorf("ids %v are not rising", ids(rows))
		}
		if d := rows[i].DeadLetter; d != nil {
			got["dead letter"] = *d
			if rows[i].Record.Tenant != org.ID || rows[i].Record.Order != agg.Order.ID {
				t.Errorf("dead letter of %s, order %s", rows[i].Record.Tenant, rows[i].Record.Order)
			}
			continue
		}
		got[string(rows[i].Record.Type)] = rows[i].Record
	}
	want := map[string]any{
		"dead letter": deadLetter, "order.created": agg.Added.Events[0], "order.updated": agg.Added.Events[1],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if limited, err := lease.Pending(t.Context(), 2); err != nil || len(limited) != 2 || limited[0].ID != rows[0].ID {
		t.Errorf("a limit of 2 gives %v (%v)", ids(limited), err)
	}
}

func TestOnlyOneRelayHoldsTheShard(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	first, second := db.Relay(t), db.Relay(t)
	lease := leaseOf(t, first)
	if _, ok, err := second.TryLease(t.Context(), 0); ok || err != nil {
		t.Errorf("a second lease: %t, %v", ok, err)
	}
	other, ok, err := second.TryLease(t.Context(), 1)
	if !ok || err != nil {
		t.Fatalf("another shard: %t, %v", ok, err)
	}
	other.Release()
	lease.Release()
	waitFor(t, func() bool {
		l, ok, err := second.TryLease(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			l.Release()
		}
		return ok
	})
}

func TestLostConnectionEndsTheLease(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	relay := db.Relay(t)
	lease := leaseOf(t, relay)
	defer lease.Release()
	if _, err := db.Super(t).Exec(t.Context(), `
		SELECT pg_terminate_backend(pid)
		FROM pg_locks
		WHERE locktype = 'advisory'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { // until the server has ended the session
		_, err := lease.Pending(t.Context(), 1)
		return err != nil
	})
	if _, err := lease.Pending(t.Context(), 1); err == nil {
		t.Error("a lease without its lock went on reading")
	}
	if err := lease.Done(t.Context(), app.RelayPosition{}); err == nil {
		t.Error("a lease without its lock went on deleting")
	}
	waitFor(t, func() bool { // until the backend has released its lock
		next, ok, err := relay.TryLease(t.Context(), 0)
		if err != nil || !ok {
			return false
		}
		next.Release()
		return true
	})
}

func TestReconcileComparesTopicAndDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	for range 3 {
		insert(t, api, draft(db, org, 1))
	}
	lease := leaseOf(t, db.Relay(t))
	defer lease.Release()
	pending := func() []int64 {
		t.Helper()
		rows, err := lease.Pending(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return ids(rows)
	}
	all := pending()
	if len(all) != 3 {
		t.Fatalf("%d rows, want 3", len(all))
	}
	ok := func(name string, p app.RelayPosition) {
		t.Helper()
		if err := lease.Done(t.Context(), p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused := func(name string, p app.RelayPosition) {
		t.Helper()
		before := pending()
		if err := lease.Done(t.Context(), p); !errors.Is(err, app.ErrRelayPosition) {
			t.Errorf("%s: %v, want relay-position-mismatch", name, err)
		}
		if diff := cmp.Diff(before, pending()); diff != "" {
			t.Errorf("%s: it deleted (-before +after):\n%s", name, diff)
		}
	}
	ok("never relayed", app.RelayPosition{})
	refused("the topic is ahead", app.RelayPosition{Batch: 2, IDs: all[:1]})
	refused("another epoch", app.RelayPosition{Epoch: 1, Batch: 1, IDs: all[:1]})
	ok("first batch", app.RelayPosition{Batch: 1, IDs: all[:2]})
	ok("the same again, after a crash", app.RelayPosition{Batch: 1, IDs: all[:2]})
	refused("the recorded batch with rows that are still there", app.RelayPosition{Batch: 1, IDs: all[2:]})
	refused("a row of the next batch is missing", app.RelayPosition{Batch: 2, IDs: all[1:]})
	refused("the topic is behind: it was lost", app.RelayPosition{})
	ok("second batch", app.RelayPosition{Batch: 2, IDs: all[2:]})
	if remaining := pending(); remaining != nil {
		t.Errorf("remaining rows %v", remaining)
	}
	if _, err := db.Super(t).Exec(t.Context(), `UPDATE relays SET rebuilding = true`); err != nil {
		t.Fatal(err)
	}
	refused("while the topic is rebuilt", app.RelayPosition{Batch: 2})
}

func TestEventDrawnEarlyAndCommittedLateIsNotSkipped(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	lease := leaseOf(t, db.Relay(t))
	defer lease.Release()
	super := db.Super(t)
	early, late := draft(db, org, 1), draft(db, org, 1)
	tx, err := super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	insertRaw(t, tx, early.Added.Events[0])
	insert(t, api, late)
	first, err := lease.Pending(t.Context(), 10)
	if err != nil || len(first) != 1 || first[0].Record.Order != late.Order.ID {
		t.Fatalf("before the early one commits: %v, %v", first, err)
	}
	if err := lease.Done(t.Context(), app.RelayPosition{Batch: 1, IDs: ids(first)}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := lease.Pending(t.Context(), 10)
	if err != nil || len(second) != 1 || second[0].Record.Order != early.Order.ID || second[0].ID >= first[0].ID {
		t.Errorf("after it committed: %v, %v; want the smaller id", second, err)
	}
}

func insertRaw(t *testing.T, tx pgx.Tx, e event.Record) {
	t.Helper()
	_, err := tx.Exec(t.Context(), `
		INSERT INTO order_event (tenant_id, order_id, seq, event_id, type, actor, at, traceparent, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8)`,
		e.Tenant.String(), e.Order.String(), e.Seq, e.ID.String(), string(e.Type), e.Actor, e.At, string(e.Data))
	if err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(t.Context(), `
		INSERT INTO outbox (tenant_id, order_id, seq)
		VALUES ($1, $2, $3)`,
		e.Tenant.String(), e.Order.String(), e.Seq)
	if err != nil {
		t.Fatal(err)
	}
}

func TestOutboxStatusReportsItsLagAndTheOldestSnapshot(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api, relay := db.API(t), db.Relay(t)
	status := func() app.OutboxStatus {
		t.Helper()
		s, err := relay.OutboxStatus(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if diff := cmp.Diff(app.OutboxStatus{}, status()); diff != "" {
		t.Errorf("an empty outbox (-want +got):\n%s", diff)
	}
	insert(t, api, draft(db, org, 1))
	db.Clock.Advance(40 * time.Second)
	insert(t, api, draft(db, org, 1))
	db.Clock.Advance(50 * time.Second)
	if got := status(); got.Rows != 2 || got.Lag != 90*time.Second {
		t.Errorf("status %+v, want 2 rows, the oldest 90 s old", got)
	}
	reader := db.Super(t)
	for _, sql := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT 1`} {
		if _, err := reader.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	insert(t, api, draft(db, org, 1)) // writers go on, and the reader keeps its snapshot
	status()
	db.Clock.Advance(70 * time.Second)
	if got := status().XminHeld; got != 70*time.Second {
		t.Errorf("the oldest snapshot is held for %s, want 70 s", got)
	}
	if _, err := reader.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return status().XminHeld == 0 })
	if n, err := relay.HistorySize(t.Context()); n != 3 || err != nil {
		t.Errorf("HistorySize() = %d, %v, want 3", n, err)
	}
}
