package kafka_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// start runs fn until the test, or the returned stop, ends it.
func start(t testing.TB, fn func(context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { fn(ctx) })
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return stop
}

func TestEachCommittedEventStandsOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemory()
	r := kafka.NewRelay(b.Cluster, 0, "test", m, logger(t))
	stop := start(t, r.RunForever)
	want := writers{orders: 20, writers: 16, each: 150, most: 40, slow: 20}.run(t, m)
	r.Notify()
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
	stop()
	wantOnceInOrder(t, events(t, b), want)
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemory()
	want := record(t, orderID(1), 1, order.EvPaymentConfirmed)
	want.Causation, want.Correlation = order1Event(7), order1Event(8)
	want.Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	m.commit(app.OutboxRow{ID: m.draw(), Record: want})
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
	stop()
	got := events(t, b)
	if len(got) != 1 {
		t.Fatalf("%d events on the topic, want 1", len(got))
	}
	if diff := cmp.Diff(want, got[0].Record); diff != "" {
		t.Errorf("record (-written +read):\n%s", diff)
	}
}

func order1Event(n byte) event.ID {
	ev := event.ID(orderID(1))
	ev[15] = n
	return ev
}

// The marked points of a relay's death.
const (
	afterLock   = "with the lock, its predecessor not yet fenced"
	takingOver  = "with its predecessor's last batch not yet compared"
	afterRead   = "after the read"
	openTx      = "with its transaction open"
	commitSent  = "with its commit sent, its answer not heard"
	afterCommit = "after the commit, before the delete"
	afterDelete = "after the delete"
)

var errKilled = errors.New("killed")

// killing kills the relay at a point, as often as left says. Dead, it calls nothing any more.
type killing struct {
	app.OutboxLease
	point string
	left  *atomic.Int32
	works bool // the first batch that is done is its predecessor's
}

func (k *killing) at(point string) error {
	if k.point == point && k.left.Add(-1) >= 0 {
		return errKilled
	}
	return nil
}

func (k *killing) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := k.OutboxLease.Pending(ctx, limit)
	if err == nil && len(rows) > 0 {
		err = k.at(afterRead)
	}
	return rows, err
}

func (k *killing) Done(ctx context.Context, p app.RelayPosition) error {
	before, after := afterCommit, afterDelete
	if !k.works {
		before, after = takingOver, ""
	}
	k.works = true
	if err := k.at(before); err != nil {
		return err
	}
	if err := k.OutboxLease.Done(ctx, p); err != nil {
		return err
	}
	return k.at(after)
}

// producing is told when events have been written inside a transaction.
type producing func(topic string)

func (p producing) OnProduceBatchWritten(_ kgo.BrokerMetadata, topic string, _ int32, _ kgo.ProduceBatchMetrics) {
	p(topic)
}

// acknowledged is told when the broker has taken a record of a transaction.
type acknowledged func(topic string)

func (a acknowledged) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if err == nil {
		a(r.Topic)
	}
}

// sending is told when a request has been sent.
type sending func(request string)

func (s sending) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		s(kmsg.NameForKey(key))
	}
}

func TestKilledRelayLosesDoublesAndInvertsNothing(t *testing.T) {
	t.Parallel()
	const kills = 10
	for _, point := range []string{takingOver, afterRead, openTx, commitSent, afterCommit, afterDelete} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b, m := kafkatest.New(t), newMemory()
			var left atomic.Int32
			left.Store(kills)
			out := faulty{m, func(l app.OutboxLease) app.OutboxLease { return &killing{l, point, &left, false} }}
			stop := start(t, func(ctx context.Context) {
				for ctx.Err() == nil {
					life, die := context.WithCancel(ctx)
					r := kafka.NewRelay(b.Cluster, 0, "test", out, logger(t))
					r.Hook(producing(func(topic string) {
						if topic == b.Names.Events && point == openTx && left.Add(-1) >= 0 {
							die()
						}
					}))
					r.Hook(sending(func(request string) {
						if request == "EndTxn" && point == commitSent && left.Add(-1) >= 0 {
							die()
						}
					}))
					err := r.Run(life)
					die()
					if errors.Is(err, app.ErrRelayPosition) {
						t.Errorf("false alarm: %v", err)
					}
				}
			})
			want := 0
			for round := 0; left.Load() > 0 || round == 0; round++ { // new events until all deaths were died
				want += writers{first: 22 * round, orders: 20, writers: 16, each: 50, most: 25, slow: 5}.run(t, m)
				kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
			}
			stop()
			wantOnceInOrder(t, events(t, b), want)
		})
	}
}

func TestBatchOfADeadRelayIsInvisibleToCommittedReaders(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemory()
	m.commit(app.OutboxRow{ID: m.draw(), Record: record(t, orderID(1), 1, order.EvCreated)})
	life, die := context.WithCancel(t.Context())
	r := kafka.NewRelay(b.Cluster, 0, "dies", m, logger(t))
	r.Hook(acknowledged(func(topic string) {
		if topic == b.Names.Events {
			die()
		}
	}))
	if err := r.Run(life); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run() = %v, want context.Canceled", err)
	}
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "successor", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
	stop()
	wantOnceInOrder(t, events(t, b), 1)
	dirty := readAll(t, b, b.Names.Events, kafka.EventPartitions, kgo.ReadUncommitted())
	if len(dirty) != 2 {
		t.Errorf("read_uncommitted sees %d records, want the aborted one and the committed one", len(dirty))
	}
}

