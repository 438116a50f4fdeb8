package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// store is the real database with a few orders that many writers contend for.
type store struct {
	*pgtest.DB
	api    app.Store
	org    pgtest.Org
	orders []order.ID
}

// The logins' names are part of the contract between a cluster and its processes.
const (
	loginAPI   = "platforma_api"
	loginRelay = "platforma_relay"
)

var errRolledBack = errors.New("rolled back by the test")

func newStore(t testing.TB, orders int) *store {
	t.Helper()
	s := &store{DB: pgtest.New(t)}
	api := s.API(t)
	s.api, s.org = api, s.Seed(t, api, "alpha")
	for n := range orders {
		o := &order.Order{
			ID: order.ID(s.Clock.NewID()), Tenant: s.org.ID, Number: fmt.Sprintf("ORD-%08d", n),
			Customer: s.org.Members[tenant.Customer].ID, State: order.PaymentConfirmed, Version: 1, Currency: "EUR",
			CreatedAt: s.Clock.Now(), UpdatedAt: s.Clock.Now(),
		}
		err := s.api.InTenant(t.Context(), s.org.ID, app.With{}, func(tx app.Tx) error {
			agg := &app.Aggregate{Order: o}
			s.record(agg, order.EvCreated, tx.Now())
			tx.Insert(agg)
			return nil
		})
		if err != nil {
			t.Fatalf("insert order %d: %v", n, err)
		}
		s.orders = append(s.orders, o.ID)
	}
	return s
}

// record adds an event to the aggregate that a transaction writes, as every use case does.
func (s *store) record(agg *app.Aggregate, typ event.Type, now time.Time) {
	agg.Order.Record(order.Event{Type: typ, From: agg.Order.State})
	for _, e := range agg.Order.TakeEvents() {
		r, err := event.NewRecord(agg.Order, e, event.Cause{Actor: tenant.System(s.org.ID, "worker")},
			event.ID(s.Clock.NewID()), now)
		if err != nil {
			panic(err)
		}
		agg.Added.Events = append(agg.Added.Events, r)
	}
}

// change writes one event of an order in a transaction of its own. The transaction rolls back if end is
// not nil.
func (s *store) change(ctx context.Context, o order.ID, end error) error {
	return s.api.InTenant(ctx, s.org.ID, app.With{}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(ctx, o, app.Also{})
		if err != nil {
			return err
		}
		agg.Order.Version++
		s.record(agg, order.EvItemProvisioning, tx.Now())
		tx.Save(agg)
		return end
	})
}

// write lets writers change the orders. One change in twenty is rolled back.
func (s *store) write(t testing.TB, writers, each int) {
	t.Helper()
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range each {
				end := error(nil)
				if (w+i)%20 == 0 {
					end = errRolledBack
				}
				if err := s.change(t.Context(), s.orders[(w*7+i)%len(s.orders)], end); !errors.Is(err, end) {
					t.Errorf("change order: %v", err)
					return
				}
			}
		})
	}
	running.Wait()
}

// statement is an SQL statement of a transaction that a test writes itself.
type statement struct {
	sql  string
	args []any
}

// firstEvent returns the statements that write the first event of a new order.
func (s *store) firstEvent(t testing.TB) []statement {
	t.Helper()
	o := id.Of[order.Order](s.Clock.NewID())
	r := record(t, o, 1, order.EvCreated)
	return []statement{
		{
			`INSERT INTO order_event (tenant_id, order_id, seq, event_id, type, actor, at, traceparent, data)
			SELECT $1::uuid, $2::uuid, 1, $3::uuid, $4, 'system:worker', $5, '', replace($6, $7, $1::text)::json`,
			[]any{s.org.ID.String(), o.String(), r.ID.String(), string(r.Type), r.At, string(r.Data), tenantA.String()},
		},
		{
			`INSERT INTO outbox (tenant_id, order_id, seq) VALUES ($1::uuid, $2::uuid, 1)`,
			[]any{s.org.ID.String(), o.String()},
		},
	}
}

