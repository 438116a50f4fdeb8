package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

type fixedClock struct{ now time.Time }

func (c fixedClock) Now() time.Time { return c.now }
func (c fixedClock) Speed() int     { return 1 }

// inbox is a consumer's database: the highest seq that was applied per order, and what was applied. An
// error of fail comes in place of an event's effect.
type inbox struct {
	mu      sync.Mutex
	seq     map[order.ID]int // guarded by mu, as all below
	applied []string
	calls   int
	refused []app.Refusal
	fail    func(ev event.Event, call int) error
}

func newInbox() *inbox { return &inbox{seq: map[order.ID]int{}} }

func name(o order.ID, seq int) string { return fmt.Sprintf("%s/%d", o.String()[33:], seq) }

func (i *inbox) apply(_ context.Context, ev event.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls++
	if i.fail != nil {
		if err := i.fail(ev, i.calls); err != nil {
			return err
		}
	}
	if i.seq[ev.Order] >= ev.Seq {
		return app.ErrDuplicate
	}
	i.seq[ev.Order] = ev.Seq
	i.applied = append(i.applied, name(ev.Order, ev.Seq))
	return nil
}

func (i *inbox) Refuse(_ context.Context, r app.Refusal) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refused = append(i.refused, r)
	return nil
}

func (i *inbox) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.applied)
}

func (i *inbox) of(o order.ID) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var names []string
	for _, n := range i.applied {
		if strings.HasPrefix(n, o.String()[33:]+"/") {
			names = append(names, n)
		}
	}
	return names
}

// waits is a Pause that does not wait and keeps the durations. After limit calls (0: never) it blocks
// until the context ends.
type waits struct {
	mu    sync.Mutex
	seen  []time.Duration
	limit int
}

func (w *waits) pause(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	w.seen = append(w.seen, d)
	full := w.limit > 0 && len(w.seen) >= w.limit
	w.mu.Unlock()
	if full {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (w *waits) list() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Duration(nil), w.seen...)
}

// consumer makes a consumer in a group of the test's own.
func consumer(t testing.TB, b *kafkatest.Broker, in *inbox, w *waits, as event.Consumer) *kafka.Consumer {
	t.Helper()
	return kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: in, Clock: fixedClock{at}, Pause: w.pause, Random: func() float64 { return 0.5 },
		Log: logger(t),
	}, kafka.Subscription{Consumer: as, Group: string(as) + "-" + b.Names.Events, Apply: in.apply})
}

func run(c *kafka.Consumer) func(context.Context) {
	return func(ctx context.Context) { _ = c.Run(ctx) }
}

