package kafka_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const loginWorker = "platforma_worker"

// add writes one event of a type.
func (s *store) add(t testing.TB, o order.ID, typ event.Type) {
	t.Helper()
	err := s.api.InTenant(t.Context(), s.org.ID, app.With{}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(t.Context(), o, app.Also{})
		if err != nil {
			return err
		}
		agg.Order.Version++
		s.record(agg, typ, tx.Now())
		tx.Save(agg)
		return nil
	})
	if err != nil {
		t.Fatalf("add %s: %v", typ, err)
	}
}

// portal is the product's consumer of the webhooks, and counts its calls. What it has applied, and in which
// order, is read from the database: of two concurrent calls, the one that commits first may return last.
type portal struct {
	*kafka.Consumer
	useCases *app.App // of the worker
	applied  func(consumer string, o order.ID) []int

	mu    sync.Mutex
	calls map[eventKey]int // guarded by mu
}

// newPortal makes a portal on a store's real inbox.
func newPortal(t testing.TB, b *kafkatest.Broker, s *store, pause kafka.Pause) *portal {
	t.Helper()
	worker := s.Worker(t)
	p := &portal{applied: s.WatchCheckpoints(t), calls: map[eventKey]int{}}
	p.useCases = app.New(app.Deps{
		Store: worker, Tasks: worker, Clock: s.Clock, NewID: s.Clock.NewID, Random: rand.Reader, Log: logger(t),
	})
	p.useCases.Handlers = map[string]app.ConsumerHandler{
		"portal-webhooks": {Name: "portal-webhooks", As: event.Portal, Apply: p.apply},
	}
	p.Consumer = kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.Cluster, Refusals: worker, Clock: s.Clock, Pause: pause,
		Random: func() float64 { return 0.5 }, Log: logger(t),
	}, kafka.Subscription{
		Consumer: event.Portal, Group: b.Names.Group("portal-webhooks"), Name: "portal-webhooks",
		Apply: p.apply, Park: p.useCases.ParkEvent,
	})
	return p
}

func (p *portal) apply(ctx context.Context, ev event.Event) error {
	err := p.useCases.QueueWebhookDeliveries(ctx, ev)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[eventKey{ev.Order, ev.Seq}]++
	return err
}

func (p *portal) called(o order.ID, seq int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[eventKey{o, seq}]
}

// of lists the seqs of an order's events that were applied.
func (p *portal) of(o order.ID) []int { return p.applied("portal-webhooks", o) }

// wantParkedOnce requires that a consumer's dead letter topic has so many records, and returns them.
func wantParkedOnce(t testing.TB, b *kafkatest.Broker, consumer string, want int) []*kgo.Record {
	t.Helper()
	got := readAll(t, b, b.Names.Parked(consumer), 1, kgo.ReadCommitted())
	if len(got) != want {
		t.Fatalf("%d records on %s, want %d", len(got), b.Names.Parked(consumer), want)
	}
	return got
}

func headerMap(r *kgo.Record) map[string]string {
	all := map[string]string{}
	for _, h := range r.Headers {
		all[h.Key] = string(h.Value)
	}
	return all
}

