package kafka_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// workerStore is what these tests need of the worker's login.
type workerStore interface {
	app.Store
	app.Rollup
	app.Refusals
}

// shop is a store with orders that are paid, and the use cases of the worker that keeps its figures.
type shop struct {
	*store
	worker   workerStore
	useCases *app.App
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{store: newStore(t, 0)}
	s.worker = s.Worker(t)
	s.useCases = app.New(app.Deps{
		Store: s.worker, Rollup: s.worker, Clock: s.Clock, NewID: s.Clock.NewID, Random: rand.Reader, Log: logger(t),
	})
	if err := s.worker.Recount(t.Context(), s.org.ID); err != nil {
		t.Fatal(err)
	}
	return s
}

// sell makes orders of one item each, and submits and pays them.
func (s *shop) sell(t testing.TB, orders int) {
	t.Helper()
	for n := range orders {
		o := &order.Order{
			ID: order.ID(s.Clock.NewID()), Tenant: s.org.ID, Number: fmt.Sprintf("ORD-%x-%d", s.Clock.NewID(), n),
			Customer: s.org.Members[tenant.Customer].ID, State: order.Draft, Version: 1, Currency: "EUR", Due: 20_10,
			CreatedAt: s.Clock.Now(), UpdatedAt: s.Clock.Now(),
			Items: []order.Item{{
				ID: order.ItemID(s.Clock.NewID()), Line: 1, State: order.ItemPending, Generation: 1,
				Price: 20_10, Snapshot: order.Snapshot{Product: "vps", Configuration: []byte(`{}`)},
			}},
		}
		err := s.api.InTenant(t.Context(), s.org.ID, app.With{}, func(tx app.Tx) error {
			agg := &app.Aggregate{Order: o}
			s.record(agg, order.EvCreated, tx.Now())
			tx.Insert(agg)
			return nil
		})
		for _, step := range []func() error{
			func() error { _, err := o.Fire(order.Submit, ""); return err },
			func() error {
				p, err := o.Pay(order.Payment{
					ID: order.PaymentID(s.Clock.NewID()), Provider: "manual", Reference: fmt.Sprintf("%x", s.Clock.NewID()),
					Paid: 20_10, Currency: "EUR", PaidAt: s.Clock.Now(),
				})
				if err == nil {
					err = o.Confirm(p)
				}
				return err
			},
		} {
			if err != nil {
				t.Fatalf("sell: %v", err)
			}
			err = s.api.InTenant(t.Context(), s.org.ID, app.With{}, func(tx app.Tx) error {
				agg, err := tx.LockOrder(t.Context(), o.ID, app.Also{})
				if err != nil {
					return err
				}
				o = agg.Order
				if err := step(); err != nil {
					return err
				}
				o.Version++
				for _, e := range o.TakeEvents() {
					r, err := event.NewRecord(o, e, event.Cause{Actor: tenant.System(s.org.ID, "worker")},
						event.ID(s.Clock.NewID()), tx.Now())
					if err != nil {
						return err
					}
					agg.Added.Events = append(agg.Added.Events, r)
				}
				tx.Save(agg)
				return nil
			})
		}
		if err != nil {
			t.Fatalf("sell: %v", err)
		}
	}
}

// figuresConsumer makes the product's consumer of the figures in a group. wrap may be nil, or changes its
// effect.
func (s *shop) figuresConsumer(
	t testing.TB, b *kafkatest.Broker, group string, wrap func(effect app.EffectAll) app.EffectAll,
) *kafka.Consumer {
	t.Helper()
	effect := app.EffectAll(s.useCases.ProjectEvents)
	if wrap != nil {
		effect = wrap(effect)
	}
	return kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: s.worker, Clock: s.Clock, Pause: kafka.Wait,
		Random: func() float64 { return 0 }, Log: logger(t),
	}, kafka.Subscription{
		Consumer: event.Portal, Group: group + b.Names.Events, Name: string(app.AnalyticsConsumer),
		Apply: s.useCases.ProjectEvent, ApplyAll: effect, Park: s.useCases.ParkEvent,
	})
}