// message is the record of an event as the relay publishes it.
func message(b *kafkatest.Broker, r event.Record) *kgo.Record {
	m := event.Encode(r)
	rec := &kgo.Record{Topic: b.Names.Events, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return rec
}

func TestEachEventIsAppliedOnceInOrderThoughItComesTwice(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	c := consumer(t, b, in, &waits{}, event.Portal)
	start(t, run(c))
	for range 2 {
		for seq := 1; seq <= 5; seq++ {
			for o := range 10 {
				produce(t, b, nil, message(b, record(t, orderID(o), seq, order.EvUpdated)))
			}
		}
	}
	kafkatest.Eventually(t, "all handled", func() bool { s := c.Status(); return s.Applied+s.Duplicates == 100 })
	for o := range 10 {
		want := []string{}
		for seq := 1; seq <= 5; seq++ {
			want = append(want, name(orderID(o), seq))
		}
		if diff := cmp.Diff(want, in.of(orderID(o))); diff != "" {
			t.Errorf("order %d (-want +got):\n%s", o, diff)
		}
	}
	want := app.ConsumerStatus{Group: "portal-" + b.Names.Events, Name: "portal", Applied: 50, Duplicates: 50}
	kafkatest.Eventually(t, "caught up", func() bool { return c.Status().Lag == 0 })
	if diff := cmp.Diff(want, c.Status()); diff != "" {
		t.Errorf("Status() (-want +got):\n%s", diff)
	}
}

func TestConsumerAppliesOnlyWhatIsRoutedToIt(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	produce(t, b, nil, message(b, record(t, orderID(1), 1, order.EvCreated)),
		message(b, record(t, orderID(1), 2, order.EvPaymentConfirmed)),
		message(b, record(t, orderID(1), 3, order.EvFulfilled)),
		message(b, record(t, orderID(1), 4, order.EvCancelled)))
	start(t, run(consumer(t, b, in, &waits{}, event.Provision)))
	kafkatest.Eventually(t, "cancelled event applied", func() bool { return in.count() == 2 })
	if diff := cmp.Diff([]string{name(orderID(1), 2), name(orderID(1), 4)}, in.of(orderID(1))); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
}

func TestConsumerGoesOnWhereItsPredecessorCommitted(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	produce(t, b, nil, message(b, record(t, orderID(1), 1, order.EvCreated)),
		message(b, record(t, orderID(1), 2, order.EvUpdated)))
	first := consumer(t, b, in, &waits{}, event.Portal)
	stop := start(t, run(first))
	waitCommitted(t, b, "portal-"+b.Names.Events, 2)
	stop()
	produce(t, b, nil, message(b, record(t, orderID(1), 3, order.EvSubmitted)))
	second := consumer(t, b, in, &waits{}, event.Portal)
	start(t, run(second))
	kafkatest.Eventually(t, "third event applied", func() bool { return in.count() == 3 })
	if s := second.Status(); s.Applied != 1 || s.Duplicates != 0 {
		t.Errorf("successor: %d applied, %d duplicates; want 1 and 0", s.Applied, s.Duplicates)
	}
}

// waitCommitted waits until the sum of a group's offsets is want.
func waitCommitted(t testing.TB, b *kafkatest.Broker, group string, want int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	kafkatest.Eventually(t, "offsets committed", func() bool {
		offsets, err := kadm.NewClient(cl).FetchOffsets(t.Context(), group)
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { sum += max(0, o.At) })
		return err == nil && sum == want
	})
}

func TestConsumerKilledBetweenDatabaseAndOffsetRepeatsWithoutEffect(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	produce(t, b, nil, message(b, record(t, orderID(1), 1, order.EvCreated)),
		message(b, record(t, orderID(1), 2, order.EvUpdated)))
	// The first event is committed to the database. The effect of the second one never ends, so no offset is
	// committed.
	reached := make(chan struct{})
	killed := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: in, Clock: fixedClock{at},
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(t),
	}, kafka.Subscription{
		Consumer: event.Portal, Group: "portal-" + b.Names.Events,
		Apply: func(ctx context.Context, ev event.Event) error {
			if ev.Seq == 2 {
				close(reached)
				<-ctx.Done()
				return ctx.Err()
			}
			return in.apply(ctx, ev)
		},
	})
	stop := start(t, run(killed))
	<-reached
	stop()
	c := consumer(t, b, in, &waits{}, event.Portal)
	start(t, run(c))
	kafkatest.Eventually(t, "second event applied", func() bool { return in.count() == 2 })
	if s := c.Status(); s.Applied != 1 || s.Duplicates != 1 {
		t.Errorf("successor: %d applied, %d duplicates; want 1 and 1", s.Applied, s.Duplicates)
	}
}