func TestAPoisonMessageIsTriedSixTimesAndParkedWhileAllOtherOrdersGoOn(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 13)
	poisoned := s.orders[0]
	heal := s.Poison(t, "portal-webhooks", string(order.EvItemRetrying))
	w := &waits{}
	p := newPortal(t, b, s, w.pause)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	for _, o := range s.orders {
		s.add(t, o, order.EvUpdated)
	}
	s.add(t, poisoned, order.EvItemRetrying)
	for _, o := range s.orders {
		s.add(t, o, order.EvItemProvisioning)
		s.add(t, o, order.EvUpdated)
	}
	start(t, run(p.Consumer))
	kafkatest.Eventually(t, "two events are blocked behind the parked one, and all others are applied", func() bool {
		st := p.Status()
		return st.Parked == 1 && st.Blocked == 2 && st.Applied == 2+12*4 && st.Lag == 0
	})
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	// With 5 % of jitter: Random returns the middle of its range.
	if diff := cmp.Diff([]time.Duration{ms(2100), ms(4200), ms(8400), ms(16800), ms(31500)}, w.list()); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if n := p.called(poisoned, 3); n != 6 {
		t.Errorf("the poison message was tried %d times, want 6", n)
	}
	if diff := cmp.Diff([]int{1, 2}, p.of(poisoned)); diff != "" {
		t.Errorf("applied of the poisoned order (-want +got):\n%s", diff)
	}
	for _, o := range s.orders[1:] {
		if diff := cmp.Diff([]int{1, 2, 3, 4}, p.of(o)); diff != "" {
			t.Errorf("applied of another order (-want +got):\n%s", diff)
		}
	}
	s.waitDrained(t)
	wantOriginalRecord(t, b, poisoned)
	deadLetter := onlyDeadLetter(t, s)
	if deadLetter.Event.Blocked != 2 || deadLetter.Attempts != 6 || deadLetter.State != app.DeadLetterParked ||
		deadLetter.PayloadSHA256 == [32]byte{} {
		t.Errorf("the dead letter %+v, want it parked after 6 attempts with 2 events blocked behind it", deadLetter)
	}

	heal()
	s.redriveTwice(t, p, deadLetter)
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5}, p.of(poisoned)); diff != "" {
		t.Errorf("applied once it was redriven (-want +got):\n%s", diff)
	}
	s.add(t, poisoned, order.EvUpdated)
	kafkatest.Eventually(t, "the order's events are applied again", func() bool { return len(p.of(poisoned)) == 6 })
	wantParkedOnce(t, b, "portal-webhooks", 1)
	if n := s.count(t, `SELECT count(*) FROM inbox
		WHERE consumer = 'portal-webhooks' AND (parked_seq IS NOT NULL OR blocked <> 0)`); n != 0 {
		t.Errorf("%d checkpoints are still parked", n)
	}
}

