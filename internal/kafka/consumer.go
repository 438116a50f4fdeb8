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
	queuedBatches  = 2 // of a partition; then it is paused
	sessionTimeout = 30 * time.Second
	revokeTime     = 5 * time.Second // a revoked partition's transaction may take this long
	pollPause      = time.Second     // after a fetch error
	// A broker answers as soon as it has something, and else after this: only then is a partition asked for
	// again that was paused meanwhile. The client's own 5 s made a backlog come in fits and starts.
	fetchWait = 500 * time.Millisecond
)

// Subscription says who listens and what it does.
type Subscription struct {
	Consumer event.Consumer // whose row of the routing matrix is heard
	Group    string         // Kafka's group, and the name in counters and refusals
	Name     string         // in the inbox and on dead letters; "" is the Consumer's own
	Apply    app.Effect
	ApplyAll app.EffectAll // nil: events are applied one by one; Apply is still what a failing batch's are taken with
	Park     app.Park      // nil: its partition stands still behind an event that cannot be applied
}

// ConsumerDeps are what a consumer works with.
type ConsumerDeps struct {
	Cluster  Cluster
	Refusals app.Refusals
	Clock    app.Clock
	Pause    Pause          // Wait in a process
	Random   func() float64 // in [0,1), for jitter; safe for concurrent use
	Log      *slog.Logger
}

// Consumer reads the events for one subscription. It applies an order's events in their order, commits
// its offsets after the database has committed, and relies on the inbox of the effect to absorb what
// is delivered twice: a consumer that lost its partition and does not know it yet is harmless.
//
// An effect that fails is retried in place, after 2, 4, 8, 16 and 30 s (D5), while its partition waits
// so that order holds; a database that is away costs no retry. After the last retry the event is parked:
// a dead letter says so, later events of its order wait behind it, and all other orders go on. A consumer
// that parks nothing (the witness) stands still instead: the error is logged loudly, counted in
// ConsumerStatus.Stopped, and the event is tried again every 30 s until it goes through, while all orders of
// that partition wait (about a twelfth of them). Either way nothing is skipped and nothing is lost.
type Consumer struct {
	ConsumerDeps
	sub     Subscription
	options []kgo.Opt // besides those of Run

	applied, duplicates, retried, parked, held, refused atomic.Int64

	mu    sync.Mutex
	parts map[int32]*partition // guarded by mu; those assigned now
}

// NewConsumer makes a consumer. Several processes may run the same subscription: Kafka spreads the
// partitions over them.
func NewConsumer(d ConsumerDeps, s Subscription) *Consumer {
	if s.Name == "" {
		s.Name = string(s.Consumer)
	}
	return &Consumer{ConsumerDeps: d, sub: s, parts: map[int32]*partition{}}
}

// Status is how the consumer stands in this process.
func (c *Consumer) Status() app.ConsumerStatus {
	s := app.ConsumerStatus{
		Consumer: c.sub.Group, Name: c.sub.Name, Applied: c.applied.Load(), Duplicates: c.duplicates.Load(),
		Retried: c.retried.Load(), Parked: c.parked.Load(), Blocked: c.held.Load(), Refused: c.refused.Load(),
	}
	now := c.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		if at := p.oldest(); !at.IsZero() {
			s.Age = max(s.Age, now.Sub(at))
		}
		s.Behind += p.behind()
		if p.stopped.Load() {
			s.Stopped++
		}
	}
	return s
}

