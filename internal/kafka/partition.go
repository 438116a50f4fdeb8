package kafka

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

const (
	maxJitter        = 0.1              // added to a wait, never subtracted (D5)
	unavailablePause = time.Second      // between attempts while the database is unavailable
	stoppedPause     = 30 * time.Second // between attempts once the retries are used up
)

// partition works on one assigned partition. The poll loop queues its records and never waits; a
// goroutine of its own applies them.
type partition struct {
	c      *Consumer
	cl     *kgo.Client
	number int32
	cancel context.CancelFunc
	ended  chan struct{} // closed when the goroutine has ended
	more   chan struct{} // size 1: something was queued

	stopped atomic.Bool
	unread  atomic.Int64 // offsets between the last fetch and the last stable offset at that time

	mu             sync.Mutex
	queue          [][]*kgo.Record    // guarded by mu; by fetch; the first ones are being applied
	paused         bool               // guarded by mu
	current        time.Time          // guarded by mu; when the record that is being applied was published
	stopCollecting context.CancelFunc // guarded by mu; ends the wait for a full batch; nil without such a wait
}

// push queues the records of a fetch, and pauses the partition when enough is queued.
func (p *partition) push(records []*kgo.Record) {
	p.mu.Lock()
	p.queue = append(p.queue, records)
	if p.full() && !p.paused {
		p.paused = true
		p.cl.PauseFetchPartitions(p.topicPartition())
	}
	if p.stopCollecting != nil && p.queued() >= maxBatch {
		p.stopCollecting()
	}
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *partition) topicPartition() map[string][]int32 {
	return map[string][]int32{p.c.Cluster.Names.Events: {p.number}}
}

// front waits for the next fetch and returns its records. They stay in the queue, so that they count as
// behind until they are applied.
func (p *partition) front(ctx context.Context) ([]*kgo.Record, error) {
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p.mu.Lock()
		if len(p.queue) > 0 {
			records := p.queue[0]
			p.mu.Unlock()
			return records, nil
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-p.more:
		}
	}
}

// done removes the first fetches from the queue, and resumes the partition when there is room again.
func (p *partition) done(fetched int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.current = p.queue[fetched:], time.Time{}
	if p.paused && !p.full() {
		p.paused = false
		p.cl.ResumeFetchPartitions(p.topicPartition())
	}
}

// oldest returns when the oldest record that is not applied yet was published, or zero if there is none.
func (p *partition) oldest() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.current.IsZero() || len(p.queue) == 0 {
		return p.current
	}
	return p.queue[0][0].Timestamp
}

// behind returns how many events are not applied yet. Events that are not read yet are counted by
// offset, and each transaction's marker also has one: the number is too high by one for each
// transaction that is not read yet.
func (p *partition) behind() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.queued()) + p.unread.Load()
}

func (p *partition) run(ctx context.Context) {
	defer close(p.ended)
	defer p.resume()
	if p.c.sub.ApplyAll != nil {
		p.runBatches(ctx)
		return
	}
	for {
		records, err := p.front(ctx)
		if err != nil {
			return
		}
		for _, rec := range records {
			p.mu.Lock()
			p.current = rec.Timestamp
			p.mu.Unlock()
			if err := p.apply(ctx, rec); err != nil {
				return // revoked or stopping: no offset is committed, the next owner repeats, the inbox drops duplicates
			}
		}
		p.done(1)
		p.commit(ctx, records[len(records)-1])
	}
}

// commit commits the offset behind the last record to the consumer group.
func (p *partition) commit(ctx context.Context, last *kgo.Record) {
	if err := p.cl.CommitRecords(ctx, last); err != nil && ctx.Err() == nil {
		// The next commit covers this one. A restart before it repeats the events, and the inbox drops them.
		p.c.Log.WarnContext(ctx, "offsets not committed",
			"consumer", p.c.sub.Group, "partition", p.number, "error", err)
	}
}

// resume resumes a paused partition when its goroutine ends: the client may be assigned it again.
func (p *partition) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused {
		p.cl.ResumeFetchPartitions(p.topicPartition())
	}
}

