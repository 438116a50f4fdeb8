package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
)

const (
	pollRecords    = 500
	queuedBatches  = 2 // in a partition's queue; with that many the partition is paused
	sessionTimeout = 30 * time.Second
	revokeTimeout  = 5 * time.Second // the transaction of a revoked partition may take this long
	pollPause      = time.Second     // after a fetch error
	// A broker that has no records answers a fetch after this time. Only the next fetch includes a
	// partition that was resumed meanwhile, so the client's default of 5 s stalls a backlog again and again.
	fetchWait = 500 * time.Millisecond
)

// Subscription is one consumer of the events and its effect.
type Subscription struct {
	Consumer event.Consumer // selects the column of the routing matrix
	Group    string         // the consumer group, and the name in counters and refusals
	Name     string         // in the inbox and on dead letters; "" means Consumer
	Apply    app.Effect     // applies one event
	ApplyAll app.EffectAll  // nil: no batches; the events of a batch that fails are applied with Apply
	Park     app.Park       // nil: the partition waits behind an event that cannot be applied
}

// ConsumerDeps are the dependencies of a consumer.
type ConsumerDeps struct {
	Cluster  Cluster
	Refusals app.Refusals
	Clock    app.Clock
	Pause    Pause          // Wait in a process
	Random   func() float64 // in [0,1), for jitter; safe for concurrent use
	Log      *slog.Logger
}

// Consumer reads the events for one subscription. It applies the events of an order in their order and
// commits its offsets after the database has committed. The inbox of the effect drops what is
// delivered twice, so a consumer that lost its partition and does not know it yet does no harm.
//
// A failed effect is retried in place, after 2, 4, 8, 16 and 30 s (D5). The partition waits meanwhile,
// so that the order of events holds. An unavailable database uses up no retry. After the last retry
// the event is parked with a dead letter: later events of its order are blocked behind it, and all
// other orders go on.
//
// A consumer without Park (Audit) stops the partition instead: it logs the error, counts the
// partition in ConsumerStatus.Stopped, and tries the event again every 30 s until it is applied. All
// orders of that partition wait, about a twelfth of them. In both cases no event is skipped or lost.
type Consumer struct {
	ConsumerDeps
	sub     Subscription
	options []kgo.Opt // added to those of Run

	applied, duplicates, retried, parked, blocked, refused atomic.Int64

	mu         sync.Mutex
	partitions map[int32]*partition // guarded by mu; those that are assigned now
}

// NewConsumer makes a consumer. Several processes may run the same subscription: Kafka divides the
// partitions among them.
func NewConsumer(d ConsumerDeps, s Subscription) *Consumer {
	if s.Name == "" {
		s.Name = string(s.Consumer)
	}
	return &Consumer{ConsumerDeps: d, sub: s, partitions: map[int32]*partition{}}
}

// Status returns the state and the counters of the consumer in this process.
func (c *Consumer) Status() app.ConsumerStatus {
	s := app.ConsumerStatus{
		Group: c.sub.Group, Name: c.sub.Name, Applied: c.applied.Load(), Duplicates: c.duplicates.Load(),
		Retried: c.retried.Load(), Parked: c.parked.Load(), Blocked: c.blocked.Load(), Refused: c.refused.Load(),
	}
	now := c.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.partitions {
		if at := p.oldest(); !at.IsZero() {
			s.Lag = max(s.Lag, now.Sub(at))
		}
		s.LagEvents += p.behind()
		if p.stopped.Load() {
			s.Stopped++
		}
	}
	return s
}

