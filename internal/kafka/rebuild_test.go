package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// lose deletes topics, as somebody with too many rights would.
func lose(t testing.TB, b *kafkatest.Broker, topics ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	gone, err := adm.DeleteTopics(t.Context(), topics...)
	if err != nil || gone.Error() != nil {
		t.Fatalf("DeleteTopics(%v) = %v, %v", topics, err, gone.Error())
	}
	kafkatest.Eventually(t, "topics gone", func() bool {
		left, err := adm.ListTopics(t.Context(), topics...)
		return err == nil && !slices.ContainsFunc(topics, func(name string) bool { return left.Has(name) })
	})
}

// remade makes what lose deleted, empty.
func remade(t testing.TB, b *kafkatest.Broker) {
	t.Helper()
	kafkatest.Eventually(t, "topics made again", func() bool { return b.Apply(t.Context(), 1) == nil })
}

// history gives the store's first order so many events that a rebuild takes several transactions, as
// published long ago.
func (s *store) history(t testing.TB, events int) {
	t.Helper()
	_, err := s.Super(t).Exec(t.Context(), `
		INSERT INTO order_event SELECT tenant_id, order_id, n, gen_random_uuid(), type, actor, at, NULL, NULL, traceparent,
		json_build_object('tenant_id', tenant_id, 'order_id', order_id, 'seq', n)
		FROM order_event, generate_series(2, $2::int + 1) n WHERE order_id = $1::uuid
		AND seq = 1`, s.orders[0].String(), events)
	if err == nil {
		_, err = s.Super(t).Exec(t.Context(), `UPDATE orders SET last_seq = $2::int + 1
			WHERE id = $1::uuid`, s.orders[0].String(), events)
	}
	if err != nil {
		t.Fatalf("write a history: %v", err)
	}
}

// ids are the events' ids in the table, by order and number.
func (s *store) ids(t testing.TB) map[string]string {
	t.Helper()
	rows, err := s.Super(t).Query(t.Context(), `SELECT order_id::text || '/' || seq, event_id::text FROM order_event`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for rows.Next() {
		var at, id string
		if err := rows.Scan(&at, &id); err != nil {
			t.Fatal(err)
		}
		all[at] = id
	}
	return all
}

// wantTable compares the whole topic with the whole table.
func (s *store) wantTable(t testing.TB, b *kafkatest.Broker) {
	t.Helper()
	got := events(t, b)
	wantOnceInOrder(t, got, s.events(t))
	ids := map[string]string{}
	for _, ev := range got {
		ids[fmt.Sprintf("%s/%d", ev.Order, ev.Seq)] = ev.ID.String()
	}
	if diff := cmp.Diff(s.ids(t), ids); diff != "" {
		t.Errorf("ids (-table +topic):\n%s", diff)
	}
}

func TestRebuiltTopicIsTheTableThoughWritersGoOn(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]func(n kafka.Names) []string{
		"the events are lost":    func(n kafka.Names) []string { return []string{n.Events} },
		"the positions are lost": func(n kafka.Names) []string { return []string{n.Positions} },
		"the whole cluster is a new one": func(n kafka.Names) []string {
			return []string{n.Events, n.Positions, n.DeadLetters}
		},
		"nothing is lost and it was asked": func(kafka.Names) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := kafkatest.New(t), newStore(t, 8)
			s.history(t, 4500)
			r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
			stop := start(t, r.RunForever)
			s.write(t, 8, 10)
			s.drained(t)
			stop()
			if topics := lost(b.Names); len(topics) > 0 {
				lose(t, b, topics...)
				remade(t, b)
				if err := r.Check(t.Context()); !errors.Is(err, app.ErrRelayPosition) {
					t.Errorf("Check() of a lost topic = %v, want ErrRelayPosition", err)
				}
			}
			again := start(t, r.RunForever) // stands still, or waits for the lock
			if len(lost(b.Names)) == 0 {
				again() // it would work, and keep the lock
			}
			wrote := make(chan struct{})
			go func() { defer close(wrote); s.write(t, 8, 15) }()
			var steps []kafka.RebuildStep
			done, err := b.Rebuild(t.Context(), s.Relay(t), kafka.RebuildOptions{
				Replicas: 1, Patience: time.Minute,
				Tell: func(p kafka.RebuildProgress) {
					if len(steps) == 0 || steps[len(steps)-1] != p.Step {
						steps = append(steps, p.Step)
					}
					if p.Step == kafka.RebuildMade { // the snapshot is yet to come
						s.write(t, 2, 5)
					}
				},
			})
			if err != nil {
				t.Fatalf("Rebuild() = %v", err)
			}
			if len(lost(b.Names)) == 0 {
				start(t, r.RunForever)
			}
			<-wrote
			s.drained(t)
			s.wantTable(t, b)
			if done.Events < 4500 || done.Epoch != 1 || done.Rows == 0 {
				t.Errorf("Rebuild() = %+v, want 4500 events and more, some of them unpublished, in epoch 1", done)
			}
			want := []kafka.RebuildStep{"locked", "begun", "fenced", "deleted", "made", "filling", "placed", "finished"}
			if diff := cmp.Diff(want, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// rebuildAsChild is a rebuild in a process of its own, which kills itself after a step.
func rebuildAsChild(c child) {
	db, err := pgtest.Attach(context.Background(), c.Database, loginRelay)
	if err != nil {
		panic(err)
	}
	_, err = c.Cluster.Rebuild(context.Background(), db, kafka.RebuildOptions{
		Replicas: 1, Patience: time.Minute,
		Tell: func(p kafka.RebuildProgress) {
			if string(p.Step) == c.Point {
				_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
				select {} // nothing is done after death
			}
		},
	})
	panic(fmt.Sprintf("the rebuild outlived its death: %v", err))
}

func TestRebuildKilledAfterAnyStepIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 8)
	s.history(t, 4500)
	r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
	epoch := int64(0)
	for _, step := range []kafka.RebuildStep{
		kafka.RebuildLocked, kafka.RebuildBegun, kafka.RebuildFenced, kafka.RebuildDeleted, kafka.RebuildMade,
		kafka.RebuildFilling, kafka.RebuildPlaced, kafka.RebuildFinished,
	} {
		s.write(t, 4, 3)
		killed(t, spawn(t, child{Cluster: b.Cluster, Database: s.URL(loginRelay), Point: string(step), Rebuild: true}),
			string(step))
		s.write(t, 4, 3)
		if step != kafka.RebuildLocked && step != kafka.RebuildFinished {
			short, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := r.Run(short); !errors.Is(err, app.ErrRebuilding) {
				t.Errorf("relay after a rebuild that died %s: %v, want ErrRebuilding", step, err)
			}
			cancel()
		}
		if step == kafka.RebuildFinished {
			epoch++
		} else {
			done, err := b.Rebuild(t.Context(), s.Relay(t), kafka.RebuildOptions{Replicas: 1, Patience: time.Minute})
			if err != nil {
				t.Fatalf("Rebuild() after one that died %s = %v", step, err)
			}
			if epoch++; done.Epoch != epoch {
				t.Errorf("epoch %d after a rebuild that died %s, want %d", done.Epoch, step, epoch)
			}
		}
		stop := start(t, r.RunForever)
		s.write(t, 4, 3)
		s.drained(t)
		stop()
		s.wantTable(t, b)
	}
}

func TestRebuildIsRefusedWhileARelayWorks(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 2)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.drained(t)
	if _, err := b.Rebuild(t.Context(), s.Relay(t), kafka.RebuildOptions{
		Replicas: 1, Patience: 300 * time.Millisecond,
	}); !errors.Is(err, kafka.ErrRelayAtWork) {
		t.Errorf("Rebuild() beside a relay = %v, want ErrRelayAtWork", err)
	}
	s.write(t, 2, 5)
	s.drained(t)
	s.wantTable(t, b)
}

