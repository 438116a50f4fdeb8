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

// The benchmarks measure the figures that docs/ARCHITECTURE.md lists, on PostgreSQL without fsync and on
// the broker of the suite. Both share the machine with the writers and the consumer. Run them with:
//
//	go run ./internal/embedded/cmd/withpostgres -- go test -run '^$' -bench . -benchtime 1x ./internal/kafka

const benchWriters = 8

// eventKey identifies an event.
type eventKey struct {
	order order.ID
	seq   int
}

// latencies measures the time from the answer of an event's commit until the consumer has the event.
// Either of the two may come first.
type latencies struct {
	mu    sync.Mutex
	first map[eventKey]time.Time // guarded by mu; when the first of the two came
	took  []time.Duration        // guarded by mu
}

func (l *latencies) committed(k eventKey, at time.Time) { l.pair(k, at, -1) }
func (l *latencies) arrived(k eventKey, at time.Time)   { l.pair(k, at, 1) }

func (l *latencies) pair(k eventKey, at time.Time, sign time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, ok := l.first[k]
	if !ok {
		l.first[k] = at
		return
	}
	delete(l.first, k)
	l.took = append(l.took, max(0, sign*at.Sub(first))) // an event may arrive before its commit is answered
}

// load has benchWriters change orders for d. rate limits the changes per second of all of them together; 0 is
// no limit. It returns how many changes per second they made.
func (s *store) load(b *testing.B, l *latencies, d time.Duration, rate float64) float64 {
	b.Helper()
	var done atomic.Int64
	var writers sync.WaitGroup
	begun := time.Now()
	for n := range benchWriters {
		writers.Go(func() {
			for i := 0; time.Since(begun) < d; i++ {
				if rate > 0 {
					due := begun.Add(time.Duration((float64(i*benchWriters+n) / rate) * float64(time.Second)))
					_ = kafka.Wait(b.Context(), time.Until(due))
				}
				k := eventKey{order: s.orders[(n*7+i)%len(s.orders)]}
				err := s.api.InTenant(b.Context(), s.org.ID, app.With{}, func(tx app.Tx) error {
					o, err := tx.LockOrder(b.Context(), k.order, app.Also{})
					if err != nil {
						return err
					}
					o.Order.Version++
					s.record(o, order.EvItemProvisioning, tx.Now())
					k.seq = o.Added.Events[0].Seq
					tx.Save(o)
					return nil
				})
				if err != nil {
					b.Errorf("change order: %v", err)
					return
				}
				l.committed(k, time.Now())
				done.Add(1)
			}
		})
	}
	writers.Wait()
	return float64(done.Load()) / time.Since(begun).Seconds()
}

// runRelayAndConsumer runs a relay that commits notify, as in a process, and a consumer that measures.
func (s *store) runRelayAndConsumer(b *testing.B, broker *kafkatest.Broker, l *latencies) {
	b.Helper()
	r := kafka.NewRelay(broker.Cluster, 0, "bench", s.Relay(b), logger(b))
	if db, ok := s.api.(interface{ OnCommit(app.Notifier) }); ok {
		db.OnCommit(r)
	}
	start(b, r.RunForever)
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: broker.Cluster, Refusals: newInbox(), Clock: fixedClock{at},
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(b),
	}, kafka.Subscription{
		Consumer: event.Audit, Group: "bench." + broker.Names.Events,
		Apply: func(_ context.Context, ev event.Event) error {
			l.arrived(eventKey{ev.Order, ev.Seq}, time.Now())
			return nil
		},
	})
	start(b, func(ctx context.Context) {
		if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
			b.Errorf("consumer: %v", err)
		}
	})
}

// BenchmarkCommitToConsumer measures the time from the answer of an event's commit until a consumer has the
// event, at half the rate that the writers reach and at the full rate. The goal is a p99 of 50 ms at half
// the rate.
func BenchmarkCommitToConsumer(b *testing.B) {
	for b.Loop() {
		broker, s := kafkatest.New(b), newStore(b, 64)
		l := &latencies{first: map[eventKey]time.Time{}}
		s.runRelayAndConsumer(b, broker, l)
		measure := func(rate float64) (changes float64, p50, p99 time.Duration) {
			changes = s.load(b, l, 5*time.Second, rate)
			s.waitDrained(b)
			kafkatest.Eventually(b, "consumer has caught up", func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.first) <= len(s.orders) // the orders' first events, whose commits are not measured
			})
			l.mu.Lock()
			defer l.mu.Unlock()
			slices.Sort(l.took)
			p50, p99 = l.took[len(l.took)/2], l.took[len(l.took)*99/100]
			l.took = nil
			return changes, p50, p99
		}
		measure(0) // warm up
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

// emptyNotifier closes empty when the outbox is empty: counting the rows would cost as much as draining
// them.
type emptyNotifier struct {
	app.OutboxLease
	empty chan struct{}
}

func (l *emptyNotifier) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := l.OutboxLease.Pending(ctx, limit)
	if err == nil && len(rows) == 0 && l.empty != nil {
		close(l.empty)
		l.empty = nil
	}
	return rows, err
}

// BenchmarkBacklog drains 200,000 events, as after an outage, and compares the rate with that of the
// writers of the same run. The goal is 30,000 events per second.
func BenchmarkBacklog(b *testing.B) {
	const backlog = 200_000
	for b.Loop() {
		broker, s := kafkatest.New(b), newStore(b, 64)
		rate := s.load(b, &latencies{first: map[eventKey]time.Time{}}, 3*time.Second, 0)
		// Events of a thousand orders, each as long as a real one.
		_, err := s.Super(b).Exec(b.Context(), `
			WITH sample AS (
				SELECT tenant_id, type, actor, at, traceparent, data
				FROM order_event
				WHERE seq = 2
				LIMIT 1
			), keys AS (
				SELECT md5('bench' || n % 1000)::uuid AS order_id, n / 1000 + 1 AS seq, n
				FROM generate_series(0, $1::int - 1) n
			)
			INSERT INTO order_event
			SELECT tenant_id, order_id, seq, gen_random_uuid(), type, actor, at, NULL, NULL, traceparent, data
			FROM sample, keys
			ORDER BY n`, backlog)
		if err == nil {
			_, err = s.Super(b).Exec(b.Context(), `
				INSERT INTO outbox (tenant_id, order_id, seq)
				SELECT tenant_id, order_id, seq
				FROM order_event
				WHERE order_id IN (SELECT md5('bench' || n)::uuid FROM generate_series(0, 999) n)
				ORDER BY seq, order_id`)
		}
		if err != nil {
			b.Fatalf("make a backlog: %v", err)
		}
		rows := s.count(b, `SELECT count(*) FROM outbox`)
		drained := make(chan struct{})
		out := wrappedOutbox{s.Relay(b), func(l app.OutboxLease) app.OutboxLease { return &emptyNotifier{l, drained} }}
		begun := time.Now()
		stop := start(b, kafka.NewRelay(broker.Cluster, 0, "bench", out, logger(b)).RunForever)
		<-drained
		took := time.Since(begun)
		stop()
		b.ReportMetric(float64(rows)/took.Seconds(), "events/s")
		b.ReportMetric(float64(rows)/took.Seconds()/rate, "times-the-writers")
		b.ReportMetric(rate, "writers-tx/s")
		b.ReportMetric(took.Seconds(), "s")
	}
}
