package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

// batchInbox is an inbox that applies many events in one transaction. If failAll returns an error, none
// of them is applied.
type batchInbox struct {
	*inbox
	mu      sync.Mutex
	sizes   []int // guarded by mu
	failAll func(evs []event.Event) error
	parked  []string // guarded by mu
}

func (b *batchInbox) applyAll(ctx context.Context, evs []event.Event) (app.Handled, error) {
	var h app.Handled
	if b.failAll != nil {
		if err := b.failAll(evs); err != nil {
			return h, err
		}
	}
	b.mu.Lock()
	b.sizes = append(b.sizes, len(evs))
	b.mu.Unlock()
	for _, ev := range evs {
		switch err := b.apply(ctx, ev); {
		case errors.Is(err, app.ErrDuplicate):
			h.Duplicates++
		case err != nil:
			return h, err
		default:
			h.Applied++
		}
	}
	return h, nil
}

func (b *batchInbox) park(_ context.Context, p app.Poison) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parked = append(b.parked, name(p.Event.Order, p.Event.Seq))
	return nil
}

func batchConsumer(t testing.TB, b *kafkatest.Broker, in *batchInbox, pause kafka.Pause) *kafka.Consumer {
	t.Helper()
	return kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: in, Clock: fixedClock{at},
		Pause: pause, Random: func() float64 { return 0.5 }, Log: logger(t),
	}, kafka.Subscription{
		Consumer: event.Portal, Group: "batches-" + b.Names.Events, Apply: in.apply, ApplyAll: in.applyAll, Park: in.park,
	})
}

func wantEachInOrder(t *testing.T, in *inbox, orders, seqs int) {
	t.Helper()
	for o := range orders {
		var want []string
		for seq := 1; seq <= seqs; seq++ {
			want = append(want, name(orderID(o), seq))
		}
		if diff := cmp.Diff(want, in.of(orderID(o))); diff != "" {
			t.Errorf("order %d (-want +got):\n%s", o, diff)
		}
	}
}

func TestEventsOfABatchAreAppliedTogetherEachOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), &batchInbox{inbox: newInbox()}
	for range 2 {
		for seq := 1; seq <= 20; seq++ {
			var recs []*kgo.Record
			for o := range 24 {
				recs = append(recs, message(b, record(t, orderID(o), seq, order.EvUpdated)))
			}
			produce(t, b, nil, recs...)
		}
	}
	c := batchConsumer(t, b, in, kafka.Wait)
	start(t, run(c))
	kafkatest.Eventually(t, "all handled", func() bool { s := c.Status(); return s.Applied+s.Duplicates == 960 })
	wantEachInOrder(t, in.inbox, 24, 20)
	if s := c.Status(); s.Applied != 480 || s.Duplicates != 480 {
		t.Errorf("%d applied, %d duplicates; want 480 of each", s.Applied, s.Duplicates)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	// All records were on the 12 partitions before: a batch or two for each partition.
	if len(in.sizes) > 36 {
		t.Errorf("%d transactions for 960 events: %v", len(in.sizes), in.sizes)
	}
}

func TestOnlyThePoisonMessageOfABatchIsParked(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), &batchInbox{inbox: newInbox()}
	poison := orderID(3)
	broken := errors.New("constraint violated")
	in.failAll = func(evs []event.Event) error {
		for _, ev := range evs {
			if ev.Order == poison && ev.Seq == 2 {
				return broken
			}
		}
		return nil
	}
	in.fail = func(ev event.Event, _ int) error {
		if ev.Order == poison && ev.Seq == 2 {
			return broken
		}
		return nil
	}
	for o := range 24 {
		produce(t, b, nil, message(b, record(t, orderID(o), 1, order.EvCreated)),
			message(b, record(t, orderID(o), 2, order.EvUpdated)))
	}
	c := batchConsumer(t, b, in, (&waits{}).pause)
	start(t, run(c))
	kafkatest.Eventually(t, "47 applied, one parked", func() bool {
		s := c.Status()
		return in.count() == 47 && s.Parked == 1
	})
	in.mu.Lock()
	defer in.mu.Unlock()
	if diff := cmp.Diff([]string{name(poison, 2)}, in.parked); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
	if s := c.Status(); s.Retried != 5 {
		t.Errorf("%d retries, want the five of the poison message", s.Retried)
	}
}

