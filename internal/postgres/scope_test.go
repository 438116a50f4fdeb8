package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

func TestRoundTripsPerTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	ctx := t.Context()
	var trips pgtest.Trips
	api := db.API(t) // another pool, whose trips are not counted
	s := db.Open(t, postgres.LoginWorker, postgres.Options{MaxConns: 1, DialFunc: trips.Dial})
	n := 0
	inTenant := func(with app.With, fn func(tx app.Tx) error) {
		t.Helper()
		if err := s.InTenant(ctx, org.ID, with, fn); err != nil {
			t.Fatal(err)
		}
	}
	agg := draft(db, org, 3)
	insert(t, api, agg)
	o := agg.Order.ID
	task := fulfil.Task{
		ID: newID[fulfil.Task](db), Tenant: org.ID, Order: o, Item: agg.Order.Items[0].ID, Kind: fulfil.Provision,
		Queue: "sim", NextAt: db.Clock.Now(),
	}
	change(t, api, db, org, o, app.Also{}, func(agg *app.Aggregate) { agg.Tasks = append(agg.Tasks, task) })
	cases := []struct {
		name  string
		trips int64
		do    func()
	}{
		{"create with a key", 2, func() {
			n++
			agg := draft(db, org, 3)
			agg.Order.Number = fmt.Sprintf("ORD-%08d", n)
			inTenant(app.With{Key: key(fmt.Sprint("c", n))}, func(tx app.Tx) error {
				if _, err := tx.Prepare(ctx, app.NewOrder{Customer: member(org), ExternalID: "x"}); err != nil {
					return err
				}
				tx.Insert(agg)
				tx.Remember(app.Answer{Status: 201, Body: []byte("{}")})
				return nil
			})
		}},
		{"change with a key", 2, func() {
			n++
			inTenant(app.With{Key: key(fmt.Sprint("k", n))}, func(tx app.Tx) error {
				agg, err := tx.LockOrder(ctx, o, app.Also{
					Resources: true, Deliveries: true, PaymentProviders: []string{"manual"}, PaymentReference: "r",
				})
				if err != nil {
					return err
				}
				agg.Order.Version++
				agg.Order.Items[0].Progress = n % 90
				agg.Order.Record(order.Event{Type: order.EvUpdated})
				recordEvents(db, agg)
				tx.Save(agg)
				tx.Remember(app.Answer{Status: 200, Body: []byte("{}")})
				return nil
			})
		}},
		{"consumer's effect", 2, func() {
			n++
			inTenant(app.With{Inbox: &app.InboxPosition{Consumer: "c", Order: o, Seq: n}}, func(tx app.Tx) error {
				agg, err := tx.LockOrder(ctx, o, app.Also{})
				if err != nil {
					return err
				}
				agg.Tasks[0].NextAt = agg.Tasks[0].NextAt.Add(1000)
				tx.Save(agg)
				return nil
			})
		}},
		{"write that reads nothing", 1, func() {
			inTenant(app.With{}, func(tx app.Tx) error {
				tx.AddTask(fulfil.Task{
					ID: newID[fulfil.Task](db), Order: o, Kind: fulfil.Notify, Subject: newID[fulfil.Subject](db),
					Queue: "notify",
				})
				return nil
			})
		}},
		{"read an order", 1, func() { must(s.Order(ctx, org.ID, o)) }},
		{"list orders", 1, func() { must(s.Orders(ctx, org.ID, app.OrderFilter{Limit: 100})) }},
		{"load a task", 1, func() { must(s.Load(ctx, org.ID, task.ID)) }},
		{"read events", 1, func() { must(s.Events(ctx, org.ID, o, 0, 100)) }},
		{"read the saga", 1, func() { must(s.Saga(ctx, org.ID, o)) }},
		{"count a tenant", 1, func() {
			if err := s.Recount(ctx, org.ID); err != nil {
				t.Fatal(err)
			}
		}},
		{"read the figures", 1, func() { must(s.OrderStats(ctx, org.ID, db.Clock.Now())) }},
		{"project events", 2, func() {
			agg := draft(db, org, 1)
			agg.Order.Number = fmt.Sprintf("ORD-F%07d", n)
			n++
			insert(t, api, agg)
			must(s.ProjectEvents(ctx, []event.Event{eventOf(agg.Added.Events[0])}))
		}},
		{"find due tasks", 1, func() { must(s.DueTasks(ctx, "sim", fulfil.Queued, db.Clock.Now(), 20)) }},
	}
	for _, tc := range cases {
		tc.do() // a new connection needs more trips, to prepare the statements
		tc.do()
		if got := trips.During(tc.do); got != tc.trips {
			t.Errorf("%s: %d round trips, want %d", tc.name, got, tc.trips)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTheSameKeyGetsTheSameAnswerAndChangesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	agg := draft(db, org, 1)
	insert(t, api, agg)
	answer := app.Answer{Status: 200, Header: map[string]string{"ETag": `"2"`}, Body: []byte(`{"version": 2}`)}
	attempt := func(with *app.IdempotencyKey, o order.ID) error {
		return api.InTenant(t.Context(), org.ID, app.With{Key: with}, func(tx app.Tx) error {
			agg, err := tx.LockOrder(t.Context(), o, app.Also{})
			if err != nil {
				return err
			}
			agg.Order.Version++
			tx.Save(agg)
			tx.Remember(answer)
			return nil
		})
	}
	if err := attempt(key("one"), agg.Order.ID); err != nil {
		t.Fatal(err)
	}
	var replayed *app.Replayed
	if err := attempt(key("one"), agg.Order.ID); !errors.As(err, &replayed) {
		t.Fatalf("the second time: %v, want a replay", err)
	}
	if diff := cmp.Diff(answer, replayed.Answer); diff != "" {
		t.Errorf("replayed answer (-first +second):\n%s", diff)
	}
	reused := key("one")
	reused.Fingerprint[0]++
	if f := fault.Of(attempt(reused, agg.Order.ID)); f == nil || f.Kind != fault.KindInvalid ||
		f.Code != fault.CodeKeyReused {
		t.Errorf("another request under the key: %v", f)
	}
	if f := fault.Of(attempt(key("one"), newID[order.Order](db))); f == nil || f.Kind != fault.KindNotFound {
		t.Errorf("an absent order with a used key: %v, want absent", f)
	}
	got := must(api.Order(t.Context(), org.ID, agg.Order.ID))
	if got.Order.Version != 2 {
		t.Errorf("version %d, want 2: one effect", got.Order.Version)
	}
}

func TestKeyOfATransactionThatFailedIsFree(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	boom := errors.New("boom")
	err := api.InTenant(t.Context(), org.ID, app.With{Key: key("k")}, func(tx app.Tx) error {
		if err := tx.Begin(t.Context()); err != nil {
			return err
		}
		tx.Remember(app.Answer{Status: 200})
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	ran := false
	err = api.InTenant(t.Context(), org.ID, app.With{Key: key("k")}, func(tx app.Tx) error {
		ran = true
		return tx.Begin(t.Context())
	})
	if err != nil || !ran {
		t.Errorf("after a failure the key must be free: ran %t, %v", ran, err)
	}
}

func TestAKeyInUseIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	api := db.API(t)
	begin := func(org pgtest.Org, inside func() error) error {
		return api.InTenant(t.Context(), org.ID, app.With{Key: key("k")}, func(tx app.Tx) error {
			if err := tx.Begin(t.Context()); err != nil {
				return err
			}
			tx.Remember(app.Answer{Status: 200})
			return inside()
		})
	}
	err := begin(a, func() error {
		f := fault.Of(begin(a, func() error { t.Error("the second ran beside the first"); return nil }))
		if f == nil || f.Kind != fault.KindConflict || f.Code != fault.CodeKeyInUse || f.After <= 0 {
			t.Errorf("got %v, want in use, with a wait", f)
		}
		return begin(b, func() error { return nil }) // the same text is another key for another tenant
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFaultIsRememberedWithoutItsWrites(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	attempt := func() error {
		return api.InTenant(t.Context(), org.ID, app.With{Key: key("k")}, func(tx app.Tx) error {
			if _, err := tx.Prepare(t.Context(), app.NewOrder{Customer: member(org)}); err != nil {
				return err
			}
			tx.Insert(draft(db, org, 1))
			tx.Discard()
			tx.Remember(app.Answer{Status: 422, Body: []byte("no")})
			return nil
		})
	}
	if err := attempt(); err != nil {
		t.Fatal(err)
	}
	var replay *app.Replayed
	if err := attempt(); !errors.As(err, &replay) || replay.Answer.Status != 422 {
		t.Errorf("got %v, want the fault again", err)
	}
	if page := must(api.Orders(t.Context(), org.ID, app.OrderFilter{Limit: 10})); len(page.Data) != 0 {
		t.Errorf("%d orders were written", len(page.Data))
	}
}

func TestManyRequestsWithOneKeyCreateOneOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.Open(t, postgres.LoginAPI, postgres.Options{MaxConns: 8})
	var created, replayed, inUse atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			err := api.InTenant(t.Context(), org.ID, app.With{Key: key("same")}, func(tx app.Tx) error {
				if _, err := tx.Prepare(t.Context(), app.NewOrder{Customer: member(org)}); err != nil {
					return err
				}
				tx.Insert(draft(db, org, 2))
				tx.Remember(app.Answer{Status: 201, Body: []byte("made")})
				return nil
			})
			var replay *app.Replayed
			switch f := fault.Of(err); {
			case err == nil:
				created.Add(1)
			case errors.As(err, &replay) && string(replay.Answer.Body) == "made":
				replayed.Add(1)
			case f != nil && f.Code == fault.CodeKeyInUse && f.After > 0:
				inUse.Add(1)
			default:
				t.Errorf("unexpected: %v", err)
			}
		})
	}
	wg.Wait()
	page := must(api.Orders(t.Context(), org.ID, app.OrderFilter{Limit: 100}))
	if created.Load() != 1 || len(page.Data) != 1 {
		t.Errorf("%d created, %d orders; want 1 and 1 (%d replayed, %d in use)", created.Load(), len(page.Data),
			replayed.Load(), inUse.Load())
	}
}

func TestWaiterForTheOrderFindsTheAnswerOfTheFirst(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	agg := draft(db, org, 1)
	insert(t, api, agg)
	locked, second := make(chan struct{}), make(chan error, 1)
	attempt := func(inside func()) error {
		return api.InTenant(t.Context(), org.ID, app.With{Key: key("k")}, func(tx app.Tx) error {
			agg, err := tx.LockOrder(t.Context(), agg.Order.ID, app.Also{})
			if err != nil {
				return err
			}
			inside()
			agg.Order.Version++
			tx.Save(agg)
			tx.Remember(app.Answer{Status: 200, Body: []byte("first")})
			return nil
		})
	}
	super := db.Super(t)
	err := attempt(func() {
		close(locked)
		go func() { second <- attempt(func() { t.Error("the second ran its effect") }) }()
		waitFor(t, func() bool {
			var waiting int
			err := super.QueryRow(t.Context(), `
				SELECT count(*)
				FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
			if err != nil {
				t.Fatal(err)
			}
			return waiting == 1
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	var replay *app.Replayed
	if err := <-second; !errors.As(err, &replay) || string(replay.Answer.Body) != "first" {
		t.Errorf("the second got %v, want the first one's answer", err)
	}
}

func TestEventIsAppliedOncePerConsumer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	worker := db.Worker(t)
	agg := draft(db, a, 1)
	insert(t, worker, agg)
	if err := consume(t, worker, a, agg.Order.ID, 2); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []int{1, 2} {
		if err := consume(t, worker, a, agg.Order.ID, seq); !errors.Is(err, app.ErrDuplicate) {
			t.Errorf("seq %d after 2: %v, want ErrDuplicate", seq, err)
		}
	}
	if err := consume(t, worker, a, agg.Order.ID, 3); err != nil {
		t.Errorf("seq 3 after 2: %v", err)
	}
	if f := fault.Of(consume(t, worker, b, agg.Order.ID, 9)); f == nil || f.Kind != fault.KindNotFound {
		t.Errorf("a forged tenant: %v, want absent", f)
	}
}

func TestAFailedEffectDoesNotMoveTheCheckpoint(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	worker := db.Worker(t)
	agg := draft(db, org, 1)
	insert(t, worker, agg)
	boom := errors.New("boom")
	err := worker.InTenant(t.Context(), org.ID,
		app.With{Inbox: &app.InboxPosition{Consumer: "test", Order: agg.Order.ID, Seq: 1}}, func(tx app.Tx) error {
			if err := tx.Begin(t.Context()); err != nil {
				return err
			}
			return boom
		})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if err := consume(t, worker, org, agg.Order.ID, 1); err != nil {
		t.Errorf("the checkpoint moved without its effect: %v", err)
	}
}

func TestConcurrentChangesWaitForTheOrdersLock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.Open(t, postgres.LoginAPI, postgres.Options{MaxConns: 8})
	var orders []order.ID
	for range 4 {
		agg := draft(db, org, 2)
		insert(t, api, agg)
		orders = append(orders, agg.Order.ID)
	}
	const writers, rounds = 8, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range rounds {
				o := orders[(w+r)%len(orders)]
				_, err := tryChange(t, api, db, org, o, app.Also{}, func(agg *app.Aggregate) {
					agg.Order.Items[0].Progress = (agg.Order.Items[0].Progress + 1) % 100
					agg.Order.Record(order.Event{Type: order.EvUpdated})
				})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	changes := 0
	for _, o := range orders {
		agg := must(api.Order(t.Context(), org.ID, o))
		events := must(api.Events(t.Context(), org.ID, o, 0, 1000))
		changes += agg.Order.Version - 1
		if len(events) != agg.Order.LastSeq || agg.Order.LastSeq != agg.Order.Version ||
			agg.Order.Items[0].Progress != agg.Order.Version-1 {
			t.Errorf("order %s: %d events, last seq %d, version %d, progress %d", o, len(events), agg.Order.LastSeq,
				agg.Order.Version, agg.Order.Items[0].Progress)
		}
		for i, e := range events {
			if e.Seq != i+1 {
				t.Errorf("order %s: event %d has seq %d", o, i+1, e.Seq)
			}
		}
	}
	if changes != writers*rounds {
		t.Errorf("%d changes survived of %d", changes, writers*rounds)
	}
}

func TestLockedOrderAnswersBusyAfterTheLockTimeout(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	agg := draft(db, org, 1)
	insert(t, api, agg)
	super := db.Super(t)
	tx, err := super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM orders FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	_, err = tryChange(t, api, db, org, agg.Order.ID, app.Also{}, func(*app.Aggregate) {
		t.Error("it was locked twice")
	})
	if f := fault.Of(err); f == nil || f.Kind != fault.KindUnavailable || f.After <= 0 {
		t.Errorf("got %v, want unavailable with a wait", err)
	}
	if _, err := api.Order(t.Context(), org.ID, agg.Order.ID); err != nil {
		t.Errorf("a reader waited for the lock: %v", err)
	}
}

func TestTheVersionCheckAbortsWhatTheLockShouldHavePrevented(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	agg := draft(db, org, 1)
	insert(t, api, agg)
	super := db.Super(t)
	// A write that ignores the lock (here a trigger that makes the update miss its row) must abort the transaction,
	// although the commit was already sent.
	if _, err := super.Exec(t.Context(), `
		CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
		CREATE TRIGGER hide BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION hide()`); err != nil {
		t.Fatal(err)
	}
	_, err := tryChange(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) {
		agg.Order.Items[0].Progress = 50
		agg.Order.Record(order.Event{Type: order.EvUpdated})
	})
	if sqlState(err) != "PF001" {
		t.Errorf("got %v, want PF001", err)
	}
	got := must(api.Order(t.Context(), org.ID, agg.Order.ID))
	if got.Order.Items[0].Progress != 0 || len(must(api.Events(t.Context(), org.ID, agg.Order.ID, 0, 10))) != 1 {
		t.Error("part of the transaction was committed")
	}
}

func TestACommitNotifiesAndAFailureDoesNot(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	var n notifications
	api.OnCommit(&n)
	_ = api.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
		tx.Insert(draft(db, org, 1))
		return errors.New("no")
	})
	if n.count.Load() != 0 {
		t.Error("a rolled-back transaction notified")
	}
	insert(t, api, draft(db, org, 1))
	if n.count.Load() != 1 {
		t.Errorf("%d notifications after one commit", n.count.Load())
	}
}

type notifications struct{ count atomic.Int64 }

func (n *notifications) Notify() { n.count.Add(1) }

func TestTakenNamesAreDistinguished(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	api := db.API(t)
	first := draft(db, a, 1)
	first.Order.ExternalID = "po-1"
	insert(t, api, first)
	try := func(org pgtest.Org, with func(o *order.Order)) error {
		agg := draft(db, org, 1)
		with(agg.Order)
		return api.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error { tx.Insert(agg); return nil })
	}
	if err := try(a, func(o *order.Order) { o.Number = first.Order.Number }); !errors.Is(err, app.ErrNumberTaken) {
		t.Errorf("same number: %v", err)
	}
	if f := fault.Of(try(a, func(o *order.Order) { o.ExternalID = "po-1" })); f == nil || f.Code != "external-id-in-use" ||
		f.Kind != fault.KindConflict {
		t.Errorf("same external id: %v", f)
	}
	if err := try(b, func(o *order.Order) { o.ExternalID, o.Number = "po-1", first.Order.Number }); err != nil {
		t.Errorf("another tenant may use both: %v", err)
	}
}

func TestLostConnectionAnswersUnavailable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.Open(t, postgres.LoginAPI, postgres.Options{MaxConns: 1})
	agg := draft(db, org, 1)
	insert(t, api, agg)
	_, err := tryChange(t, api, db, org, agg.Order.ID, app.Also{}, func(*app.Aggregate) {
		_, err := db.Super(t).Exec(t.Context(), `
			SELECT pg_terminate_backend(pid)
			FROM pg_stat_activity
			WHERE datname = current_database() AND usename = 'platforma_api'`)
		if err != nil {
			t.Fatal(err)
		}
	})
	if f := fault.Of(err); f == nil || f.Kind != fault.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if _, err := tryChange(t, api, db, org, agg.Order.ID, app.Also{}, func(*app.Aggregate) {}); err != nil {
		t.Errorf("the pool did not recover: %v", err)
	}
}
