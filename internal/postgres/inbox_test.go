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

// changeCheckpoint reads the checkpoint of the consumer "test", applies change and saves it. It returns the
// checkpoint as it was.
func changeCheckpoint(
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
	if diff := cmp.Diff(want, must(changeCheckpoint(t, s, org, want.Order, func(*app.Checkpoint) {}))); diff != "" {
		t.Errorf("checkpoint %s (-want +got):\n%s", what, diff)
	}
}

func TestBehindAParkedEventOnlyTheCheckpointIsCommitted(t *testing.T) {
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
	_, err := changeCheckpoint(t, worker, org, o, func(cp *app.Checkpoint) { cp.Parked, cp.BlockedTo = 3, 3 })
	if err != nil {
		t.Fatal(err)
	}
	effects := 0
	apply := func(seq int) error {
		return worker.InTenant(t.Context(), org.ID,
			app.With{Inbox: &app.InboxPosition{Consumer: "test", Order: o, Seq: seq}}, func(tx app.Tx) error {
				task := fulfil.Task{
					ID: newID[fulfil.Task](db), Tenant: org.ID, Order: o, Kind: fulfil.Notify, Queue: "notify",
					NextAt: db.Clock.Now(),
				}
				task.Subject = [16]byte(task.ID)
				tx.AddTask(task) // queued before the checkpoint is read, but it must not be committed
				if seq%2 == 0 {
					return nil // then the checkpoint is read with the commit
				}
				return tx.Begin(t.Context())
			})
	}
	for _, seq := range []int{3, 4, 7, 4, 7} { // as on the topic, and again after a rebalance
		if err := apply(seq); !errors.Is(err, app.ErrBlocked) {
			t.Errorf("event %d: %v, want ErrBlocked", seq, err)
		}
	}
	if err := apply(1); !errors.Is(err, app.ErrDuplicate) {
		t.Errorf("event 1 again: %v, want ErrDuplicate", err)
	}
	wantCheckpoint(t, "with two behind the parked one", worker, org, app.Checkpoint{
		Order: o, Seq: 1, Parked: 3, BlockedTo: 7, Blocked: 2,
	})
	if _, err := changeCheckpoint(t, worker, org, o, func(cp *app.Checkpoint) { cp.Redrive = 3 }); err != nil {
		t.Fatal(err)
	}
	if err := apply(4); !errors.Is(err, app.ErrBlocked) {
		t.Errorf("event 4 while 3 is redriven: %v, want ErrBlocked", err)
	}
	for _, seq := range []int{3, 4} {
		if _, err := changeCheckpoint(t, worker, org, o, func(cp *app.Checkpoint) { cp.Redrive = seq }); err != nil {
			t.Fatal(err)
		}
		if err := apply(seq); err != nil {
			t.Errorf("event %d, redriven: %v", seq, err)
		}
		effects++
		if err := apply(seq); !errors.Is(err, app.ErrDuplicate) {
			t.Errorf("event %d again: %v, want ErrDuplicate", seq, err)
		}
	}
	wantCheckpoint(t, "with one blocked", worker, org, app.Checkpoint{
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

func TestACheckpointBelongsToAnOrderOfItsTenant(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	worker := db.Worker(t)
	agg := draft(db, a, 1)
	insert(t, worker, agg)
	_, err := changeCheckpoint(t, worker, b, agg.Order.ID, func(cp *app.Checkpoint) { cp.Parked, cp.BlockedTo = 1, 1 })
	if f := fault.Of(err); f == nil || f.Kind != fault.KindNotFound {
		t.Errorf("the checkpoint of another tenant's order: %v, want absent", err)
	}
	if err := consume(t, worker, b, agg.Order.ID, 1); fault.Of(err) == nil {
		t.Errorf("another tenant's event: %v, want absent", err)
	}
	var n int
	if err := db.Super(t).QueryRow(t.Context(), `SELECT count(*) FROM inbox`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d checkpoints (%v), want none", n, err)
	}
	if got := must(db.API(t).ParkedCounts(t.Context(), a.ID)); got != nil {
		t.Errorf("parked: %v", got)
	}
}

func TestTheDatabaseRefusesInconsistentParking(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	o := fill(t, db, org)
	c := db.Super(t)
	refused := map[string]string{
		"parked without how far it is blocked":   `UPDATE inbox SET parked_seq = 2`,
		"blocked before what is parked":          `UPDATE inbox SET parked_seq = 4, blocked_to = 3`,
		"a redrive while nothing is parked":      `UPDATE inbox SET redrive_seq = 2`,
		"blocked events while nothing is parked": `UPDATE inbox SET blocked = 1`,
		"a dead letter of an event without it":   `UPDATE dead_letters SET source = 'event'`,
		"an event on a dead letter of a step": `
			UPDATE dead_letters
			SET consumer = 'billing', seq = 2, event_id = gen_random_uuid(), event_type = 'order.created'`,
		"half of a place on the topic":            `UPDATE dead_letters SET part = 1`,
		"two parked dead letters of a checkpoint": parkedDeadLetterSQL + parkedDeadLetterSQL,
		"blocked to while nothing is parked":      `UPDATE inbox SET blocked_to = 9`,
	}
	for what, sql := range refused {
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		params := `SET LOCAL test.org = '` + org.ID.String() + `'; SET LOCAL test.o = '` + o.String() + `'; `
		_, err = tx.Exec(t.Context(), params+sql)
		if sqlState(err) != "23514" && sqlState(err) != "23505" {
			t.Errorf("%s: %v, want it refused", what, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

const parkedDeadLetterSQL = `
	INSERT INTO dead_letters (tenant_id, id, order_id,
		source, class, error_code, detail, step, attempts, payload_sha256, state, first_failed_at, at, reason,
		consumer, seq, event_id, event_type)
	VALUES (current_setting('test.org')::uuid, gen_random_uuid(), current_setting('test.o')::uuid,
		'event', 'retryable', 'event-failed', '', 'billing', 6, '', 1, now(), now(), '',
		'billing', 2, gen_random_uuid(), 'order.created');`