// apply applies one record, with the retries of fulfil.Backoff. It returns nil once the record is
// applied, skipped, refused or parked, and otherwise only the context's error.
func (p *partition) apply(ctx context.Context, rec *kgo.Record) error {
	c := p.c
	ev, err := decode(rec)
	if err == nil && !c.sub.Consumer.Subscribes(ev.Type) {
		return nil
	}
	defer p.stopped.Store(false)
	var firstFailed time.Time
	for retries := 0; ; {
		if err == nil {
			err = c.sub.Apply(ctx, ev)
		}
		code, refused := refusalCode(err)
		wait := unavailablePause
		switch {
		case err == nil:
			c.applied.Add(1)
			return nil
		case errors.Is(err, app.ErrDuplicate):
			c.duplicates.Add(1)
			return nil
		case errors.Is(err, app.ErrBlocked):
			c.blocked.Add(1)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case refused:
			return c.refuse(ctx, rec, code)
		case unavailable(err): // uses up no retry
		case retries < len(fulfil.Backoff):
			if retries == 0 {
				firstFailed = c.Clock.Now()
			}
			wait = c.jittered(fulfil.Backoff[retries])
			retries++
			c.retried.Add(1)
		case c.sub.Park != nil:
			return p.park(ctx, app.Poison{
				Consumer: c.sub.Name, Event: ev, Attempts: retries + 1, FirstFailedAt: firstFailed, Err: err,
			})
		default:
			wait = c.jittered(stoppedPause)
			p.stopped.Store(true)
		}
		p.logRetry(ctx, ev, retries, wait, err)
		if err = c.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// park parks a poison message. It repeats until the database has the dead letter.
func (p *partition) park(ctx context.Context, poison app.Poison) error {
	c := p.c
	for {
		err := c.sub.Park(ctx, poison)
		switch {
		case err == nil:
			c.parked.Add(1)
			p.log(poison.Event).ErrorContext(ctx,
				"event parked: later events of its order are blocked behind it, see the fallout desk",
				"attempts", poison.Attempts, "error", poison.Err)
			return nil
		case errors.Is(err, app.ErrDuplicate): // the partition's previous owner was slow, but handled the event
			c.duplicates.Add(1)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		p.log(poison.Event).WarnContext(ctx, "event not parked yet", "error", errors.Join(err, poison.Err))
		if err := c.Pause(ctx, unavailablePause); err != nil {
			return err
		}
	}
}

// unavailable reports whether an error means that the database cannot be reached.
func unavailable(err error) bool {
	f := fault.Of(err)
	return f != nil && f.Kind == fault.KindUnavailable
}

// jittered adds jitter to a wait and divides it by the clock's speed.
func (c *Consumer) jittered(d time.Duration) time.Duration {
	return (d + time.Duration(float64(d)*maxJitter*c.Random())) / time.Duration(max(1, c.Clock.Speed()))
}

func (p *partition) log(ev event.Event) *slog.Logger {
	return p.c.Log.With("consumer", p.c.sub.Group, "partition", p.number, "offset", ev.Offset,
		"type", ev.Type, "tenant", ev.Tenant, "order", ev.Order, "seq", ev.Seq)
}

// logRetry logs that an event will be tried again after wait.
func (p *partition) logRetry(ctx context.Context, ev event.Event, retries int, wait time.Duration, err error) {
	log := p.log(ev).With("attempt", retries, "next", wait, "error", err)
	if p.stopped.Load() {
		log.ErrorContext(ctx, "partition stopped: its next event cannot be applied and all retries are used up")
		return
	}
	log.WarnContext(ctx, "event not applied yet")
}

// Bounds of what a refusal keeps of a record's headers: anybody may have written the record.
const (
	refusedHeaders = 32  // number of headers
	refusedBytes   = 256 // of a name and of a value
)

func (c *Consumer) refusal(ctx context.Context, rec *kgo.Record, code event.RefusalCode) (app.Refusal, error) {
	r := app.Refusal{
		Consumer: c.sub.Group, Partition: rec.Partition, Offset: rec.Offset, Code: string(code),
		Headers: map[string]string{}, DataSHA256: sha256.Sum256(rec.Value), At: c.Clock.Now(),
	}
	for _, h := range rec.Headers[:min(len(rec.Headers), refusedHeaders)] {
		r.Headers[printable([]byte(h.Key))] = printable(h.Value)
	}
	id, err := c.topicID(ctx)
	r.TopicID = id
	return r, err
}

// printable cuts a text to refusedBytes, and replaces what a database cannot store: NUL and invalid
// UTF-8.
func printable(b []byte) string {
	s := string(b[:min(len(b), refusedBytes)])
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// topicID returns the id of the topic as it is now. A rebuilt topic has a new id, and its offsets
// start at 0 again.
func (c *Consumer) topicID(ctx context.Context) ([16]byte, error) {
	cl, err := c.Cluster.client()
	if err != nil {
		return [16]byte{}, err
	}
	defer cl.Close()
	m, err := kadm.NewClient(cl).Metadata(ctx, c.Cluster.Names.Events)
	if err != nil {
		return [16]byte{}, fmt.Errorf("read the id of topic %s: %w", c.Cluster.Names.Events, err)
	}
	t := m.Topics[c.Cluster.Names.Events]
	return t.ID, t.Err
}
