package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
)

// The relay's times and sizes.
const (
	batchRows   = 500  // of a batch: 61 000 events/s
	backlogRows = 2000 // of a batch that follows a full one: 77 000 events/s
	minIdle     = 5 * time.Millisecond
	maxIdle     = 100 * time.Millisecond // the longest that an event of another process waits
	lockRetry   = time.Second
	backoffMin  = 250 * time.Millisecond
	backoffMax  = 5 * time.Second

	// The relay gives up a batch after batchTimeout, and the broker aborts its transaction after
	// transactionTimeout. So batchTimeout must be the smaller one.
	batchTimeout       = 10 * time.Second
	transactionTimeout = 15 * time.Second
	openTimeout        = 30 * time.Second // to reach the broker and to wait for a predecessor's transaction to end
)

// Relay publishes a shard's outbox. Any number of processes may run one for the same shard: an
// advisory lock lets one of them work, and Kafka's transactional id fences one that lost the lock
// without noticing. It has no cursor: a row that is present is unpublished. Never add "id > x" to speed it
// up: an id drawn early may commit late, and such a cursor lost 22 % of the events under load (ADR 0004).
type Relay struct {
	cluster  Cluster
	shard    int
	instance string
	outbox   app.Outbox
	log      *slog.Logger
	notified chan struct{}    // size 1: notifications coalesce
	options  []kgo.Opt        // of the producing client, added to the cluster's
	idle     [2]time.Duration // the shortest and the longest wait for a notification

	leader, failing atomic.Bool
	batch, fenced   atomic.Int64
}

var _ app.Notifier = (*Relay)(nil)

// NewRelay makes a shard's relay. instance is for people only: it says which process wrote a barrier
// record.
func NewRelay(c Cluster, shard int, instance string, outbox app.Outbox, log *slog.Logger) *Relay {
	return &Relay{
		cluster: c, shard: shard, instance: instance, outbox: outbox, log: log, notified: make(chan struct{}, 1),
		options: c.Names.producerOptions(shard), idle: [2]time.Duration{minIdle, maxIdle},
	}
}

// Poll sets how often an idle relay looks for events, instead of every 5 to 100 ms. Notify still wakes
// it up. Poll must be called before the relay runs.
func (r *Relay) SetPollInterval(every time.Duration) { r.idle = [2]time.Duration{every, every} }

// producerOptions returns the client options of a producer of the shard's events.
func (n Names) producerOptions(shard int) []kgo.Opt {
	return []kgo.Opt{
		kgo.TransactionalID(n.Relay + strconv.Itoa(shard)),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),                                // by default every event would wait 10 ms
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // nil: murmur2, the default of other clients
	}
}

// Status returns the state of the relay in this process.
func (r *Relay) Status() app.RelayStatus {
	return app.RelayStatus{
		Shard: r.shard, Leader: r.leader.Load(), Batch: int(r.batch.Load()),
		Fenced: r.fenced.Load(), Failing: r.failing.Load(),
	}
}

// Notify wakes up the relay: rows were committed to the outbox. It never blocks. If a notification is
// lost, the relay finds the rows with its next poll.
func (r *Relay) Notify() {
	select {
	case r.notified <- struct{}{}:
	default:
	}
}

// RunForever runs the relay until the context ends. It starts the relay again after any error, with a
// pause that grows from 0.25 to 5 s and is reset once the relay has worked. ErrRelayPosition is retried
// too, but logged as an error that needs a person.
func (r *Relay) RunForever(ctx context.Context) {
	pause := backoffMin
	for {
		err := r.run(ctx, func() { pause = backoffMin })
		if ctx.Err() != nil {
			return
		}
		r.failing.Store(true)
		if Fenced(err) {
			r.fenced.Add(1)
		}
		if errors.Is(err, app.ErrRelayPosition) {
			r.log.ErrorContext(ctx, "relay stands still: topic and database disagree, see the runbook",
				"shard", r.shard, "error", err)
		} else {
			r.log.WarnContext(ctx, "relay starts afresh", "shard", r.shard, "fenced", Fenced(err), "error", err)
		}
		if Wait(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, backoffMax)
	}
}

// Fenced reports whether a relay's error means that another relay has taken over.
func Fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// Run waits for the shard's lock and publishes until something fails. Every error ends it and closes its
// client. After a failed commit only the topic shows whether the batch was published, and the next Run
// reads it from there. It never returns nil.
func (r *Relay) Run(ctx context.Context) error { return r.run(ctx, func() {}) }

// run is Run. It calls onWorking each time that the outbox agrees with the topic.
func (r *Relay) run(ctx context.Context, onWorking func()) error {
	lease, err := r.lease(ctx)
	if err != nil {
		return err
	}
	defer lease.Release()
	cl, pos, err := r.open(ctx)
	if cl != nil {
		defer cl.Close()
	}
	if err != nil {
		return err
	}
	r.log.InfoContext(ctx, "relay works", "shard", r.shard, "epoch", pos.Epoch, "batch", pos.Batch)
	defer r.leader.Store(false)
	limit := batchRows
	for {
		// The first time this finishes the predecessor's last batch, if it left one, and compares the
		// positions; later it finishes our own. It always comes before the next batch: only one position
		// is kept, and it must cover all rows that are published but still in the outbox.
		if err := r.finish(ctx, lease, pos.RelayPosition); err != nil {
			return err
		}
		r.leader.Store(true)
		r.failing.Store(false)
		onWorking()
		rows, err := r.pending(ctx, lease, limit)
		if err != nil {
			return err
		}
		limit = batchRows
		if len(rows) >= batchRows {
			limit = backlogRows
		}
		pos = nextPosition(pos, rows)
		if err := publish(ctx, cl, r.cluster.Names, pos, rows); err != nil {
			return fmt.Errorf("publish batch %d of shard %d: %w", pos.Batch, r.shard, err)
		}
		r.batch.Store(int64(len(rows)))
	}
}

