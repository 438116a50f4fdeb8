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

// deleteTopics deletes topics past the product, and waits until they are gone.
func deleteTopics(t testing.TB, b *kafkatest.Broker, topics ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	deleted, err := adm.DeleteTopics(t.Context(), topics...)
	if err != nil || deleted.Error() != nil {
		t.Fatalf("DeleteTopics(%v) = %v, %v", topics, err, deleted.Error())
	}
	kafkatest.Eventually(t, "topics deleted", func() bool {
		listed, err := adm.ListTopics(t.Context(), topics...)
		return err == nil && !slices.ContainsFunc(topics, func(name string) bool { return listed.Has(name) })
	})
}

// recreateTopics creates again, empty, what deleteTopics deleted.
func recreateTopics(t testing.TB, b *kafkatest.Broker) {
	t.Helper()
	kafkatest.Eventually(t, "topics created again", func() bool { return b.Apply(t.Context(), 1) == nil })
}

// writeHistory gives the store's first order so many events, as if published long ago, that a rebuild needs
// several transactions.
func (s *store) writeHistory(t testing.TB, events int) {
	t.Helper()
	_, err := s.Super(t).Exec(t.Context(), `
		INSERT INTO order_event
		SELECT
			tenant_id, order_id, n, gen_random_uuid(), type, actor, at, NULL, NULL, traceparent,
			json_build_object('tenant_id', tenant_id, 'order_id', order_id, 'seq', n)
		FROM order_event, generate_series(2, $2::int + 1) n
		WHERE order_id = $1::uuid AND seq = 1`, s.orders[0].String(), events)
	if err == nil {
		_, err = s.Super(t).Exec(t.Context(), `
			UPDATE orders SET last_seq = $2::int + 1 WHERE id = $1::uuid`, s.orders[0].String(), events)
	}
	if err != nil {
		t.Fatalf("write a history: %v", err)
	}
}