// begin begins a transaction of the API's login and runs statements in it. exec runs one more.
func (s *store) begin(t testing.TB, list ...statement) (exec func(sql string)) {
	t.Helper()
	c := s.Conn(t, loginAPI)
	exec = func(sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	exec(`BEGIN`)
	setTenant := statement{`SELECT set_config('app.tenant_id', $1, true)`, []any{s.org.ID.String()}}
	for _, q := range append([]statement{setTenant}, list...) {
		if _, err := c.Exec(t.Context(), q.sql, q.args...); err != nil {
			t.Fatalf("%s: %v", q.sql, err)
		}
	}
	return exec
}

// slowTransaction begins a transaction that writes an event of an order of its own. It has drawn its outbox
// ids and ends with commit: by then a cursor over ids has passed them.
func (s *store) slowTransaction(t testing.TB) (commit func()) {
	t.Helper()
	exec := s.begin(t, s.firstEvent(t)...)
	return func() { t.Helper(); exec(`COMMIT`) }
}

// commitWithoutEvent commits a transaction whose event was rolled back to a savepoint.
func (s *store) commitWithoutEvent(t testing.TB) {
	t.Helper()
	exec := s.begin(t, append([]statement{{`SAVEPOINT before`, nil}}, s.firstEvent(t)...)...)
	exec(`ROLLBACK TO SAVEPOINT before`)
	exec(`COMMIT`)
}

// count runs a query that returns one number, as the superuser.
func (s *store) count(t testing.TB, sql string) int {
	t.Helper()
	c := s.Super(t)
	defer func() { _ = c.Close(context.Background()) }()
	var n int
	if err := c.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (s *store) events(t testing.TB) int { return s.count(t, `SELECT count(*) FROM order_event`) }

// waitDrained waits until the outbox is empty.
func (s *store) waitDrained(t testing.TB) {
	t.Helper()
	c := s.Super(t)
	defer func() { _ = c.Close(context.Background()) }()
	kafkatest.Eventually(t, "outbox drained", func() bool {
		var n int
		return c.QueryRow(t.Context(), `SELECT count(*) FROM outbox`).Scan(&n) == nil && n == 0
	})
}

func TestTopicIsTheTableThoughWritersContendRollBackAndCommitLate(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 20)
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	commit := s.slowTransaction(t)
	s.write(t, 16, 40)
	commit()
	s.waitDrained(t)
	stop()
	got := events(t, b)
	wantOnceInOrder(t, got, s.events(t))
	stored, err := s.api.Events(t.Context(), s.org.ID, s.orders[0], 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var published []event.Record
	for _, ev := range got {
		if ev.Order == s.orders[0] {
			published = append(published, ev.Record)
		}
	}
	if diff := cmp.Diff(stored, published); diff != "" {
		t.Errorf("records of an order (-table +topic):\n%s", diff)
	}
}

// medianDelay returns the median time from the commit of a change until its outbox row is deleted.
func (s *store) medianDelay(t testing.TB, changes int) time.Duration {
	t.Helper()
	c := s.Super(t)
	var took []time.Duration
	for i := range changes {
		if err := s.change(t.Context(), s.orders[i%len(s.orders)], nil); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for n := 1; n > 0; {
			if err := c.QueryRow(t.Context(), `SELECT count(*) FROM outbox`).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

func TestSlowTransactionDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	open := time.Second
	if soak() {
		open = 5 * time.Second // the server ends a transaction that is idle for 10 s
	}
	b, s := kafkatest.New(t), newStore(t, 3)
	r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
	start(t, r.RunForever)
	s.waitDrained(t)
	without := s.medianDelay(t, 20)
	commit := s.slowTransaction(t)
	var with time.Duration
	for begun := time.Now(); time.Since(begun) < open; {
		with = max(with, s.medianDelay(t, 20))
	}
	if with > without+100*time.Millisecond {
		t.Errorf("a change takes %s to the topic during an open transaction, and %s without one", with, without)
	}
	t.Logf("a change takes %s to the topic, and %s during an open transaction", without, with)
	if got, want := len(events(t, b)), s.events(t); got != want {
		t.Errorf("%d events on the topic while a transaction is open, want %d", got, want)
	}
	commit()
	s.waitDrained(t)
	wantOnceInOrder(t, events(t, b), s.events(t))
}

func TestCursorOverIDsWouldLoseEventsOfTheRealTable(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 20)
	empty := make(chan struct{})
	withCursor := func(l app.OutboxLease) app.OutboxLease { return &cursor{OutboxLease: l, empty: empty} }
	mutant := wrappedOutbox{s.Relay(t), withCursor}
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "mutant", mutant, logger(t)).RunForever)
	commit := s.slowTransaction(t)
	written := make(chan struct{})
	go func() { defer close(written); s.write(t, 16, 40) }()
	for writing := true; writing; {
		select {
		case <-written:
			writing = false
		case <-empty:
		}
	}
	<-empty // a read that may have begun before the last commit
	<-empty // a read that began after it
	commit()
	<-empty
	<-empty
	stop()
	lost := s.count(t, `SELECT count(*) FROM outbox`)
	if lost == 0 {
		t.Fatal("the cursor lost nothing: the load no longer shows the fault")
	}
	t.Logf("the cursor lost %d of %d events", lost, s.events(t))
}

// The ids of the outbox are drawn one by one. If each connection drew them in advance, they would no longer
// be in the order of the changes.
func TestIDsDrawnInAdvanceWouldReorderEvents(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 4)
	if n := s.count(t, `SELECT cache_size::int FROM pg_sequences
		WHERE schemaname = 'platforma' AND sequencename = 'outbox_id_seq'`); n != 1 {
		t.Fatalf("outbox ids have a cache of %d, want 1", n)
	}
	if _, err := s.Super(t).Exec(t.Context(), `ALTER TABLE platforma.outbox ALTER COLUMN id SET CACHE 50`); err != nil {
		t.Fatal(err)
	}
	s.api = s.API(t) // new sessions
	s.write(t, 16, 20)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.waitDrained(t)
	last, reordered := map[order.ID]int{}, 0
	for _, ev := range events(t, b) {
		if ev.Seq < last[ev.Order] {
			reordered++
		}
		last[ev.Order] = ev.Seq
	}
	if reordered == 0 {
		t.Fatal("nothing was reordered: the load no longer shows the fault")
	}
	t.Logf("%d of %d events reordered", reordered, s.events(t))
}