// Run consumes until the context ends, and returns the context's error. It also ends, with an error,
// when the topic was deleted. Before it returns, it leaves the group and waits for its goroutines.
func (c *Consumer) Run(ctx context.Context) error {
	cl, err := c.Cluster.client(append([]kgo.Opt{
		kgo.ConsumerGroup(c.sub.Group),
		kgo.ConsumeTopics(c.Cluster.Names.Events),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.FetchMaxWait(fetchWait),
		kgo.KeepControlRecords(), // they are no events, but without them a consumer never reaches a partition's end
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, a map[string][]int32) { c.assign(ctx, cl, a) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, r map[string][]int32) { c.revoke(r) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, r map[string][]int32) { c.revoke(r) }),
	}, c.options...)...)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance() // revokes what is assigned, and so waits for the partitions
	for {
		fetches := cl.PollRecords(ctx, pollRecords)
		if err := ctx.Err(); err != nil {
			return err
		}
		failed := false
		fetches.EachError(func(topic string, partition int32, err error) {
			failed = true
			c.Log.WarnContext(ctx, "consumer cannot read",
				"consumer", c.sub.Group, "topic", topic, "partition", partition, "error", err)
		})
		fetches.EachTopic(func(t kgo.FetchTopic) {
			for _, f := range t.Partitions {
				if len(f.Records) > 0 {
					c.dispatch(t.TopicID, f)
				}
			}
		})
		cl.AllowRebalance()
		if err := topicDeleted(fetches); err != nil {
			return err
		}
		if failed {
			if err := c.Pause(ctx, pollPause); err != nil {
				return err
			}
		}
	}
}

// assign starts a goroutine for each assigned partition.
func (c *Consumer) assign(ctx context.Context, cl *kgo.Client, assigned map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range assigned[c.Cluster.Names.Events] {
		ctx, cancel := context.WithCancel(ctx)
		p := &partition{c: c, cl: cl, number: n, cancel: cancel, ended: make(chan struct{}), more: make(chan struct{}, 1)}
		c.partitions[n] = p
		go p.run(ctx)
	}
}

// revoke stops the partitions' goroutines and waits for them, up to revokeTimeout for all together.
// One that takes longer ends by itself: the next owner waits for its inbox row, or finds it written.
func (c *Consumer) revoke(revoked map[string][]int32) {
	var stopping []*partition
	c.mu.Lock()
	for _, n := range revoked[c.Cluster.Names.Events] {
		if p := c.partitions[n]; p != nil {
			p.cancel()
			stopping = append(stopping, p)
			delete(c.partitions, n)
		}
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	for _, p := range stopping {
		select {
		case <-p.ended:
		case <-ctx.Done():
		}
	}
}

// dispatch queues the records of a fetch in their partition.
func (c *Consumer) dispatch(topic [16]byte, f kgo.FetchPartition) {
	c.mu.Lock()
	p := c.partitions[f.Partition]
	c.mu.Unlock()
	if p == nil {
		return
	}
	p.unread.Store(max(0, f.LastStableOffset-f.Records[len(f.Records)-1].Offset-1))
	if events := slices.DeleteFunc(f.Records, func(r *kgo.Record) bool { return r.Attrs.IsControl() }); len(events) > 0 {
		p.push(ofTopic(topic, events))
	}
}

// refuse stores a refusal for a record that must not be applied. It repeats until the database has it.
func (c *Consumer) refuse(ctx context.Context, rec *kgo.Record, code event.RefusalCode) error {
	for {
		r, err := c.refusal(ctx, rec, code)
		if err == nil {
			err = c.Refusals.Refuse(ctx, r)
		}
		if err == nil {
			c.refused.Add(1)
			c.Log.ErrorContext(ctx, "record refused",
				"consumer", c.sub.Group, "code", code, "partition", rec.Partition, "offset", rec.Offset)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.Log.WarnContext(ctx, "refusal not stored yet", "consumer", c.sub.Group, "error", err)
		if err := c.Pause(ctx, unavailablePause); err != nil {
			return err
		}
	}
}

// refusalCode reports whether an error means that a record must not be applied, and why.
func refusalCode(err error) (event.RefusalCode, bool) {
	var r *event.Refused
	if errors.As(err, &r) {
		return r.Code, true
	}
	// The guard let it pass, but the tenant has no such order: row-level security hides those of others.
	if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
		return event.RefusedTenantMismatch, true
	}
	return "", false
}

// decode reads a record and is the guard before every effect: it returns *event.Refused for a record
// that must not be applied.
func decode(rec *kgo.Record) (event.Event, error) {
	ev, err := event.Decode(headersOf(rec), rec.Value)
	if err != nil {
		return ev, fmt.Errorf("record %d of partition %d: %w", rec.Offset, rec.Partition, err)
	}
	ev.TopicID, ev.Partition, ev.Offset, ev.LoggedAt = topicOf(rec), rec.Partition, rec.Offset, rec.Timestamp.UTC()
	return ev, nil
}
