package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
)

// The relay's times and sizes (events.md §3).
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
// id drawn early may commit late, and such a cursor lost 22 % of the events under load (events.md §3).
type Relay struct {
	cluster  Cluster
	shard    int
	instance string
	outbox   app.Outbox
	log      *slog.Logger
	kicked   chan struct{} // size 1: kicks coalesce
	options  []kgo.Opt     // of the producing client, besides the cluster's
}

var _ app.Kicker = (*Relay)(nil)

// NewRelay makes a shard's relay. The instance tells people which process it was; it decides nothing.
func NewRelay(c Cluster, shard int, instance string, outbox app.Outbox, log *slog.Logger) *Relay {
	return &Relay{
		cluster: c, shard: shard, instance: instance, outbox: outbox, log: log, kicked: make(chan struct{}, 1),
		options: []kgo.Opt{
			kgo.TransactionalID(c.Names.Relay + strconv.Itoa(shard)),
			kgo.TransactionTimeout(transactionTime),
			kgo.RequiredAcks(kgo.AllISRAcks()),
			kgo.ProducerLinger(0),                                // 10 ms by default, which every event would wait
			kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // nil: murmur2, as every other client does
		},
	}
}

// Kick tells a relay of this process that something was committed. It never waits, and a lost kick
// costs a poll.
func (r *Relay) Kick() {
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
		if errors.Is(err, app.ErrRelayPosition) {
			r.log.ErrorContext(ctx, "relay stands still: topic and database disagree, see the runbook", "shard", r.shard, "error", err)
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
	limit := batchRows
	for {
		// First turn: the last batch of whoever was here before, or only the comparison. Then ours.
		// Always before the next batch, or the one position kept would not cover all rows left behind.
		if err := lease.Done(ctx, pos); err != nil {
			return fmt.Errorf("finish batch %d of shard %d: %w", pos.Batch, r.shard, err)
		}
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
	}
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

// pending returns the next rows, and waits while there are none: 5 ms at first, doubling up to 100,
// or until somebody kicks.
func (r *Relay) pending(ctx context.Context, lease app.OutboxLease, limit int) ([]app.OutboxRow, error) {
	for idle := idleFirst; ; idle = min(2*idle, idleMost) {
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
func (r *Relay) open(ctx context.Context) (*kgo.Client, app.RelayPosition, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	none := app.RelayPosition{Shard: r.shard}
	cl, err := r.cluster.client(r.options...)
	if err != nil {
		return nil, none, err
	}
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return cl, none, fmt.Errorf("fence the predecessor: %w", err)
	}
	mark := &kgo.Record{Topic: r.cluster.Names.Positions, Key: []byte(strconv.Itoa(r.shard) + "/open"), Value: []byte(r.instance)}
	if err := commit(ctx, cl, mark); err != nil {
		return cl, none, fmt.Errorf("commit the relay's barrier: %w", err)
	}
	pos, err := r.lastPosition(ctx, mark.Offset)
	return cl, pos, err
}

// lastPosition reads the positions from their start up to our own barrier. The barrier replaces
// arithmetic on end offsets, which transaction markers and compaction make unreliable, and proves that
// the broker takes our writes.
func (r *Relay) lastPosition(ctx context.Context, barrier int64) (app.RelayPosition, error) {
	pos := app.RelayPosition{Shard: r.shard}
	topic := r.cluster.Names.Positions
	cl, err := r.cluster.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return pos, err
	}
	defer cl.Close()
	key := strconv.Itoa(r.shard)
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return pos, fmt.Errorf("read the relay's position: %w", err)
		}
		for _, f := range fetches.Errors() {
			return pos, fmt.Errorf("read the relay's position: %w", f.Err)
		}
		for _, rec := range fetches.Records() {
			if string(rec.Key) == key {
				if pos, err = decodePosition(rec.Value); err != nil || pos.Shard != r.shard {
					return pos, fmt.Errorf("%w: the position at offset %d cannot be read", app.ErrRelayPosition, rec.Offset)
				}
			}
			if rec.Offset >= barrier {
				return pos, nil
			}
		}
	}
}

func next(p app.RelayPosition, rows []app.OutboxRow) app.RelayPosition {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return app.RelayPosition{Shard: p.Shard, Epoch: p.Epoch, Batch: p.Batch + 1, IDs: ids}
}

// publish commits a batch and its position in one Kafka transaction.
func publish(ctx context.Context, cl *kgo.Client, names Names, pos app.RelayPosition, rows []app.OutboxRow) error {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
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
	return commit(ctx, cl, append(records, at)...)
}

func record(names Names, row app.OutboxRow) (*kgo.Record, error) {
	if row.Letter != nil {
		return letterRecord(names.Letters, row)
	}
	m := event.Encode(row.Record)
	rec := &kgo.Record{Topic: names.Events, Key: m.Key, Value: m.Value, Headers: make([]kgo.RecordHeader, len(m.Headers))}
	for i, h := range m.Headers {
		rec.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return rec, nil
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

// position is a RelayPosition as it stands on the topic.
type position struct {
	Shard int     `json:"shard"`
	Epoch int64   `json:"epoch"`
	Batch int64   `json:"batch"`
	IDs   []int64 `json:"ids"`
}

func positionRecord(names Names, p app.RelayPosition) (*kgo.Record, error) {
	value, err := json.Marshal(position(p))
	if err != nil {
		return nil, fmt.Errorf("encode position: %w", err)
	}
	return &kgo.Record{Topic: names.Positions, Key: []byte(strconv.Itoa(p.Shard)), Value: value}, nil
}

func decodePosition(b []byte) (app.RelayPosition, error) {
	var p position
	err := json.Unmarshal(b, &p)
	return app.RelayPosition(p), err
}