func TestSecondRelayWaitsForTheLockAndTakesOver(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 2)
	stopFirst := start(t, kafka.NewRelay(b.Cluster, 0, "first", s.Relay(t), logger(t)).RunForever)
	s.waitDrained(t)
	if _, ok, err := s.Relay(t).TryLease(t.Context(), 0); ok || err != nil {
		t.Errorf("TryLease() while a relay works = %v, %v, want false", ok, err)
	}
	start(t, kafka.NewRelay(b.Cluster, 0, "second", s.Relay(t), logger(t)).RunForever)
	s.write(t, 2, 5)
	stopFirst()
	s.write(t, 2, 5)
	s.waitDrained(t)
	wantOnceInOrder(t, events(t, b), s.events(t))
}

func TestRelayStopsWhenOneSideWasReplaced(t *testing.T) {
	t.Parallel()
	spoil := func(t *testing.T, s *store, sql string) {
		t.Helper()
		tag, err := s.Super(t).Exec(t.Context(), sql)
		if err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("%s: %v, %d rows", sql, err, tag.RowsAffected())
		}
	}
	for name, fault := range map[string]func(t *testing.T, b *kafkatest.Broker, s *store){
		"the topic of the positions was emptied": func(t *testing.T, b *kafkatest.Broker, _ *store) {
			deleteTopics(t, b, b.Names.Positions)
			recreateTopics(t, b)
		},
		"the topic of the events was emptied": func(t *testing.T, b *kafkatest.Broker, _ *store) {
			deleteTopics(t, b, b.Names.Events)
			recreateTopics(t, b)
		},
		"an older database was restored": func(t *testing.T, _ *kafkatest.Broker, s *store) {
			spoil(t, s, `UPDATE platforma.relays SET batch = batch - 2`)
		},
		"an outbox row of a batch on the topic was removed": func(t *testing.T, b *kafkatest.Broker, s *store) {
			s.write(t, 1, 3)
			process := spawn(t, relaySpec{Cluster: b.Cluster, Database: s.URL(loginRelay), Point: afterCommit})
			waitKilled(t, process, afterCommit)
			spoil(t, s, `DELETE FROM platforma.outbox WHERE id = (SELECT min(id) FROM platforma.outbox)`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := kafkatest.New(t), newStore(t, 2)
			r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
			stop := start(t, r.RunForever)
			s.waitDrained(t)
			for range 3 { // one batch each
				s.write(t, 1, 3)
				s.waitDrained(t)
			}
			stop()
			fault(t, b, s)
			if err := r.Run(t.Context()); !errors.Is(err, app.ErrRelayPosition) {
				t.Errorf("Run() = %v, want ErrRelayPosition", err)
			}
		})
	}
}