func TestRelayStopsWhenTopicAndDatabaseDisagree(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(m *memory){
		"database set back": func(m *memory) { m.noted.Batch -= 2 },
		"another topic":     func(m *memory) { m.noted.Batch += 40 },
		"rebuilt elsewhere": func(m *memory) { m.noted.Epoch++ },
		"published row is back": func(m *memory) {
			m.rows[1] = app.OutboxRow{ID: 1, Record: record(t, orderID(0), 1, order.EvCreated)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, m := kafkatest.New(t), newMemory()
			r := kafka.NewRelay(b.Cluster, 0, "test", m, logger(t))
			stop := start(t, r.RunForever)
			for seq := 1; seq <= 3; seq++ { // three batches, of which the last is that of row 1 again
				row := app.OutboxRow{ID: 1, Record: record(t, orderID(0), seq, order.EvUpdated)}
				m.commit(row)
				kafkatest.Eventually(t, "published", func() bool { return m.left() == 0 })
			}
			stop()
			before := len(events(t, b))
			spoil(m)
			if err := r.Run(t.Context()); !errors.Is(err, app.ErrRelayPosition) {
				t.Errorf("Run() = %v, want ErrRelayPosition", err)
			}
			if after := len(events(t, b)); after != before {
				t.Errorf("%d events published all the same", after-before)
			}
		})
	}
}

func TestCommitWhoseAnswerIsLostStandsOnce(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemory()
	k := b.NeedEmbedded(t)
	if err := k.LoseAnswers("EndTxn", 3); err != nil {
		t.Fatal(err)
	}
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	want := writers{orders: 5, writers: 4, each: 20, most: 3}.run(t, m)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
	stop()
	wantOnceInOrder(t, events(t, b), want)
}

func TestCoordinatorThatIsBusyOrMovedCostsNothing(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int16{
		"CONCURRENT_TRANSACTIONS": 51, "NOT_COORDINATOR": 16, "COORDINATOR_NOT_AVAILABLE": 15,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, m := kafkatest.New(t), newMemory()
			k := b.NeedEmbedded(t)
			if _, err := k.Fault(faultOf(code)); err != nil {
				t.Fatal(err)
			}
			stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
			want := writers{orders: 5, writers: 4, each: 20, most: 3}.run(t, m)
			kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
			stop()
			wantOnceInOrder(t, events(t, b), want)
		})
	}
}

func TestRelayCatchesUpAfterTheBrokerWasAway(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemory()
	k := b.NeedEmbedded(t)
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	want := writers{orders: 20, writers: 4, each: 20}.run(t, m)
	if err := k.StopBroker(); err != nil {
		t.Fatal(err)
	}
	want += writers{first: 20, orders: 20, writers: 16, each: 50}.run(t, m)
	if err := k.StartBroker(); err != nil {
		t.Fatal(err)
	}
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
	stop()
	wantOnceInOrder(t, events(t, b), want)
}

func TestRelayEndsPromptlyWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemory()
	k := b.NeedEmbedded(t)
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	writers{orders: 1, writers: 1, each: 5}.run(t, m)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
	if err := k.StopBroker(); err != nil {
		t.Fatal(err)
	}
	writers{first: 1, orders: 1, writers: 1, each: 5}.run(t, m)
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	kafkatest.Eventually(t, "relay ended", func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if m.left() == 0 {
		t.Error("rows were deleted that no broker has")
	}
}

func TestDeadLettersGoToTheirOwnTopicWithoutPayload(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemory()
	letter := &app.DeadLetter{
		ID: [16]byte{1}, Order: orderID(1), Item: [16]byte{2}, Source: "step", Class: 6, Code: "step-failed",
		Detail: "not to travel", Step: "create", Attempts: 6,
		PayloadSHA256: [32]byte{0xab}, FirstFailedAt: at, At: at,
	}
	m.commit(app.OutboxRow{ID: m.draw(), Record: event.Record{Tenant: tenantA, Order: orderID(1)}, DeadLetter: letter})
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
	stop()
	got := readAll(t, b, b.Names.DeadLetters, 1, kgo.ReadCommitted())
	if len(got) != 1 {
		t.Fatalf("%d dead letters on the topic, want 1", len(got))
	}
	want :=
		`{"id":"01000000-0000-0000-0000-000000000000","tenant_id":"01900000-0000-7000-8000-00000000000a","order_id":"01900000-0000-7000-8000-000000000101",` +
			`"item_id":"02000000-0000-0000-0000-000000000000","source":"step","class":"retryable","code":"step-failed","step":"create","attempts":6,` +
			`"payload_sha256":"ab00000000000000000000000000000000000000000000000000000000000000","first_failed_at":"2026-03-02T09:30:00Z","at":"2026-03-02T09:30:00Z"}`
	if diff := cmp.Diff(want, string(got[0].Value)); diff != "" {
		t.Errorf("dead letter (-want +got):\n%s", diff)
	}
	headers := map[string]string{}
	for _, h := range got[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	wantHeaders := map[string]string{
		"ce_tenantid": "01900000-0000-7000-8000-00000000000a", "ce_subject": "01900000-0000-7000-8000-000000000101",
		"content-type": "application/json",
		"dlq.attempts": "6", "dlq.error-class": "retryable", "dlq.error-message": "step-failed",
		"dlq.first-failed-at": "2026-03-02T09:30:00Z",
	}
	if diff := cmp.Diff(wantHeaders, headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}