// ids returns the events' ids in the table, by order and seq.
func (s *store) ids(t testing.TB) map[string]string {
	t.Helper()
	rows, err := s.Super(t).Query(t.Context(), `SELECT order_id::text || '/' || seq, event_id::text FROM order_event`)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for rows.Next() {
		var key, id string
		if err := rows.Scan(&key, &id); err != nil {
			t.Fatal(err)
		}
		ids[key] = id
	}
	return ids
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

func TestRebuiltTopicIsTheTableWhileWritersGoOn(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]func(n kafka.Names) []string{
		"the events are lost":    func(n kafka.Names) []string { return []string{n.Events} },
		"the positions are lost": func(n kafka.Names) []string { return []string{n.Positions} },
		"the whole cluster is a new one": func(n kafka.Names) []string {
			return []string{n.Events, n.Positions, n.DeadLetters}
		},
		"nothing is lost": func(kafka.Names) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := kafkatest.New(t), newStore(t, 8)
			s.writeHistory(t, 4500)
			r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
			stop := start(t, r.RunForever)
			s.write(t, 8, 10)
			s.waitDrained(t)
			stop()
			if topics := lost(b.Names); len(topics) > 0 {
				deleteTopics(t, b, topics...)
				recreateTopics(t, b)
				if err := r.Check(t.Context()); !errors.Is(err, app.ErrRelayPosition) {
					t.Errorf("Check() of a lost topic = %v, want ErrRelayPosition", err)
				}
			}
			stopAgain := start(t, r.RunForever) // fails, or waits for the lock
			if len(lost(b.Names)) == 0 {
				stopAgain() // it would work, and keep the lock
			}
			written := make(chan struct{})
			go func() { defer close(written); s.write(t, 8, 15) }()
			var steps []kafka.RebuildStep
			done, err := b.Rebuild(t.Context(), s.Relay(t), kafka.RebuildOptions{
				Replicas: 1, Patience: time.Minute,
				Progress: func(p kafka.RebuildProgress) {
					if len(steps) == 0 || steps[len(steps)-1] != p.Step {
						steps = append(steps, p.Step)
					}
					if p.Step == kafka.RebuildCreated { // before the snapshot
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
			<-written
			s.waitDrained(t)
			s.wantTable(t, b)
			if done.Events < 4500 || done.Epoch != 1 || done.Rows == 0 {
				t.Errorf("Rebuild() = %+v, want at least 4500 events, some of them unpublished, in epoch 1", done)
			}
			want := []kafka.RebuildStep{"locked", "begun", "fenced", "deleted", "made", "filling", "placed", "finished"}
			if diff := cmp.Diff(want, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// rebuildAsChild runs a rebuild in a process of its own, which kills itself after a step.
func rebuildAsChild(c relaySpec) {
	db, err := pgtest.Attach(context.Background(), c.Database, loginRelay)
	if err != nil {
		panic(err)
	}
	_, err = c.Cluster.Rebuild(context.Background(), db, kafka.RebuildOptions{
		Replicas: 1, Patience: time.Minute,
		Progress: func(p kafka.RebuildProgress) {
			if string(p.Step) == c.Point {
				_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
				select {} // does nothing more until the signal arrives
			}
		},
	})
	panic(fmt.Sprintf("the rebuild was not killed: %v", err))
}

func TestRebuildKilledAfterAnyStepIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 8)
	s.writeHistory(t, 4500)
	r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
	epoch := int64(0)
	for _, step := range []kafka.RebuildStep{
		kafka.RebuildLocked, kafka.RebuildBegun, kafka.RebuildFenced, kafka.RebuildDeleted, kafka.RebuildCreated,
		kafka.RebuildFilling, kafka.RebuildPositioned, kafka.RebuildFinished,
	} {
		s.write(t, 4, 3)
		process := spawn(t, relaySpec{
			Cluster: b.Cluster, Database: s.URL(loginRelay), Point: string(step), Rebuild: true,
		})
		waitKilled(t, process, string(step))
		s.write(t, 4, 3)
		if step != kafka.RebuildLocked && step != kafka.RebuildFinished {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := r.Run(ctx); !errors.Is(err, app.ErrRebuilding) {
				t.Errorf("relay after a rebuild that was killed when %s: %v, want ErrRebuilding", step, err)
			}
			cancel()
		}
		if step == kafka.RebuildFinished {
			epoch++
		} else {
			done, err := b.Rebuild(t.Context(), s.Relay(t), kafka.RebuildOptions{Replicas: 1, Patience: time.Minute})
			if err != nil {
				t.Fatalf("Rebuild() after one that was killed when %s = %v", step, err)
			}
			if epoch++; done.Epoch != epoch {
				t.Errorf("epoch %d after a rebuild that was killed when %s, want %d", done.Epoch, step, epoch)
			}
		}
		stop := start(t, r.RunForever)
		s.write(t, 4, 3)
		s.waitDrained(t)
		stop()
		s.wantTable(t, b)
	}
}

func TestRebuildIsRefusedWhileARelayWorks(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 2)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.waitDrained(t)
	options := kafka.RebuildOptions{Replicas: 1, Patience: 300 * time.Millisecond}
	if _, err := b.Rebuild(t.Context(), s.Relay(t), options); !errors.Is(err, kafka.ErrRelayAtWork) {
		t.Errorf("Rebuild() beside a relay = %v, want ErrRelayAtWork", err)
	}
	s.write(t, 2, 5)
	s.waitDrained(t)
	s.wantTable(t, b)
}

// gapDetector is an effect that must not be applied twice. It keeps the last seq of each order, as the inbox
// does, and lists gaps.
type gapDetector struct {
	mu      sync.Mutex
	last    map[order.ID]int // guarded by mu, as all below
	applied int
	gaps    []string
}

func (l *gapDetector) apply(_ context.Context, ev event.Event) error {
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

func (l *gapDetector) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied
}

// A consumer that runs while the topic is lost and rebuilt reads all of it again, and applies only what it
// has not applied before.
func TestConsumerThatRunsThroughARebuildAppliesEachEventOnce(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 8)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	l := &gapDetector{last: map[order.ID]int{}}
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: newInbox(), Clock: fixedClock{at},
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(t),
	}, kafka.Subscription{Consumer: event.Audit, Group: "rebuilt." + b.Names.Events, Apply: l.apply})
	start(t, func(ctx context.Context) { // as a process runs a consumer
		for ctx.Err() == nil {
			_ = c.Run(ctx)
			_ = kafka.Wait(ctx, 10*time.Millisecond)
		}
	})
	s.write(t, 8, 20)
	s.waitDrained(t)
	before := s.events(t)
	kafkatest.Eventually(t, "consumer has caught up", func() bool { return l.count() == before })
	deleteTopics(t, b, b.Names.Events)
	var writers sync.WaitGroup
	writers.Go(func() { s.write(t, 8, 10) })
	if _, err := b.Rebuild(t.Context(), s.Relay(t), kafka.RebuildOptions{Replicas: 1, Patience: time.Minute}); err != nil {
		t.Fatalf("Rebuild() = %v", err)
	}
	writers.Wait()
	s.write(t, 8, 5)
	s.waitDrained(t)
	after := s.events(t)
	kafkatest.Eventually(t, "consumer has caught up with the rebuilt topic", func() bool { return l.count() >= after })
	s.wantTable(t, b)
	if n := l.count(); n != after || len(l.gaps) > 0 {
		t.Errorf("%d events applied of %d, with gaps %v", n, after, l.gaps)
	}
}