func TestARecordThatTheGuardRefusesDividesItsBatch(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), &batchInbox{inbox: newInbox()}
	forged := message(b, record(t, orderID(1), 2, order.EvUpdated))
	forged.Headers = nil
	produce(t, b, nil, message(b, record(t, orderID(1), 1, order.EvCreated)), forged,
		message(b, record(t, orderID(1), 2, order.EvUpdated)))
	c := batchConsumer(t, b, in, kafka.Wait)
	start(t, run(c))
	kafkatest.Eventually(t, "both applied", func() bool { return in.count() == 2 })
	if diff := cmp.Diff([]string{name(orderID(1), 1), name(orderID(1), 2)}, in.of(orderID(1))); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if s := c.Status(); s.Refused != 1 {
		t.Errorf("%d refused, want the forged one", s.Refused)
	}
}

func TestABatchWaitsForAnUnavailableDatabase(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), &batchInbox{inbox: newInbox()}
	calls := 0
	in.failAll = func([]event.Event) error {
		if calls++; calls <= 5 {
			return fmt.Errorf("begin: %w", fault.New(fault.KindUnavailable, "database-away", "The database is away."))
		}
		return nil
	}
	produce(t, b, nil, message(b, record(t, orderID(1), 1, order.EvCreated)))
	c := batchConsumer(t, b, in, (&waits{}).pause)
	start(t, run(c))
	kafkatest.Eventually(t, "applied", func() bool { return in.count() == 1 })
	if s := c.Status(); s.Retried != 0 || s.Applied != 1 {
		t.Errorf("%d retries used up, %d applied; want 0 and 1", s.Retried, s.Applied)
	}
}

func TestABatchKilledBeforeItsOffsetsIsRepeatedWithoutEffect(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), &batchInbox{inbox: newInbox()}
	for seq := 1; seq <= 10; seq++ {
		produce(t, b, nil, message(b, record(t, orderID(1), seq, order.EvUpdated)))
	}
	// The database has the batch; the process dies before it commits an offset.
	ctx, kill := context.WithCancel(t.Context())
	killed := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: in, Clock: fixedClock{at},
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(t),
	}, kafka.Subscription{
		Consumer: event.Portal, Group: "batches-" + b.Names.Events, Apply: in.apply,
		ApplyAll: func(apply context.Context, evs []event.Event) (app.Handled, error) {
			if _, err := in.applyAll(apply, evs); err != nil {
				return app.Handled{}, err
			}
			kill()
			return app.Handled{}, ctx.Err()
		},
	})
	if err := killed.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run() = %v, want context.Canceled", err)
	}
	before := in.count()
	c := batchConsumer(t, b, in, kafka.Wait)
	start(t, run(c))
	kafkatest.Eventually(t, "all handled again", func() bool { s := c.Status(); return s.Applied+s.Duplicates == 10 })
	if s := c.Status(); before == 0 || s.Duplicates != int64(before) || in.count() != 10 {
		t.Errorf("%d applied before the kill; then %d duplicates, and %d applied in all; want as many duplicates, and 10",
			before, s.Duplicates, in.count())
	}
}

// Members join and leave the group while events come in: partitions change their owner in the middle of a
// batch.
func TestBatchesOfAGroupWhoseMembersComeAndGoApplyEachEventOnce(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), &batchInbox{inbox: newInbox()}
	join := func() (leave func()) { return start(t, run(batchConsumer(t, b, in, kafka.Wait))) }
	defer join()()
	for seq := 1; seq <= 6; seq++ {
		var leave func()
		if seq%2 == 1 {
			leave = join()
		}
		for o := range 24 {
			produce(t, b, nil, message(b, record(t, orderID(o), seq, order.EvUpdated)))
		}
		if leave != nil {
			leave()
		}
	}
	kafkatest.Eventually(t, "all applied", func() bool { return in.count() == 24*6 })
	wantEachInOrder(t, in.inbox, 24, 6)
}
