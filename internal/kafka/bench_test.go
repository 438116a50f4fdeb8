package kafka_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

// The figures that docs/ARCHITECTURE.md lists, on PostgreSQL without fsync and on whatever broker the suite
// runs on, both on this machine, which they share with the writers and the consumer:
//
//	go run ./internal/embedded/cmd/withpostgres -- go test -run '^$' -bench . -benchtime 1x ./internal/kafka

const benchWriters = 8

// hand is an event's way: when its commit was answered, and when the consumer had it.
type hand struct {
	order order.ID
	seq   int
}

// watch pairs commits with arrivals; either may come first.
type watch struct {
	mu    sync.Mutex
	since map[hand]time.Time // guarded by mu; the first of the two
	took  []time.Duration    // guarded by mu
}

func (w *watch) commits(h hand, at time.Time) { w.meet(h, at, -1) }
func (w *watch) arrives(h hand, at time.Time) { w.meet(h, at, 1) }

func (w *watch) meet(h hand, at time.Time, sign time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first, ok := w.since[h]
	if !ok {
		w.since[h] = at
		return
	}
	delete(w.since, h)
	w.took = append(w.took, max(0, sign*at.Sub(first))) // it may arrive before its writer hears of the commit
}

// load has benchWriters change orders for d, at no more than rate in all (0: as fast as they can), and tells
// how many changes a second there were.
func (s *store) load(b *testing.B, w *watch, d time.Duration, rate float64) float64 {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for n := range benchWriters {
		all.Go(func() {
			for i := 0; time.Since(begun) < d; i++ {
				if rate > 0 {
					due := begun.Add(time.Duration((float64(i*benchWriters+n) / rate) * float64(time.Second)))
					_ = kafka.Wait(b.Context(), time.Until(due))
				}
				h := hand{order: s.orders[(n*7+i)%len(s.orders)]}
				err := s.api.InTenant(b.Context(), s.org.ID, app.With{}, func(tx app.Tx) error {
					o, err := tx.LockOrder(b.Context(), h.order, app.Also{})
					if err != nil {
						return err
					}
					o.Order.Version++
					s.record(o, order.EvItemProvisioning, tx.Now())
					h.seq = o.Added.Events[0].Seq
					tx.Save(o)
					return nil
				})
				if err != nil {
					b.Errorf("change order: %v", err)
					return
				}
				w.commits(h, time.Now())
				done.Add(1)
			}
		})
	}
	all.Wait()
	return float64(done.Load()) / time.Since(begun).Seconds()
}

// follow runs a relay that is kicked by commits, as in a process, and a consumer.
func (s *store) follow(b *testing.B, broker *kafkatest.Broker, w *watch) {
	b.Helper()
	r := kafka.NewRelay(broker.Cluster, 0, "bench", s.Relay(b), logger(b))
	if db, ok := s.api.(interface{ OnCommit(app.Notifier) }); ok {
		db.OnCommit(r)
	}
	start(b, r.RunForever)
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: broker.Cluster, Refusals: newInbox(), Clock: fixedClock{at},
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(b),
	},
		kafka.Subscription{Consumer: event.Audit, Group: "bench." + broker.Names.Events, Apply: func(_ context.Context,
			ev event.Event,
		) error {
			w.arrives(hand{ev.Order, ev.Seq}, time.Now())
			return nil
		}})
	start(b, func(ctx context.Context) {
		if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
			b.Errorf("consumer: %v", err)
		}
	})
}

// BenchmarkCommitToConsumer measures from the answer of an event's commit until a consumer has it, at half
// the rate that the writers reach, and at all of it. The goal is a p99 of 50 ms at half.
func BenchmarkCommitToConsumer(b *testing.B) {
	for b.Loop() {
		broker, s := kafkatest.New(b), newStore(b, 64)
		w := &watch{since: map[hand]time.Time{}}
		s.follow(b, broker, w)
		measure := func(rate float64) (changes float64, p50, p99 time.Duration) {
			changes = s.load(b, w, 5*time.Second, rate)
			s.drained(b)
			kafkatest.Eventually(b, "consumer has caught up", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return len(w.since) <= len(s.orders) // their first events, which nobody timed
			})
			w.mu.Lock()
			defer w.mu.Unlock()
			slices.Sort(w.took)
			p50, p99 = w.took[len(w.took)/2], w.took[len(w.took)*99/100]
			w.took = nil
			return changes, p50, p99
		}
		measure(0) // warm
		full, p50full, p99full := measure(0)
		half, p50, p99 := measure(full / 2)
		b.ReportMetric(full, "saturated-tx/s")
		b.ReportMetric(half, "half-tx/s")
		b.ReportMetric(float64(p50.Microseconds())/1000, "half-p50-ms")
		b.ReportMetric(float64(p99.Microseconds())/1000, "half-p99-ms")
		b.ReportMetric(float64(p50full.Microseconds())/1000, "saturated-p50-ms")
		b.ReportMetric(float64(p99full.Microseconds())/1000, "saturated-p99-ms")
	}
}

// telling says when the outbox is empty: asking the table would cost as much as draining it.
type telling struct {
	app.OutboxLease
	empty chan struct{}
}

func (l *telling) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := l.OutboxLease.Pending(ctx, limit)
	if err == nil && len(rows) == 0 && l.empty != nil {
		close(l.empty)
		l.empty = nil
	}
	return rows, err
}

// BenchmarkBacklog drains 200,000 events, as after an outage, and compares with the rate at which the writers
// of the same run make them. The goal is 30,000 a second.
func BenchmarkBacklog(b *testing.B) {
	const backlog = 200_000
	for b.Loop() {
		broker, s := kafkatest.New(b), newStore(b, 64)
		rate := s.load(b, &watch{since: map[hand]time.Time{}}, 3*time.Second, 0)
		// Events as long as real ones, of a thousand orders.
		_, err := s.Super(b).Exec(b.Context(), `
			WITH few AS (SELECT tenant_id, type, actor, at, traceparent, data FROM order_event WHERE seq = 2 LIMIT 1),
			many AS (SELECT md5('bench' || n % 1000)::uuid AS order_id, n / 1000 + 1 AS seq, n
			FROM generate_series(0, $1::int - 1) n)
			INSERT INTO order_event SELECT tenant_id, order_id, seq, gen_random_uuid(), type, actor, at, NULL, NULL, traceparent,
			data FROM few, many ORDER BY n`, backlog)
		if err == nil {
			_, err = s.Super(b).Exec(b.Context(), `INSERT INTO outbox (tenant_id, order_id, seq) SELECT tenant_id, order_id, seq
				FROM order_event WHERE order_id IN (SELECT md5('bench' || n)::uuid FROM generate_series(0, 999) n)
				ORDER BY seq, order_id`)
		}
		if err != nil {
			b.Fatalf("make a backlog: %v", err)
		}
		left := s.count(b, `SELECT count(*) FROM outbox`)
		drained := make(chan struct{})
		out := faulty{s.Relay(b), func(l app.OutboxLease) app.OutboxLease { return &telling{l, drained} }}
		begun := time.Now()
		stop := start(b, kafka.NewRelay(broker.Cluster, 0, "bench", out, logger(b)).RunForever)
		<-drained
		took := time.Since(begun)
		stop()
		b.ReportMetric(float64(left)/took.Seconds(), "events/s")
		b.ReportMetric(float64(left)/took.Seconds()/rate, "times-the-writers")
		b.ReportMetric(rate, "writers-tx/s")
		b.ReportMetric(took.Seconds(), "s")
	}
}
