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

func TestEachCommittedEventIsPublishedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	r := kafka.NewRelay(b.Cluster, 0, "test", m, logger(t))
	stop := start(t, r.RunForever)
	want := writers{orders: 20, writers: 16, each: 150, maxRows: 40, slow: 20}.run(t, m)
	r.Notify()
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
	stop()
	wantOnceInOrder(t, events(t, b), want)
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	want := record(t, orderID(1), 1, order.EvPaymentConfirmed)
	want.Causation, want.Correlation = order1Event(7), order1Event(8)
	want.Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	m.commit(app.OutboxRow{ID: m.nextID(), Record: want})
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
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

// The points at which tests kill a relay.
const (
	afterLock   = "with the lock, its predecessor not yet fenced"
	takingOver  = "with its predecessor's last batch not yet compared"
	afterRead   = "after the read"
	openTx      = "with its transaction open"
	commitSent  = "with its commit sent and not answered"
	afterCommit = "after the commit, before the delete"
	afterDelete = "after the delete"
)

var errKilled = errors.New("killed")

// failingLease ends the relay at a point with errKilled, as often as kills says.
type failingLease struct {
	app.OutboxLease
	point    string
	kills    *atomic.Int32 // still to come
	tookOver bool          // the predecessor's batch was finished; it is the first one
}

func (l *failingLease) at(point string) error {
	if l.point == point && l.kills.Add(-1) >= 0 {
		return errKilled
	}
	return nil
}

func (l *failingLease) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := l.OutboxLease.Pending(ctx, limit)
	if err == nil && len(rows) > 0 {
		err = l.at(afterRead)
	}
	return rows, err
}

func (l *failingLease) Done(ctx context.Context, p app.RelayPosition) error {
	before, after := afterCommit, afterDelete
	if !l.tookOver {
		before, after = takingOver, ""
	}
	l.tookOver = true
	if err := l.at(before); err != nil {
		return err
	}
	if err := l.OutboxLease.Done(ctx, p); err != nil {
		return err
	}
	return l.at(after)
}

// batchWrittenHook is called when records were written inside a transaction.
type batchWrittenHook func(topic string)

func (h batchWrittenHook) OnProduceBatchWritten(
	_ kgo.BrokerMetadata, topic string, _ int32, _ kgo.ProduceBatchMetrics,
) {
	h(topic)
}

// acknowledgedHook is called when the broker has acknowledged a record of a transaction.
type acknowledgedHook func(topic string)

func (h acknowledgedHook) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if err == nil {
		h(r.Topic)
	}
}

// requestSentHook is called when a request has been sent.
type requestSentHook func(request string)

func (h requestSentHook) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		h(kmsg.NameForKey(key))
	}
}

func TestKilledRelayLosesDuplicatesAndReordersNothing(t *testing.T) {
	t.Parallel()
	for _, point := range []string{takingOver, afterRead, openTx, commitSent, afterCommit, afterDelete} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b, m := kafkatest.New(t), newMemoryOutbox()
			var kills atomic.Int32
			kills.Store(10)
			out := wrappedOutbox{m, func(l app.OutboxLease) app.OutboxLease { return &failingLease{l, point, &kills, false} }}
			stop := start(t, func(ctx context.Context) {
				for ctx.Err() == nil {
					life, kill := context.WithCancel(ctx)
					r := kafka.NewRelay(b.Cluster, 0, "test", out, logger(t))
					r.Hook(batchWrittenHook(func(topic string) {
						if topic == b.Names.Events && point == openTx && kills.Add(-1) >= 0 {
							kill()
						}
					}))
					r.Hook(requestSentHook(func(request string) {
						if request == "EndTxn" && point == commitSent && kills.Add(-1) >= 0 {
							kill()
						}
					}))
					err := r.Run(life)
					kill()
					if errors.Is(err, app.ErrRelayPosition) {
						t.Errorf("false alarm: %v", err)
					}
				}
			})
			want := 0
			for round := 0; kills.Load() > 0 || round == 0; round++ { // new events until no kill is left
				want += writers{first: 22 * round, orders: 20, writers: 16, each: 50, maxRows: 25, slow: 5}.run(t, m)
				kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
			}
			stop()
			wantOnceInOrder(t, events(t, b), want)
		})
	}
}

func TestBatchOfADeadRelayIsInvisibleToCommittedReaders(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	m.commit(app.OutboxRow{ID: m.nextID(), Record: record(t, orderID(1), 1, order.EvCreated)})
	ctx, kill := context.WithCancel(t.Context())
	r := kafka.NewRelay(b.Cluster, 0, "killed", m, logger(t))
	r.Hook(acknowledgedHook(func(topic string) {
		if topic == b.Names.Events {
			kill()
		}
	}))
	if err := r.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run() = %v, want context.Canceled", err)
	}
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "successor", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
	stop()
	wantOnceInOrder(t, events(t, b), 1)
	uncommitted := readAll(t, b, b.Names.Events, kafka.EventPartitions, kgo.ReadUncommitted())
	if len(uncommitted) != 2 {
		t.Errorf("read_uncommitted sees %d records, want the aborted one and the committed one", len(uncommitted))
	}
}