// Run consumes until the context ends, and returns its error. It returns after every goroutine of
// it, and leaves the group.
func (c *Consumer) Run(ctx context.Context) error {
	cl, err := c.Cluster.client(append([]kgo.Opt{
		kgo.ConsumerGroup(c.sub.Group),
		kgo.ConsumeTopics(c.Cluster.Names.Events),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.FetchMaxWait(fetchWait),
		kgo.KeepControlRecords(), // no event; but without them the end of a partition is never seen reached
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, a map[string][]int32) { c.assign(ctx, cl, a) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, r map[string][]int32) { c.revoke(r) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, r map[string][]int32) { c.revoke(r) }),
	}, c.options...)...)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance() // revokes what is assigned, so it waits for the partitions
	for {
		fetches := cl.PollRecords(ctx, pollRecords)
		if err := ctx.Err(); err != nil {
			return err
		}
		failed := false
		fetches.EachError(func(topic string, part int32, err error) {
			failed = true
			c.Log.WarnContext(ctx, "consumer cannot read", "consumer", c.sub.Group, "topic",
				topic, "partition", part, "error", err)
		})
		fetches.EachTopic(func(t kgo.FetchTopic) {
			for _, f := range t.Partitions {
				if len(f.Records) > 0 {
					c.hand(t.TopicID, f)
				}
			}
		})
		cl.AllowRebalance()
		if err := remade(fetches); err != nil {
			return err
		}
		if failed {
			if err := c.Pause(ctx, pollPause); err != nil {
				return err
			}
		}
	}
}

// assign starts a goroutine per partition.
func (c *Consumer) assign(ctx context.Context, cl *kgo.Client, assigned map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range assigned[c.Cluster.Names.Events] {
		ctx, cancel := context.WithCancel(ctx)
		p := &partition{c: c, cl: cl, number: n, cancel: cancel, ended: make(chan struct{}), more: make(chan struct{}, 1)}
		c.parts[n] = p
		go p.run(ctx)
	}
}

// revoke stops the partitions' goroutines and waits for them, all together no longer than revokeTime.
// One that takes longer ends by itself: the next owner's inbox row waits for it or finds it done.
func (c *Consumer) revoke(revoked map[string][]int32) {
	var stopping []*partition
	c.mu.Lock()
	for _, n := range revoked[c.Cluster.Names.Events] {
		if p := c.parts[n]; p != nil {
			p.cancel()
			stopping = append(stopping, p)
			delete(c.parts, n)
		}
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), revokeTime)
	defer cancel()
	for _, p := range stopping {
		select {
		case <-p.ended:
		case <-ctx.Done():
		}
	}
}

// hand gives a partition what was read of it.
func (c *Consumer) hand(topic [16]byte, f kgo.FetchPartition) {
	c.mu.Lock()
	p := c.parts[f.Partition]
	c.mu.Unlock()
	if p == nil {
		return
	}
	p.unread.Store(max(0, f.LastStableOffset-f.Records[len(f.Records)-1].Offset-1))
	if events := slices.DeleteFunc(f.Records, func(r *kgo.Record) bool { return r.Attrs.IsControl() }); len(events) > 0 {
		p.push(ofTopic(topic, events))
	}
}

// refuse keeps a record that is not applied. It goes on until the database has it.
func (c *Consumer) refuse(ctx context.Context, rec *kgo.Record, code event.RefusalCode) error {
	for {
		r, err := c.refusal(ctx, rec, code)
		if err == nil {
			err = c.Refusals.Refuse(ctx, r)
		}
		if err == nil {
			c.refused.Add(1)
			c.Log.ErrorContext(ctx, "record refused", "consumer", c.sub.Group, "code", code, "partition",
				rec.Partition, "offset", rec.Offset)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.Log.WarnContext(ctx, "refused record cannot be kept yet", "consumer", c.sub.Group, "error", err)
		if err := c.Pause(ctx, awayPause); err != nil {
			return err
		}
	}
}

// refusalCode reports whether an error means that a record is not to be believed, and why.
func refusalCode(err error) (event.RefusalCode, bool) {
	var r *event.Refused
	if errors.As(err, &r) {
		return r.Code, true
	}
	// The guard believed it, and the tenant has no such order: row-level security hides another's.
	if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
		return event.RefusedTenantMismatch, true
	}
	return "", false
}

// decode is the guard.
func decode(rec *kgo.Record) (event.Event, error) {
	ev, err := event.Decode(headersOf(rec), rec.Value)
	if err != nil {
		return ev, fmt.Errorf("record %d of partition %d: %w", rec.Offset, rec.Partition, err)
	}
	ev.TopicID, ev.Partition, ev.Offset, ev.LoggedAt = topicOf(rec), rec.Partition, rec.Offset, rec.Timestamp.UTC()
	return ev, nil
}