// Check does what Run does before it publishes anything: it waits for the shard's lock, compares topic
// and database, and finishes the batch that a relay left behind when it died. ErrRelayPosition says that
// the topic has to be rebuilt, or the database restored.
func (r *Relay) Check(ctx context.Context) error {
	lease, err := r.lease(ctx)
	if err != nil {
		return err
	}
	defer lease.Release()
	cl, pos, err := r.open(ctx)
	if cl != nil {
		defer cl.Close()
	}
	if err != nil {
		return err
	}
	return r.finish(ctx, lease, pos.RelayPosition)
}

// finish removes the rows of a published batch from the outbox, or compares the positions if that was
// done before.
func (r *Relay) finish(ctx context.Context, lease app.OutboxLease, pos app.RelayPosition) error {
	if err := lease.Done(ctx, pos); err != nil {
		return fmt.Errorf("finish batch %d of shard %d: %w", pos.Batch, r.shard, err)
	}
	return nil
}

func (r *Relay) lease(ctx context.Context) (app.OutboxLease, error) {
	for {
		lease, ok, err := r.outbox.TryLease(ctx, r.shard)
		if err != nil {
			return nil, fmt.Errorf("lock outbox %d: %w", r.shard, err)
		}
		if ok {
			return lease, nil
		}
		if err := Wait(ctx, lockRetry); err != nil {
			return nil, err
		}
	}
}

// pending returns the next rows. While there are none, it looks again after 5 ms, then after intervals
// that double up to 100 ms (see Poll), and after each Notify.
func (r *Relay) pending(ctx context.Context, lease app.OutboxLease, limit int) ([]app.OutboxRow, error) {
	for idle := r.idle[0]; ; idle = min(2*idle, r.idle[1]) {
		rows, err := lease.Pending(ctx, limit)
		if err != nil {
			return nil, fmt.Errorf("read outbox %d: %w", r.shard, err)
		}
		if len(rows) > 0 {
			return rows, nil
		}
		if err := waitFor(ctx, idle, r.notified); err != nil {
			return nil, err
		}
	}
}

// open makes the client and reads the last position. The order matters: InitProducerID fences the
// predecessor and aborts its open transaction *before* the position is read. Otherwise the predecessor
// could still commit after we have read it.
func (r *Relay) open(ctx context.Context) (*kgo.Client, topicPosition, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	none := topicPosition{RelayPosition: app.RelayPosition{Shard: r.shard}}
	cl, err := r.cluster.client(r.options...)
	if err != nil {
		return nil, none, err
	}
	if err := fence(ctx, cl); err != nil {
		return cl, none, err
	}
	barrier := &kgo.Record{
		Topic: r.cluster.Names.Positions, Key: []byte(strconv.Itoa(r.shard) + "/open"), Value: []byte(r.instance),
	}
	if err := commit(ctx, cl, barrier); err != nil {
		return cl, none, fmt.Errorf("commit the relay's barrier: %w", err)
	}
	pos, err := r.lastPosition(ctx, barrier.Offset)
	if err != nil {
		return cl, none, err
	}
	topic, err := topicID(ctx, cl, r.cluster.Names.Events)
	if err != nil {
		return cl, none, err
	}
	// A topic that was deleted and created again has the same name but none of the events. The positions
	// have a topic of their own, which was not deleted with it.
	if pos.topic != "" && pos.topic != topic {
		return cl, none, fmt.Errorf("%w: %s is another topic than the one that batch %d went to",
			app.ErrRelayPosition, r.cluster.Names.Events, pos.Batch)
	}
	pos.topic = topic
	return cl, pos, nil
}

// publish commits a batch and its position in one Kafka transaction.
func publish(ctx context.Context, cl *kgo.Client, names Names, pos topicPosition, rows []app.OutboxRow) error {
	records := make([]*kgo.Record, 0, len(rows)+1)
	for _, row := range rows {
		rec, err := record(names, row)
		if err != nil {
			return err
		}
		records = append(records, rec)
	}
	position, err := positionRecord(names, pos)
	if err != nil {
		return err
	}
	return commitInTime(ctx, cl, append(records, position)...)
}

// fence fences every other producer with the client's transactional id, and aborts its open
// transaction.
func fence(ctx context.Context, cl *kgo.Client) error {
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("fence the predecessor: %w", err)
	}
	return nil
}

func record(names Names, row app.OutboxRow) (*kgo.Record, error) {
	if row.DeadLetter != nil {
		return deadLetterRecord(names, row)
	}
	return eventRecord(names, row.Record), nil
}

func eventRecord(names Names, r event.Record) *kgo.Record {
	m := event.Encode(r)
	rec := &kgo.Record{
		Topic: names.Events, Key: m.Key, Value: m.Value, Headers: make([]kgo.RecordHeader, len(m.Headers)),
	}
	for i, h := range m.Headers {
		rec.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return rec
}

// commitInTime is commit with batchTimeout.
func commitInTime(ctx context.Context, cl *kgo.Client, records ...*kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	return commit(ctx, cl, records...)
}

// commit publishes the records in one transaction. After an error its outcome may be unknown. It
// returns when ctx ends even if a record is in flight: the record cannot be recalled, and closing the
// client ends the wait for it.
func commit(ctx context.Context, cl *kgo.Client, records ...*kgo.Record) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	acks := make(chan error, len(records))
	for _, rec := range records {
		cl.Produce(ctx, rec, func(_ *kgo.Record, err error) { acks <- err })
	}
	for range records {
		select {
		case err := <-acks:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return cl.EndTransaction(ctx, kgo.TryCommit)
}
