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
	batchRows   = 500  // a batch: 61 000 events/s
	backlogRows = 2000 // after a full batch: 77 000 events/s
	idleFirst   = 5 * time.Millisecond
	idleMost    = 100 * time.Millisecond // what an event of another process waits at most
	lockRetry   = time.Second
	backoffMin  = 250 * time.Millisecond
	backoffMax  = 5 * time.Second

	// A batch that takes longer than batchTime is given up; the broker aborts it at the latest after
	// transactionTime, so the first must be the smaller.
	batchTime       = 10 * time.Second
	transactionTime = 15 * time.Second
	openTime        = 30 * time.Second // reaching the broker and waiting out a predecessor's transaction
)

// Relay publishes a shard's outbox. Any number of processes may run one for the same shard: an
// advisory lock lets one work, and Kafka's transactional id fences one that only believes it has the
// lock. It has no cursor: a row that is present is unpublished. Never add "id > x" to speed it up; an
// id drawn early may commit late, and such a cursor lost 22 % of the events under load (ADR 0004).
type Relay struct {
	cluster  Cluster
	shard    int
	instance string
	outbox   app.Outbox
	log      *slog.Logger
	kicked   chan struct{}    // size 1: kicks coalesce
	options  []kgo.Opt        // of the producing client, besides the cluster's
	idle     [2]time.Duration // how long it waits for a kick: at first, and at most

	leader, failing atomic.Bool
	batch, fenced   atomic.Int64
}

var _ app.Notifier = (*Relay)(nil)

// NewRelay makes a shard's relay. The instance tells people which process it was; it decides nothing.
func NewRelay(c Cluster, shard int, instance string, outbox app.Outbox, log *slog.Logger) *Relay {
	return &Relay{
		cluster: c, shard: shard, instance: instance, outbox: outbox, log: log, kicked: make(chan struct{}, 1),
		options: c.Names.producing(shard), idle: [2]time.Duration{idleFirst, idleMost},
	}
}

// Poll has an idle relay look for events this often, instead of after 5 to 100 ms; kicks still wake it.
// It is called before the relay runs.
func (r *Relay) Poll(every time.Duration) { r.idle = [2]time.Duration{every, every} }

// producing are the options of whoever writes a shard's events.
func (n Names) producing(shard int) []kgo.Opt {
	return []kgo.Opt{
		kgo.TransactionalID(n.Relay + strconv.Itoa(shard)),
		kgo.TransactionTimeout(transactionTime),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),                                // 10 ms by default, which every event would wait
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // nil: murmur2, as every other client does
	}
}

// Status is how the relay stands in this process.
func (r *Relay) Status() app.RelayStatus {
	return app.RelayStatus{
		Shard: r.shard, Leader: r.leader.Load(), Batch: int(r.batch.Load()), Fenced: r.fenced.Load(),
		Failing: r.failing.Load(),
	}
}

// Kick tells a relay of this process that something was committed. It never waits, and a lost kick
// costs a poll.
func (r *Relay) Notify() {
	select {
	case r.kicked <- struct{}{}:
	default:
	}
}

// RunForever runs the relay until the context ends: after any error it starts afresh, with a pause
// that grows from 0.25 to 5 s and begins anew once the relay has worked. ErrRelayPosition is retried
// too, and logged as what needs a person.
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
			r.log.ErrorContext(ctx, "relay stands still: topic and database disagree, see the runbook", "shard",
				r.shard, "error", err)
		} else {
			r.log.WarnContext(ctx, "relay starts afresh", "shard", r.shard, "fenced", Fenced(err), "error", err)
		}
		if Wait(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, backoffMax)
	}
}

// Fenced tells from a relay's error that another one has taken over.
func Fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// Run waits for the shard's lock and publishes until something fails. Every error ends it, and the
// client with it: whether a batch stands on the topic after a failed commit, only the topic can tell,
// and the next Run asks it. It never returns nil.
func (r *Relay) Run(ctx context.Context) error { return r.run(ctx, func() {}) }