func TestFailingEventIsRetriedByTheScheduleAndThenStopsItsPartition(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	poison, healed := orderID(1), false
	in.fail = func(ev event.Event, _ int) error {
		if ev.Order == poison && ev.Seq == 1 && !healed {
			return errors.New("constraint violated")
		}
		return nil
	}
	w := &waits{}
	seven := make(chan struct{}) // closed after the seventh wait
	var once sync.Once
	pause := func(ctx context.Context, d time.Duration) error {
		if err := w.pause(ctx, d); err != nil {
			return err
		}
		if len(w.list()) == 7 {
			once.Do(func() { close(seven) })
			in.mu.Lock()
			healed = true
			in.mu.Unlock()
		}
		return nil
	}
	for o := range 24 {
		produce(t, b, nil, message(b, record(t, orderID(o), 1, order.EvCreated)),
			message(b, record(t, orderID(o), 2, order.EvUpdated)))
	}
	var statusWhileStopped app.ConsumerStatus
	var c *kafka.Consumer
	stoppedPause := func(ctx context.Context, d time.Duration) error {
		if len(w.list()) == 6 { // the event was tried six times; the partition has stopped
			kafkatest.Eventually(t, "other partitions go on", func() bool { return in.count() >= 30 })
			statusWhileStopped = c.Status()
		}
		return pause(ctx, d)
	}
	c = kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: in, Clock: fixedClock{at}, Pause: stoppedPause,
		Random: func() float64 { return 0.5 }, Log: logger(t),
	}, kafka.Subscription{Consumer: event.Portal, Group: "portal-" + b.Names.Events, Apply: in.apply})
	start(t, run(c))
	<-seven
	kafkatest.Eventually(t, "all applied once it can be", func() bool { return in.count() == 48 })
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	// With 5 % of jitter: Random returns the middle of its range.
	want := []time.Duration{ms(2100), ms(4200), ms(8400), ms(16800), ms(31500), ms(31500), ms(31500)}
	if diff := cmp.Diff(want, w.list()); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{name(poison, 1), name(poison, 2)}, in.of(poison)); diff != "" {
		t.Errorf("order behind its failing event (-want +got):\n%s", diff)
	}
	if statusWhileStopped.Stopped != 1 || statusWhileStopped.Retried != 5 {
		t.Errorf("while it waits: %d partitions stopped, %d retries; want 1 and 5",
			statusWhileStopped.Stopped, statusWhileStopped.Retried)
	}
	if s := c.Status(); s.Stopped != 0 {
		t.Errorf("%d partitions still stopped", s.Stopped)
	}
}

func TestUnavailableDatabaseUsesUpNoRetry(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	in.fail = func(_ event.Event, call int) error {
		if call <= 20 {
			return fmt.Errorf("begin: %w", fault.New(fault.KindUnavailable, "database-away", "The database is away."))
		}
		return nil
	}
	produce(t, b, nil, message(b, record(t, orderID(1), 1, order.EvCreated)))
	w := &waits{}
	c := consumer(t, b, in, w, event.Portal)
	start(t, run(c))
	kafkatest.Eventually(t, "applied", func() bool { return in.count() == 1 })
	if s := c.Status(); s.Retried != 0 {
		t.Errorf("%d retries were used up", s.Retried)
	}
	if got := len(w.list()); got != 20 {
		t.Errorf("%d waits, want 20 of a second", got)
	}
}

func TestRecordThatCannotBeTrustedIsRefusedWithoutEffect(t *testing.T) {
	t.Parallel()
	other := "01900000-0000-7000-8000-00000000000b"
	change := func(key, value string) func(*kgo.Record) {
		return func(r *kgo.Record) {
			for i := range r.Headers {
				if r.Headers[i].Key == key {
					r.Headers[i].Value = []byte(value)
				}
			}
		}
	}
	drop := func(key string) func(*kgo.Record) {
		return func(r *kgo.Record) {
			for i := range r.Headers {
				if r.Headers[i].Key == key {
					r.Headers = append(r.Headers[:i], r.Headers[i+1:]...)
					return
				}
			}
		}
	}
	for want, spoil := range map[string]func(*kgo.Record){
		"tenant-missing":   drop("ce_tenantid"),
		"tenant-malformed": change("ce_tenantid", "all-of-them\x00\xff"),
		"tenant-mismatch":  change("ce_tenantid", other),
		"subject-mismatch": func(r *kgo.Record) { change("ce_subject", other)(r); change("ce_partitionkey", other)(r) },
		"unknown-type":     change("ce_type", "order.exploded"),
		"undecodable":      func(r *kgo.Record) { r.Value = []byte("{") },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			b, in := kafkatest.New(t), newInbox()
			bad := message(b, record(t, orderID(1), 1, order.EvCreated))
			spoil(bad)
			produce(t, b, nil, bad, message(b, record(t, orderID(1), 2, order.EvUpdated)))
			c := consumer(t, b, in, &waits{}, event.Portal)
			start(t, run(c))
			kafkatest.Eventually(t, "the event after it is applied", func() bool { return in.count() == 1 })
			if diff := cmp.Diff([]string{name(orderID(1), 2)}, in.of(orderID(1))); diff != "" {
				t.Errorf("applied (-want +got):\n%s", diff)
			}
			if len(in.refused) != 1 {
				t.Fatalf("%d records refused, want 1", len(in.refused))
			}
			r := in.refused[0]
			if r.Code != want || r.TopicID == [16]byte{} || r.Offset != bad.Offset || r.Partition != bad.Partition {
				t.Errorf("refused as %+v, want %s at %d/%d", r, want, bad.Partition, bad.Offset)
			}
			if got := r.Headers["ce_tenantid"]; want == "tenant-malformed" && got != "all-of-them\uFFFD\uFFFD" {
				t.Errorf("header kept as %q", got)
			}
			if s := c.Status(); s.Refused != 1 || s.Retried != 0 {
				t.Errorf("status %+v, want one refusal and no retry", s)
			}
		})
	}
}