// wantOriginalRecord compares the record on the dead letter topic with that on the topic of events.
func wantOriginalRecord(t testing.TB, b *kafkatest.Broker, o order.ID) {
	t.Helper()
	var original *kgo.Record
	for _, r := range readAll(t, b, b.Names.Events, kafka.EventPartitions, kgo.ReadCommitted()) {
		if ev := decode(t, r); ev.Order == o && ev.Type == order.EvItemRetrying {
			original = r
		}
	}
	parked := wantParkedOnce(t, b, "portal-webhooks", 1)[0]
	if string(parked.Key) != string(original.Key) || string(parked.Value) != string(original.Value) {
		t.Errorf("key %s and value %s, want %s and %s", parked.Key, parked.Value, original.Key, original.Value)
	}
	want, got := headerMap(original), headerMap(parked)
	want["dlq.original-topic"] = b.Names.Events
	want["dlq.original-partition"] = strconv.Itoa(int(original.Partition))
	want["dlq.original-offset"] = strconv.FormatInt(original.Offset, 10)
	want["dlq.original-timestamp"] = strconv.FormatInt(original.Timestamp.UnixMilli(), 10)
	want["dlq.consumer-group"] = b.Names.Events + ".portal-webhooks"
	want["dlq.attempts"] = "6"
	want["dlq.error-class"] = "retryable"
	want["dlq.error-message"] = "internal"
	want["dlq.first-failed-at"] = got["dlq.first-failed-at"]
	if _, err := time.Parse(time.RFC3339Nano, got["dlq.first-failed-at"]); err != nil {
		t.Errorf("first failed: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// onlyDeadLetter returns the one open dead letter.
func onlyDeadLetter(t testing.TB, s *store) app.DeadLetter {
	t.Helper()
	open := app.DeadLetterOpen
	page, err := s.api.DeadLetters(t.Context(), s.org.ID, app.DeadLetterFilter{State: &open, Limit: 10})
	if err != nil || len(page.Data) != 1 {
		t.Fatalf("open dead letters: %+v, %v; want one", page.Data, err)
	}
	return page.Data[0]
}

// redriveTwice requests a redrive as an operator does, and lets two workers do it at the same time.
func (s *store) redriveTwice(t testing.TB, p *portal, l app.DeadLetter) {
	t.Helper()
	desk := app.New(app.Deps{Store: s.api, Clock: s.Clock, NewID: s.Clock.NewID, Random: rand.Reader, Log: logger(t)})
	operator := app.Caller{Actor: s.org.Actor(tenant.Operator)}
	if _, err := desk.RedriveDeadLetter(t.Context(), operator, l.ID, "fixed"); err != nil {
		t.Fatalf("RedriveDeadLetter() = %v", err)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			kafkatest.Eventually(t, "the redrive has ended", func() bool {
				wait, err := p.useCases.RedriveEvent(t.Context(), s.org.ID, l.Task)
				if err != nil && !errors.Is(err, app.ErrFenced) {
					t.Errorf("RedriveEvent() = %v", err)
				}
				return err == nil && wait < 0
			})
		})
	}
	both.Wait()
	after, err := s.api.DeadLetter(t.Context(), s.org.ID, l.ID)
	if err != nil || after.State != app.DeadLetterRedriven {
		t.Errorf("the dead letter is %s (%v), want redriven", after.State, err)
	}
}

// The consumer's process ends after it has parked an event, and the relays that publish it are killed one
// after the other.
func TestRelayKilledAfterAnEventWasParkedPublishesItOnce(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 1)
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.waitDrained(t)
	stop()
	p := newPortal(t, b, s, (&waits{}).pause)
	recs, err := s.api.Events(t.Context(), s.org.ID, s.orders[0], 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := event.FromRecord(recs[0])
	if err != nil {
		t.Fatal(err)
	}
	ev.TopicID, ev.LoggedAt = [16]byte{1}, s.Clock.Now()
	poison := app.Poison{
		Consumer: "portal-webhooks", Event: ev, Attempts: 6, FirstFailedAt: s.Clock.Now(),
		Err: fault.New(fault.KindConflict, fault.CodeIllegalTransition, "It cannot."),
	}
	if err := p.useCases.ParkEvent(t.Context(), poison); err != nil {
		t.Fatalf("ParkEvent() = %v", err)
	}
	if err := p.useCases.ParkEvent(t.Context(), poison); !errors.Is(err, app.ErrDuplicate) {
		t.Errorf("ParkEvent() a second time = %v, want ErrDuplicate", err)
	}
	for _, point := range []string{afterRead, afterCommit} {
		waitKilled(t, spawn(t, relaySpec{Cluster: b.Cluster, Database: s.URL(loginRelay), Point: point}), point)
	}
	start(t, kafka.NewRelay(b.Cluster, 0, "last", s.Relay(t), logger(t)).RunForever)
	s.waitDrained(t)
	got := headerMap(wantParkedOnce(t, b, "portal-webhooks", 1)[0])
	if got["dlq.error-class"] != "invalid" || got["dlq.error-message"] != "illegal-transition" {
		t.Errorf("the failure is %s: %s", got["dlq.error-class"], got["dlq.error-message"])
	}
	if sum := sha256.Sum256(ev.Data); onlyDeadLetter(t, s).PayloadSHA256 != sum {
		t.Error("the dead letter's hash is not that of the event's data")
	}
}

// Every partition waits for its first retry when a second consumer takes over half of them.
func TestRebalanceDuringARetryWaitAppliesEachEventOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	fixed := make(chan struct{})
	in.fail = func(ev event.Event, _ int) error {
		select {
		case <-fixed:
			return nil
		default:
		}
		if ev.Seq == 1 {
			return errors.New("not yet")
		}
		return nil
	}
	wait := func(ctx context.Context, _ time.Duration) error {
		select {
		case <-fixed:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	waitingConsumer := func() *kafka.Consumer {
		return kafka.NewConsumer(kafka.ConsumerDeps{
			Cluster: b.Cluster, Refusals: in, Clock: fixedClock{at}, Pause: wait,
			Random: func() float64 { return 0 }, Log: logger(t),
		}, kafka.Subscription{
			Consumer: event.Portal, Group: b.Names.Group("portal-webhooks"), Name: "portal-webhooks",
			Apply: in.apply,
			Park: func(context.Context, app.Poison) error {
				t.Error("parked, though it was waiting")
				return nil
			},
		})
	}
	var round []*kgo.Record
	for seq := 1; seq <= 3; seq++ {
		for o := range 60 {
			round = append(round, message(b, record(t, orderID(o), seq, order.EvUpdated)))
		}
	}
	produce(t, b, nil, round...)
	first, second := waitingConsumer(), waitingConsumer()
	start(t, run(first))
	kafkatest.Eventually(t, "every partition waits", func() bool {
		return first.Status().Retried == kafka.EventPartitions
	})
	start(t, run(second))
	kafkatest.Eventually(t, "some wait at the second", func() bool { return second.Status().Retried > 0 })
	close(fixed)
	kafkatest.Eventually(t, "all applied", func() bool { return in.count() == 180 })
	for o := range 60 {
		want := []string{name(orderID(o), 1), name(orderID(o), 2), name(orderID(o), 3)}
		if diff := cmp.Diff(want, in.of(orderID(o))); diff != "" {
			t.Errorf("order %d (-want +got):\n%s", o, diff)
		}
	}
	if second.Status().Applied == 0 {
		t.Error("the second consumer applied nothing: there was no rebalance during the wait")
	}
}