func (r *Relay) run(ctx context.Context, working func()) error {
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
		// First turn: the last batch of whoever was here before, or only the comparison. Then ours.
		// Always before the next batch, or the one position kept would not cover all rows left behind.
		if err := r.finish(ctx, lease, pos.RelayPosition); err != nil {
			return err
		}
		r.leader.Store(true)
		r.failing.Store(false)
		working()
		rows, err := r.pending(ctx, lease, limit)
		if err != nil {
			return err
		}
		limit = batchRows
		if len(rows) >= batchRows {
			limit = backlogRows
		}
		pos = next(pos, rows)
		if err := publish(ctx, cl, r.cluster.Names, pos, rows); err != nil {
			return fmt.Errorf("publish batch %d of shard %d: %w", pos.Batch, r.shard, err)
		}
		r.batch.Store(int64(len(rows)))
	}
}

// Check compares topic and database as Run does before it publishes anything, finishes what a relay that
// died left behind, and publishes nothing. It waits for the shard's lock. ErrRelayPosition says that the
// topic has to be rebuilt, or the database restored.
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

// pending returns the next rows, and waits while there are none: 5 ms at first, doubling up to 100 (see
// Poll), or until somebody kicks.
func (r *Relay) pending(ctx context.Context, lease app.OutboxLease, limit int) ([]app.OutboxRow, error) {
	for idle := r.idle[0]; ; idle = min(2*idle, r.idle[1]) {
		rows, err := lease.Pending(ctx, limit)
		if err != nil {
			return nil, fmt.Errorf("read outbox %d: %w", r.shard, err)
		}
		if len(rows) > 0 {
			return rows, nil
		}
		if err := waitFor(ctx, idle, r.kicked); err != nil {
			return nil, err
		}
	}
}

// open makes the client and finds the position. The order matters: InitProducerID fences the
// predecessor and aborts what it left open *before* the position is read, else the predecessor could
// still commit after we have looked.
func (r *Relay) open(ctx context.Context) (*kgo.Client, place, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	none := place{RelayPosition: app.RelayPosition{Shard: r.shard}}
	cl, err := r.cluster.client(r.options...)
	if err != nil {
		return nil, none, err
	}
	if err := fence(ctx, cl); err != nil {
		return cl, none, err
	}
	mark := &kgo.Record{
		Topic: r.cluster.Names.Positions, Key: []byte(strconv.Itoa(r.shard) + "/open"), Value: []byte(r.instance),
	}
	if err := commit(ctx, cl, mark); err != nil {
		return cl, none, fmt.Errorf("commit the relay's barrier: %w", err)
	}
	pos, err := r.lastPosition(ctx, mark.Offset)
	if err != nil {
		return cl, none, err
	}
	topic, err := topicID(ctx, cl, r.cluster.Names.Events)
	if err != nil {
		return cl, none, err
	}
	// A topic that was deleted and made again has the old name and none of the events; the positions,
	// on a topic of their own, know nothing of it.
	if pos.topic != "" && pos.topic != topic {
		return cl, none, fmt.Errorf("%w: %s is another topic than the one that batch %d went to", app.ErrRelayPosition,
			r.cluster.Names.Events, pos.Batch)
	}
	pos.topic = topic
	return cl, pos, nil
}

// publish commits a batch and its position in one Kafka transaction.
func publish(ctx context.Context, cl *kgo.Client, names Names, pos place, rows []app.OutboxRow) error {
	records := make([]*kgo.Record, 0, len(rows)+1)
	for _, row := range rows {
		rec, err := record(names, row)
		if err != nil {
			return err
		}
		records = append(records, rec)
	}
	at, err := positionRecord(names, pos)
	if err != nil {
		return err
	}
	return commitSoon(ctx, cl, append(records, at)...)
}

// fence ends whoever wrote before with the client's transactional id, and aborts what it left open.
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
	rec := &kgo.Record{Topic: names.Events, Key: m.Key, Value: m.Value, Headers: make([]kgo.RecordHeader, len(m.Headers))}
	for i, h := range m.Headers {
		rec.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return rec
}

// commitSoon is commit within a batch's time.
func commitSoon(ctx context.Context, cl *kgo.Client, records ...*kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	return commit(ctx, cl, records...)
}

// commit is one transaction. After an error its outcome may be unknown. It does not outlast ctx:
// a record on its way cannot be called back, but closing the client ends the waiting for it.
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