func TestForgedPairOfTenantAndOrderIsRefusedByTheDatabase(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	in.fail = func(ev event.Event, _ int) error {
		if ev.Order == orderID(1) {
			return fmt.Errorf("lock order %s: %w", ev.Order, fault.Absent()) // row-level security hides it
		}
		return nil
	}
	produce(t, b, nil, message(b, record(t, orderID(1), 1, order.EvCreated)))
	c := consumer(t, b, in, &waits{}, event.Portal)
	start(t, run(c))
	kafkatest.Eventually(t, "refused", func() bool { return c.Status().Refused == 1 })
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.refused[0].Code != "tenant-mismatch" || in.calls != 1 {
		t.Errorf("refused as %s after %d calls, want tenant-mismatch after 1", in.refused[0].Code, in.calls)
	}
}

func TestSecondConsumerTakesOverHalfAndNothingIsLostOrReordered(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	publish := func(seq int) {
		var round []*kgo.Record
		for o := range 40 {
			round = append(round, message(b, record(t, orderID(o), seq, order.EvUpdated)))
		}
		produce(t, b, nil, round...)
	}
	first, second := consumer(t, b, in, &waits{}, event.Portal), consumer(t, b, in, &waits{}, event.Portal)
	stopFirst := start(t, run(first))
	publish(1)
	kafkatest.Eventually(t, "first round applied", func() bool { return in.count() == 40 })
	start(t, run(second))
	seq := 2
	kafkatest.Eventually(t, "second consumer has its share", func() bool {
		publish(seq)
		seq++
		return second.Status().Applied > 0
	})
	stopFirst()
	publish(seq)
	want := 40 * seq
	kafkatest.Eventually(t, "all applied", func() bool { return in.count() == want })
	for o := range 40 {
		got := in.of(orderID(o))
		for i, n := range got {
			if n != name(orderID(o), i+1) {
				t.Fatalf("order %d applied as %v", o, got)
			}
		}
	}
}

func TestLiveReaderWakesForEventsFromNowOn(t *testing.T) {
	t.Parallel()
	b := kafkatest.New(t)
	produce(t, b, nil, message(b, record(t, orderID(1), 1, order.EvCreated)))
	woken := make(chan event.Event, 1000)
	start(t, func(ctx context.Context) {
		_ = kafka.NewLive(b.Cluster, logger(t)).Run(ctx, func(ev event.Event) { woken <- ev })
	})
	seq := 2
	var first event.Event
	for first.Seq == 0 { // until the reader has found the end
		produce(t, b, nil, message(b, record(t, orderID(1), seq, order.EvUpdated)))
		seq++
		select {
		case first = <-woken:
		case <-time.After(100 * time.Millisecond):
		}
	}
	if first.Seq < 2 {
		t.Errorf("woken by event %d, which was there before", first.Seq)
	}
	foreign := message(b, record(t, orderID(1), seq, order.EvUpdated))
	foreign.Headers = nil
	produce(t, b, nil, foreign, message(b, record(t, orderID(1), seq, order.EvFulfilled)))
	kafkatest.Eventually(t, "woken by the last event", func() bool {
		ev := <-woken
		return ev.Type == order.EvFulfilled && ev.Tenant == tenantA && ev.Order == orderID(1)
	})
}
