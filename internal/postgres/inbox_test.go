package postgres_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// mark reads a consumer's mark, and puts what change makes of it.
func mark(
	t *testing.T, s *postgres.DB, org pgtest.Org, o order.ID, change func(cp *app.Checkpoint),
) (was app.Checkpoint, err error) {
	t.Helper()
	err = s.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
		cp, err := tx.LockCheckpoint(t.Context(), "test", o)
		if err != nil {
			return err
		}
		was = cp
		change(&cp)
		tx.PutCheckpoint(cp)
		return nil
	})
	return was, err
}

func wantCheckpoint(t *testing.T, what string, s *postgres.DB, org pgtest.Org, want app.Checkpoint) {
	t.Helper()
	want.Consumer = "test"
	if diff := cmp.Diff(want, must(mark(t, s, org, want.Order, func(*app.Checkpoint) {}))); diff != "" {
		t.Errorf("mark %s (-want +got):\n%s", what, diff)
	}
}

func TestBehindAParkedEventOnlyTheWaitingIsCommitted(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	worker := db.Worker(t)
	agg := draft(db, org, 1)
	insert(t, worker, agg)
	o := agg.Order.ID
	if err := consume(t, worker, org, o, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := mark(t, worker, org, o, func(cp *app.Checkpoint) { cp.Parked, cp.BlockedTo = 3, 3 }); err != nil {
		t.Fatal(err)
	}
	effects := 0
	hear := func(seq int) error {
		return worker.InTenant(t.Context(), org.ID,
			app.With{Inbox: &app.InboxPosition{Consumer: "test", Order: o, Seq: seq}}, func(tx app.Tx) error {
				task := fulfil.Task{
					ID: newID[fulfil.Task](db), Tenant: org.ID, Order: o, Kind: fulfil.Notify, Queue: "notify", NextAt: db.Clock.Now(),
				}
				task.Subject = [16]byte(task.ID)
				tx.AddTask(task) // queued before anything is read: it must not commit all the same
				if seq%2 == 0 {
					return nil // nor when the mark is only looked at with the commit
				}
				return tx.Begin(t.Context())
			})
	}
	for _, seq := range []int{3, 4, 7, 4, 7} { // as the topic has it, and again after a rebalance
		if err := hear(seq); !errors.Is(err, app.ErrBlocked) {
			t.Errorf("event %d: %v, want ErrHeld", seq, err)
		}
	}
	if err := hear(1); !errors.Is(err, app.ErrDuplicate) {
		t.Errorf("event 1 again: %v, want ErrDuplicate", err)
	}
	wantCheckpoint(t, "with two behind the parked one", worker, org, app.Checkpoint{
		Order: o, Seq: 1, Parked: 3, BlockedTo: 7, Blocked: 2,
	})
	if _, err := mark(t, worker, org, o, func(cp *app.Checkpoint) { cp.Redrive = 3 }); err != nil {
		t.Fatal(err)
	}
	if err := hear(4); !errors.Is(err, app.ErrBlocked) {
		t.Errorf("event 4 while 3 is let by: %v, want ErrHeld", err)
	}
	for _, seq := range []int{3, 4} {
		if _, err := mark(t, worker, org, o, func(cp *app.Checkpoint) { cp.Redrive = seq }); err != nil {
			t.Fatal(err)
		}
		if err := hear(seq); err != nil {
			t.Errorf("event %d, let by: %v", seq, err)
		}
		effects++
		if err := hear(seq); !errors.Is(err, app.ErrDuplicate) {
			t.Errorf("event %d again: %v, want ErrDuplicate", seq, err)
		}
	}
	wantCheckpoint(t, "with one left", worker, org, app.Checkpoint{
		Order: o, Seq: 4, Parked: 3, BlockedTo: 7, Blocked: 1, Redrive: 4,
	})
	if diff := cmp.Diff([]app.ParkedCount{{Consumer: "test", Parked: 1, Blocked: 1}},
		must(db.API(t).ParkedCounts(t.Context(), org.ID))); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if n := len(must(worker.Order(t.Context(), org.ID, o)).Tasks); n != effects {
		t.Errorf("%d effects were committed, want %d", n, effects)
	}
}

func TestACheckpointIsOfAnOrderOfItsTenant(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	worker := db.Worker(t)
	agg := draft(db, a, 1)
	insert(t, worker, agg)
	_, err := mark(t, worker, b, agg.Order.ID, func(cp *app.Checkpoint) { cp.Parked, cp.BlockedTo = 1, 1 })
	if f := fault.Of(err); f == nil || f.Kind != fault.KindNotFound {
		t.Errorf("the mark of another tenant's order: %v, want absent", err)
	}
	if err := consume(t, worker, b, agg.Order.ID, 1); fault.Of(err) == nil {
		t.Errorf("another tenant's event: %v, want absent", err)
	}
	var n int
	if err := db.Super(t).QueryRow(t.Context(), `SELECT count(*) FROM inbox`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d marks (%v), want none", n, err)
	}
	if got := must(db.API(t).ParkedCounts(t.Context(), a.ID)); got != nil {
		t.Errorf("parked: %v", got)
	}
}

func TestTheDatabaseKeepsParkingWhole(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	o := fill(t, db, org)
	c := db.Super(t)
	refused := map[string]string{
		"parked without how far was heard": `UPDATE inbox SET parked_seq = 2`,
		"held before what is parked":       `UPDATE inbox SET parked_seq = 4, blocked_to = 3`,
		"let by while nothing is parked":   `UPDATE inbox SET redrive_seq = 2`,
		"held while nothing is parked":     `UPDATE inbox SET blocked = 1`,
		"a letter of an event without it":  `UPDATE dead_letters SET source = 'event'`,
		"an event on another letter": `UPDATE dead_letters SET consumer = 'billing', seq = 2,
			event_id = gen_random_uuid(), event_type = 'order.created'`,
		"half of a place on the topic":      `UPDATE dead_letters SET part = 1`,
		"two parked letters of one mark":    parkedDeadLetterSQL + parkedDeadLetterSQL,
		"an order's event held for nothing": `UPDATE inbox SET blocked_to = 9`,
	}
	for what, sql := range refused {
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SET LOCAL test.org = '`+org.ID.String()+`'; SET LOCAL test.o = '`+o.String()+`'; `+
			sql); sqlState(err) != "23514" && sqlState(err) != "23505" {
			t.Errorf("%s: %v, want it refused", what, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

const parkedDeadLetterSQL = `
	INSERT INTO dead_letters (tenant_id, id, order_id, source, class, error_code, detail, step, attempts, payload_sha256,
	state, first_failed_at, at, reason, consumer, seq, event_id, event_type)
	VALUES (current_setting('test.org')::uuid, gen_random_uuid(), current_setting('test.o')::uuid, 'event', 'retryable',
	'event-failed', '', 'billing', 6, '', 1, now(), now(), '', 'billing', 2, gen_random_uuid(), 'order.created');`