// ledger is an effect that must not be applied twice: it keeps the last number of each order, as the inbox
// does, and minds gaps.
type ledger struct {
	mu      sync.Mutex
	last    map[order.ID]int // guarded by mu, as all below
	applied int
	gaps    []string
}

func (l *ledger) apply(_ context.Context, ev event.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ev.Seq <= l.last[ev.Order] {
		return app.ErrDuplicate
	}
	if ev.Seq != l.last[ev.Order]+1 {
		l.gaps = append(l.gaps, fmt.Sprintf("%s: %d after %d", ev.Order, ev.Seq, l.last[ev.Order]))
	}
	l.last[ev.Order] = ev.Seq
	l.applied++
	return nil
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied
}

// A consumer that runs on while the topic is lost and rebuilt reads all of it again, and applies only what
// it has not applied.
func TestConsumerThatRunsThroughARebuildAppliesEachEventOnce(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 8)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	l := &ledger{last: map[order.ID]int{}}
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: newInbox(), Clock: fixedClock{at},
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(t),
	},
		kafka.Subscription{Consumer: event.Audit, Group: "rebuilt." + b.Names.Events, Apply: l.apply})
	start(t, func(ctx context.Context) { // as a process runs it
		for ctx.Err() == nil {
			_ = c.Run(ctx)
			_ = kafka.Wait(ctx, 10*time.Millisecond)
		}
	})
	s.write(t, 8, 20)
	s.drained(t)
	before := s.events(t)
	kafkatest.Eventually(t, "consumer has caught up", func() bool { return l.count() == before })
	lose(t, b, b.Names.Events)
	var writers sync.WaitGroup
	writers.Go(func() { s.write(t, 8, 10) })
	if _, err := b.Rebuild(t.Context(), s.Relay(t), kafka.RebuildOptions{Replicas: 1, Patience: time.Minute}); err != nil {
		t.Fatalf("Rebuild() = %v", err)
	}
	writers.Wait()
	s.write(t, 8, 5)
	s.drained(t)
	after := s.events(t)
	kafkatest.Eventually(t, "consumer has caught up with the rebuilt topic", func() bool { return l.count() >= after })
	s.wantTable(t, b)
	if n := l.count(); n != after || len(l.gaps) > 0 {
		t.Errorf("%d events applied of %d, with gaps %v", n, after, l.gaps)
	}
}