// wantFigures requires that the roll-up agrees with the tables, and that so many orders were sold.
func (s *shop) wantFigures(t *testing.T, orders int) {
	t.Helper()
	if diff := cmp.Diff(app.RollupCheck{Backfilled: true}, must(s.worker.CheckRollup(t.Context(), s.org.ID))); diff != "" {
		t.Errorf("roll-up (-want +got):\n%s", diff)
	}
	got := must(s.worker.OrderStats(t.Context(), s.org.ID, s.Clock.Now()))
	if got.Today != orders || int(got.Revenue) != orders*20_10 || got.ByState[order.PaymentConfirmed] != orders {
		t.Errorf("%d orders today, %d in all, %d cents; want %d sold",
			got.Today, got.ByState[order.PaymentConfirmed], got.Revenue, orders)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A consumer is killed after the database has committed and before it commits an offset. Two others go on,
// of which one leaves. Then another group reads the whole topic again.
func TestFiguresCountEachEventOnceThroughKillsRebalancesAndASecondReading(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newShop(t)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.sell(t, 20)
	s.waitDrained(t)

	ctx, kill := context.WithCancel(t.Context())
	var projected atomic.Int64
	killed := s.figuresConsumer(t, b, "figures", func(effect app.EffectAll) app.EffectAll {
		return func(ctx context.Context, evs []event.Event) (app.Handled, error) {
			h, err := effect(ctx, evs)
			projected.Add(int64(h.Applied))
			kill()
			return h, err
		}
	})
	if err := killed.Run(ctx); err == nil {
		t.Fatal("the consumer was not killed")
	}
	if projected.Load() == 0 {
		t.Fatal("the consumer was killed before the database had anything")
	}

	start(t, run(s.figuresConsumer(t, b, "figures", nil)))
	leave := start(t, run(s.figuresConsumer(t, b, "figures", nil)))
	s.sell(t, 20)
	s.waitDrained(t)
	leave()
	s.sell(t, 10)
	s.waitDrained(t)
	kafkatest.Eventually(t, "all counted", func() bool {
		return must(s.worker.CheckRollup(t.Context(), s.org.ID)).Behind == 0
	})
	s.wantFigures(t, 50)

	again := s.figuresConsumer(t, b, "again", nil)
	start(t, run(again))
	kafkatest.Eventually(t, "the topic read again", func() bool { return again.Status().Duplicates == 150 })
	if got := again.Status(); got.Applied != 0 {
		t.Errorf("%d events were applied again", got.Applied)
	}
	s.wantFigures(t, 50)
}

// BenchmarkFigures has the consumer of the figures project a tenant's backlog from the topic, with twelve
// events per order, and compares the rate with that at which the writers of the same run change orders.
func BenchmarkFigures(b *testing.B) {
	const orders = 15_000
	for b.Loop() {
		broker, s := kafkatest.New(b), newShop(b)
		writers := newStore(b, 64)
		rate := writers.load(b, &latencies{first: map[eventKey]time.Time{}}, 3*time.Second, 0)
		s.sell(b, 1)
		if _, err := s.Super(b).Exec(b.Context(), backlogOfOrders, orders); err != nil {
			b.Fatalf("make a backlog: %v", err)
		}
		stop := start(b, kafka.NewRelay(broker.Cluster, 0, "bench", s.Relay(b), logger(b)).RunForever)
		s.waitDrained(b)
		stop()
		c := s.figuresConsumer(b, broker, "bench", nil)
		begun := time.Now()
		start(b, run(c))
		const events = orders*12 + 3
		kafkatest.Eventually(b, "all counted", func() bool { return c.Status().Applied+c.Status().Duplicates == events })
		took := time.Since(begun)
		if check := must(s.worker.CheckRollup(b.Context(), s.org.ID)); check.Behind > 0 || c.Status().Duplicates > 0 {
			b.Errorf("%+v, %d duplicates", check, c.Status().Duplicates)
		}
		b.ReportMetric(events/took.Seconds(), "events/s")
		b.ReportMetric(events/took.Seconds()/rate, "times-the-writers")
		b.ReportMetric(rate, "writers-tx/s")
		b.ReportMetric(took.Seconds(), "s")
	}
}

// backlogOfOrders copies the order that was sold, and gives each copy the twelve events of an order's life.
const backlogOfOrders = `
	WITH model AS (
		SELECT * FROM orders LIMIT 1
	), copies AS (
		INSERT INTO orders (
			tenant_id, id, number, customer_id, state, outcome, settlement, policy, closing, method,
			version, last_seq, currency, due_cents, delivery_stuck, created_at, updated_at
		)
		SELECT
			m.tenant_id, md5('bench' || n)::uuid, 'BENCH-' || n, m.customer_id, 7, 2, 2, 0, 0, '',
			12, 12, 'EUR', 2010, false, m.created_at - n % 60 * interval '1 day', m.created_at
		FROM model m, generate_series(1, $1::int) n
		RETURNING tenant_id, id, created_at
	), steps (seq, type, state) AS (
		VALUES
			(1, 'order.created', 'draft'),
			(2, 'order.submitted', 'pending_payment'),
			(3, 'order.payment-confirmed', 'payment_confirmed'),
			(4, 'order.validating', 'validating'),
			(5, 'order.provisioning-started', 'provisioning'),
			(6, 'order.item-provisioning', 'provisioning'),
			(7, 'order.item-provisioning', 'provisioning'),
			(8, 'order.item-active', 'provisioning'),
			(9, 'order.partially-fulfilled', 'partially_fulfilled'),
			(10, 'order.item-active', 'partially_fulfilled'),
			(11, 'order.service-delivered', 'partially_fulfilled'),
			(12, 'order.fulfilled', 'fulfilled')
	), events AS (
		INSERT INTO order_event (
			tenant_id, order_id, seq, event_id, type, actor, at, causation_id, correlation_id, traceparent, data
		)
		SELECT
			o.tenant_id, o.id, s.seq, gen_random_uuid(), s.type, 'system:worker', o.created_at, NULL, NULL, '',
			(
				e.data::jsonb
				|| jsonb_build_object('order_id', o.id, 'seq', s.seq, 'to', s.state, 'created_at', o.created_at)
				|| CASE
					WHEN s.seq = 3 THEN jsonb_build_object(
						'payment', (SELECT p.data -> 'payment' FROM order_event p WHERE p.seq = 3 LIMIT 1)
					)
					ELSE '{}'
				END
			)::json
		FROM copies o, (SELECT data FROM order_event WHERE seq = 2 LIMIT 1) e, steps s
		ORDER BY s.seq, o.id
		RETURNING tenant_id, order_id, seq
	)
	INSERT INTO outbox (tenant_id, order_id, seq)
	SELECT tenant_id, order_id, seq FROM events ORDER BY seq, order_id`