func TestRelayStopsWhenTopicAndDatabaseDisagree(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(m *memoryOutbox){
		"older database":    func(m *memoryOutbox) { m.position.Batch -= 2 },
		"another topic":     func(m *memoryOutbox) { m.position.Batch += 40 },
		"rebuilt elsewhere": func(m *memoryOutbox) { m.position.Epoch++ },
		"published row is back": func(m *memoryOutbox) {
			m.rows[1] = app.OutboxRow{ID: 1, Record: record(t, orderID(0), 1, order.EvCreated)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, m := kafkatest.New(t), newMemoryOutbox()
			r := kafka.NewRelay(b.Cluster, 0, "test", m, logger(t))
			stop := start(t, r.RunForever)
			for seq := 1; seq <= 3; seq++ { // three batches of row 1
				row := app.OutboxRow{ID: 1, Record: record(t, orderID(0), seq, order.EvUpdated)}
				m.commit(row)
				kafkatest.Eventually(t, "published", func() bool { return m.length() == 0 })
			}
			stop()
			before := len(events(t, b))
			spoil(m)
			if err := r.Run(t.Context()); !errors.Is(err, app.ErrRelayPosition) {
				t.Errorf("Run() = %v, want ErrRelayPosition", err)
			}
			if after := len(events(t, b)); after != before {
				t.Errorf("%d events were published, want none", after-before)
			}
		})
	}
}

func TestCommitWhoseAnswerIsLostIsPublishedOnce(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	k := b.NeedEmbedded(t)
	if err := k.LoseAnswers("EndTxn", 3); err != nil {
		t.Fatal(err)
	}
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	want := writers{orders: 5, writers: 4, each: 20, maxRows: 3}.run(t, m)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
	stop()
	wantOnceInOrder(t, events(t, b), want)
}

func TestCoordinatorThatIsBusyOrMovedLosesNothing(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int16{
		"CONCURRENT_TRANSACTIONS": 51, "NOT_COORDINATOR": 16, "COORDINATOR_NOT_AVAILABLE": 15,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, m := kafkatest.New(t), newMemoryOutbox()
			k := b.NeedEmbedded(t)
			if _, err := k.Fault(faultOf(code)); err != nil {
				t.Fatal(err)
			}
			stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
			want := writers{orders: 5, writers: 4, each: 20, maxRows: 3}.run(t, m)
			kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
			stop()
			wantOnceInOrder(t, events(t, b), want)
		})
	}
}

func TestRelayCatchesUpAfterTheBrokerWasUnavailable(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
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
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
	stop()
	wantOnceInOrder(t, events(t, b), want)
}

func TestRelayEndsPromptlyWhileTheBrokerIsUnavailable(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	k := b.NeedEmbedded(t)
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	writers{orders: 1, writers: 1, each: 5}.run(t, m)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
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
	if m.length() == 0 {
		t.Error("rows were deleted that are not on the broker")
	}
}

func TestDeadLettersGoToTheirOwnTopicWithoutPayload(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	deadLetter := &app.DeadLetter{
		ID: [16]byte{1}, Order: orderID(1), Item: [16]byte{2}, Source: "step", Class: 6, Code: "step-failed",
		Detail: "not to travel", Step: "create", Attempts: 6,
		PayloadSHA256: [32]byte{0xab}, FirstFailedAt: at, At: at,
	}
	m.commit(app.OutboxRow{
		ID: m.nextID(), Record: event.Record{Tenant: tenantA, Order: orderID(1)}, DeadLetter: deadLetter,
	})
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "test", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
	stop()
	got := readAll(t, b, b.Names.DeadLetters, 1, kgo.ReadCommitted())
	if len(got) != 1 {
		t.Fatalf("%d dead letters on the topic, want 1", len(got))
	}
	want := `{"id":"01000000-0000-0000-0000-000000000000",` +
		`"tenant_id":"01900000-0000-7000-8000-00000000000a",` +
		`"order_id":"01900000-0000-7000-8000-000000000101",` +
		`"item_id":"02000000-0000-0000-0000-000000000000",` +
		`"source":"step","class":"retryable","code":"step-failed","step":"create","attempts":6,` +
		`"payload_sha256":"ab00000000000000000000000000000000000000000000000000000000000000",` +
		`"first_failed_at":"2026-03-02T09:30:00Z","at":"2026-03-02T09:30:00Z"}`
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
