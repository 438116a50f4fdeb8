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

// books is what the worker's login is used for here.
type books interface {
	app.Store
	app.Rollup
	app.Refusals
}

// shop is a store whose orders are paid for, and the worker's use cases that keep its figures.
type shop struct {
	*store
	worker   books
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

// sell makes orders of one item, and has them submitted and paid.
func (s *shop) sell(t testing.TB, orders int) {
	t.Helper()
	for n := range orders {
		o := &order.Order{
			ID: order.ID(s.Clock.NewID()), Tenant: s.org.ID, Number: fmt.Sprintf("ORD-%x-%d", s.Clock.NewID(), n),
			Customer: s.org.Members[tenant.Customer].ID,
			State:    order.Draft, Version: 1, Currency: "EUR", Due: 20_10, CreatedAt: s.Clock.Now(), UpdatedAt: s.Clock.Now(),
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
					r, err := event.Of(o, e, event.Cause{Actor: tenant.System(s.org.ID, "worker")},
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

// figures is the shipped consumer of a group, of which wrap changes what it does.
func (s *shop) figures(
	t testing.TB, b *kafkatest.Broker, group string, wrap func(all app.EffectAll) app.EffectAll,
) *kafka.Consumer {
	t.Helper()
	all := app.EffectAll(s.useCases.ProjectEvents)
	if wrap != nil {
		all = wrap(all)
	}
	return kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: s.worker, Clock: s.Clock, Pause: kafka.Wait,
		Random: func() float64 { return 0 }, Log: logger(t),
	},
		kafka.Subscription{
			Consumer: event.Portal, Group: group + b.Names.Events, Name: string(app.AnalyticsConsumer),
			Apply: s.useCases.ProjectEvent, ApplyAll: all, Park: s.useCases.ParkEvent,
		})
}

// wantFigures requires the roll-up to be that of the tables, with so many orders sold.
func (s *shop) wantFigures(t *testing.T, orders int) {
	t.Helper()
	if diff := cmp.Diff(app.RollupCheck{Backfilled: true}, must(s.worker.CheckRollup(t.Context(), s.org.ID))); diff != "" {
		t.Errorf("roll-up (-want +got):\n%s", diff)
	}
	got := must(s.worker.OrderStats(t.Context(), s.org.ID, s.Clock.Now()))
	if got.Today != orders || int(got.Revenue) != orders*20_10 || got.ByState[order.PaymentConfirmed] != orders {
		t.Errorf("%d orders today, %d in all, %d cents; want %d sold", got.Today, got.ByState[order.PaymentConfirmed],
			got.Revenue, orders)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A consumer dies after its database has committed and before Kafka hears of it; two go on, one of which
// leaves; then another group reads the whole topic once more.
func TestFiguresCountEachEventOnceThroughDeathsRebalancesAndASecondReading(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newShop(t)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.sell(t, 20)
	s.drained(t)

	life, die := context.WithCancel(t.Context())
	var folded atomic.Int64
	dies := s.figures(t, b, "figures", func(all app.EffectAll) app.EffectAll {
		return func(ctx context.Context, evs []event.Event) (app.Handled, error) {
			h, err := all(ctx, evs)
			folded.Add(int64(h.Applied))
			die()
			return h, err
		}
	})
	if err := dies.Run(life); err == nil {
		t.Fatal("it did not die")
	}
	if folded.Load() == 0 {
		t.Fatal("it died before the database had anything")
	}

	one := s.figures(t, b, "figures", nil)
	start(t, run(one))
	leave := start(t, run(s.figures(t, b, "figures", nil)))
	s.sell(t, 20)
	s.drained(t)
	leave()
	s.sell(t, 10)
	s.drained(t)
	kafkatest.Eventually(t, "all counted", func() bool {
		return must(s.worker.CheckRollup(t.Context(), s.org.ID)).Behind == 0
	})
	s.wantFigures(t, 50)

	again := s.figures(t, b, "again", nil)
	start(t, run(again))
	kafkatest.Eventually(t, "the topic read again", func() bool { return again.Status().Duplicates == 150 })
	if got := again.Status(); got.Applied != 0 {
		t.Errorf("%d events were applied again", got.Applied)
	}
	s.wantFigures(t, 50)
}

// BenchmarkFigures has the consumer of the figures take in a backlog of one tenant from the topic, twelve events
// an order, and compares with the rate at which the writers of the same run change orders.
func BenchmarkFigures(b *testing.B) {
	const orders = 15_000
	for b.Loop() {
		broker, s := kafkatest.New(b), newShop(b)
		writers := newStore(b, 64)
		rate := writers.load(b, &watch{since: map[hand]time.Time{}}, 3*time.Second, 0)
		s.sell(b, 1)
		if _, err := s.Super(b).Exec(b.Context(), backlogOfOrders, orders); err != nil {
			b.Fatalf("make a backlog: %v", err)
		}
		stop := start(b, kafka.NewRelay(broker.Cluster, 0, "bench", s.Relay(b), logger(b)).RunForever)
		s.drained(b)
		stop()
		c := s.figures(b, broker, "bench", nil)
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

// backlogOfOrders makes orders of the one that was sold, each with the twelve events of a life.
const backlogOfOrders = `
	WITH model AS (SELECT * FROM orders LIMIT 1),
	made AS (
		INSERT INTO orders (tenant_id, id, number, customer_id, state, outcome, settlement, policy, closing, method, version,
		last_seq, currency, due_cents, delivery_stuck, created_at, updated_at)
		SELECT m.tenant_id, md5('bench' || n)::uuid, 'BENCH-' || n, m.customer_id, 7, 2, 2, 0, 0, '', 12, 12, 'EUR', 2010,
		false, m.created_at - n % 60 * interval '1 day', m.created_at
		FROM model m, generate_series(1, $1::int) n RETURNING tenant_id, id, created_at),
	told AS (
		INSERT INTO order_event (tenant_id, order_id, seq, event_id, type, actor, at, causation_id, correlation_id,
		traceparent, data)
		SELECT o.tenant_id, o.id, s.seq, gen_random_uuid(), s.type, 'system:worker', o.created_at, NULL, NULL, '',
			(e.data::jsonb || jsonb_build_object('order_id', o.id, 'seq', s.seq, 'to', s.state, 'created_at', o.created_at) ||
				CASE WHEN s.seq = 3 THEN jsonb_build_object('payment', (SELECT p.data -> 'payment' FROM order_event p
				WHERE p.seq = 3 LIMIT 1)) ELSE '{}' END)::json
		FROM made o, (SELECT data FROM order_event WHERE seq = 2 LIMIT 1) e, (VALUES
			(1, 'order.created', 'draft'), (2, 'order.submitted', 'pending_payment'), (3, 'order.payment-confirmed',
			'payment_confirmed'), (4, 'order.validating', 'validating'),
			(5, 'order.provisioning-started', 'provisioning'), (6, 'order.item-provisioning', 'provisioning'),
			(7, 'order.item-provisioning', 'provisioning'),
			(8, 'order.item-active', 'provisioning'), (9, 'order.partially-fulfilled', 'partially_fulfilled'),
			(10, 'order.item-active', 'partially_fulfilled'),
			(11, 'order.service-delivered', 'partially_fulfilled'), (12, 'order.fulfilled', 'fulfilled')) s (seq, type, state)
		ORDER BY s.seq, o.id RETURNING tenant_id, order_id, seq)
	INSERT INTO outbox (tenant_id, order_id, seq) SELECT tenant_id, order_id, seq FROM told ORDER BY seq, order_id`