// A consumer on the real inbox: reading the same events again from the start changes nothing.
func TestInboxOfTheDatabaseDropsTheWholeTopicReadTwice(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 5)
	worker := s.Worker(t)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.write(t, 4, 10)
	s.waitDrained(t)
	apply := func(ctx context.Context, ev event.Event) error {
		position := &app.InboxPosition{Consumer: "portal", Order: ev.Order, Seq: ev.Seq}
		return worker.InTenant(ctx, ev.Tenant, app.With{Inbox: position}, func(tx app.Tx) error {
			_, err := tx.LockOrder(ctx, ev.Order, app.Also{})
			return err
		})
	}
	foreign := message(b, record(t, s.orders[0], 99, order.EvUpdated)) // of a tenant that has no such order
	produce(t, b, nil, foreign)
	want := int64(s.events(t))
	for round, group := range []string{"first", "second"} {
		c := kafka.NewConsumer(kafka.ConsumerDeps{
			Cluster: b.Cluster, Refusals: worker, Clock: s.Clock, Pause: kafka.Wait,
			Random: func() float64 { return 0 }, Log: logger(t),
		}, kafka.Subscription{Consumer: event.Portal, Group: group + b.Names.Events, Apply: apply})
		stop := start(t, run(c))
		kafkatest.Eventually(t, "topic read", func() bool {
			s := c.Status()
			return s.Applied+s.Duplicates == want && s.Refused == 1
		})
		stop()
		if got := c.Status(); round == 0 && got.Applied != want || round == 1 && got.Duplicates != want {
			t.Errorf("round %d: %+v, want %d events", round, got, want)
		}
	}
	if n := s.count(t, `SELECT count(*) FROM refused_record WHERE code = 'tenant-mismatch'`); n != 2 {
		t.Errorf("%d refused records, want one per group", n)
	}
	if n := s.count(t, `SELECT count(*) FROM inbox`); n != len(s.orders) {
		t.Errorf("%d inbox rows, want one per order", n)
	}
}

func TestChangeThatRollsBackIsNeverSent(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 1)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.waitDrained(t)
	for range 20 {
		if err := s.change(t.Context(), s.orders[0], errRolledBack); !errors.Is(err, errRolledBack) {
			t.Fatalf("change() = %v", err)
		}
	}
	s.commitWithoutEvent(t)
	if err := s.change(t.Context(), s.orders[0], nil); err != nil {
		t.Fatal(err)
	}
	s.waitDrained(t)
	wantOnceInOrder(t, events(t, b), 2)
	if n := len(readAll(t, b, b.Names.Events, kafka.EventPartitions, kgo.ReadUncommitted())); n != 2 {
		t.Errorf("%d records on the topic, want 2: what rolls back is never sent", n)
	}
}

func TestDeadLetterOfTheStoreReachesItsTopicOnce(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 1)
	now := s.Clock.Now()
	deadLetter := app.DeadLetter{
		ID: s.Clock.NewID(), Order: s.orders[0], Source: "mail", Class: fault.Retryable, Code: "delivery-failed",
		Attempts: 6, FirstFailedAt: now, At: now,
	}
	err := s.api.InTenant(t.Context(), s.org.ID, app.With{}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(t.Context(), s.orders[0], app.Also{})
		if err != nil {
			return err
		}
		agg.Added.DeadLetters = append(agg.Added.DeadLetters, deadLetter)
		tx.Save(agg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.waitDrained(t)
	got := readAll(t, b, b.Names.DeadLetters, 1, kgo.ReadCommitted())
	if len(got) != 1 || string(got[0].Key) != s.orders[0].String() {
		t.Fatalf("dead letters on the topic: %v, want one of order %s", got, s.orders[0])
	}
	wantOnceInOrder(t, events(t, b), 1)
}
