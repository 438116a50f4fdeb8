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
	jitterMost   = 0.1              // upward only (D5)
	awayPause    = time.Second      // between looks for a database that is away
	stoppedPause = 30 * time.Second // between tries once the retries are used up
)

// partition is the work of one assigned partition. Its goroutine applies; the poll loop pushes and
// never waits for it.
type partition struct {
	c      *Consumer
	cl     *kgo.Client
	number int32
	cancel context.CancelFunc
	ended  chan struct{} // closed when the goroutine is gone
	more   chan struct{} // size 1: something was queued

	stopped atomic.Bool
	unread  atomic.Int64 // offsets up to the last that was committed when it was read last

	mu     sync.Mutex
	queue  [][]*kgo.Record    // guarded by mu; the first ones are being worked on
	paused bool               // guarded by mu
	doing  time.Time          // guarded by mu; when the record in work was published
	enough context.CancelFunc // guarded by mu; ends the wait for a full batch, nil while there is none
}

// push queues what was read, and pauses the partition while enough is queued.
func (p *partition) push(records []*kgo.Record) {
	p.mu.Lock()
	p.queue = append(p.queue, records)
	if p.full() && !p.paused {
		p.paused = true
		p.cl.PauseFetchPartitions(p.itself())
	}
	if p.enough != nil && p.queued() >= batchMost {
		p.enough()
	}
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *partition) itself() map[string][]int32 {
	return map[string][]int32{p.c.Cluster.Names.Events: {p.number}}
}

// front waits for the next batch and leaves it queued, so that it counts while it is worked on.
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

// done takes what was fetched first off the queue.
func (p *partition) done(fetched int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.doing = p.queue[fetched:], time.Time{}
	if p.paused && !p.full() {
		p.paused = false
		p.cl.ResumeFetchPartitions(p.itself())
	}
}

// oldest is when the oldest record not yet done with was published; zero when there is none.
func (p *partition) oldest() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.doing.IsZero() || len(p.queue) == 0 {
		return p.doing
	}
	return p.queue[0][0].Timestamp
}

// behind is how many events are not done with. Those that were not even read are counted by offset, and
// so is the mark that ends each transaction: while there are such it is too high by one a transaction.
func (p *partition) behind() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.queued()) + p.unread.Load()
}

func (p *partition) run(ctx context.Context) {
	defer close(p.ended)
	defer p.leave()
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
			p.doing = rec.Timestamp
			p.mu.Unlock()
			if err := p.one(ctx, rec); err != nil {
				return // revoked or stopping: nothing is committed, the next owner repeats, the inbox absorbs
			}
		}
		p.done(1)
		p.commit(ctx, records[len(records)-1])
	}
}

// commit tells Kafka how far the partition has come.
func (p *partition) commit(ctx context.Context, last *kgo.Record) {
	if err := p.cl.CommitRecords(ctx, last); err != nil && ctx.Err() == nil {
		// The next batch's commit covers this one; until then a restart repeats it, and the inbox absorbs.
		p.c.Log.WarnContext(ctx, "offsets not committed", "consumer", p.c.sub.Group, "partition", p.number, "error", err)
	}
}

// leave resumes what was paused: the client may be assigned the partition again.
func (p *partition) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused {
		p.cl.ResumeFetchPartitions(p.itself())
	}
}

// one applies one record, with the retries of fulfil.Backoff. It returns only when it is done with the record,
// or with the context's error.
func (p *partition) one(ctx context.Context, rec *kgo.Record) error {
	c := p.c
	ev, err := decode(rec)
	if err == nil && !c.sub.Consumer.Hears(ev.Type) {
		return nil
	}
	defer p.stopped.Store(false)
	var failed time.Time // first
	for try := 0; ; {
		if err == nil {
			err = c.sub.Apply(ctx, ev)
		}
		code, refused := refusalCode(err)
		wait := awayPause
		switch {
		case err == nil:
			c.applied.Add(1)
			return nil
		case errors.Is(err, app.ErrDuplicate):
			c.duplicates.Add(1)
			return nil
		case errors.Is(err, app.ErrBlocked):
			c.held.Add(1)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case refused:
			return c.refuse(ctx, rec, code)
		case away(err): // costs no retry
		case try < len(fulfil.Backoff):
			if try == 0 {
				failed = c.Clock.Now()
			}
			wait = c.scaled(fulfil.Backoff[try])
			try++
			c.retried.Add(1)
		case c.sub.Park != nil:
			return p.park(ctx, app.Poison{Consumer: c.sub.Name, Event: ev, Attempts: try + 1, FirstFailedAt: failed, Err: err})
		default:
			wait = c.scaled(stoppedPause)
			p.stopped.Store(true)
		}
		p.tell(ctx, ev, try, wait, err)
		if err = c.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// park sets an event aside. It goes on until the database has it.
func (p *partition) park(ctx context.Context, poison app.Poison) error {
	c := p.c
	for {
		err := c.sub.Park(ctx, poison)
		switch {
		case err == nil:
			c.parked.Add(1)
			p.log(poison.Event).ErrorContext(ctx, "event parked: its order's later events wait behind it, see the desk",
				"attempts", poison.Attempts, "error", poison.Err)
			return nil
		case errors.Is(err, app.ErrDuplicate): // who had the partition before was slow, and did it after all
			c.duplicates.Add(1)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		p.log(poison.Event).WarnContext(ctx, "event cannot be parked yet", "error", errors.Join(err, poison.Err))
		if err := c.Pause(ctx, awayPause); err != nil {
			return err
		}
	}
}

func away(err error) bool {
	f := fault.Of(err)
	return f != nil && f.Kind == fault.KindUnavailable
}

// scaled is a wait of policy with its jitter, by the clock's speed.
func (c *Consumer) scaled(d time.Duration) time.Duration {
	return (d + time.Duration(float64(d)*jitterMost*c.Random())) / time.Duration(max(1, c.Clock.Speed()))
}

func (p *partition) log(ev event.Event) *slog.Logger {
	return p.c.Log.With("consumer", p.c.sub.Group, "partition", p.number, "offset", ev.Offset, "type", ev.Type, "tenant",
		ev.Tenant, "order", ev.Order, "seq", ev.Seq)
}

// tell logs that an event is tried again.
func (p *partition) tell(ctx context.Context, ev event.Event, try int, wait time.Duration, err error) {
	log := p.log(ev).With("attempt", try, "next", wait, "error", err)
	if p.stopped.Load() {
		log.ErrorContext(ctx, "partition stands still: its next event cannot be applied and all retries are used up")
		return
	}
	log.WarnContext(ctx, "event not applied yet")
}

// Bounds of what is kept of a refused record's headers: it may be anybody's.
const (
	refusedHeaders = 32
	refusedBytes   = 256
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

// printable cuts a text to its bound and to what a database stores: UTF-8 without NUL.
func printable(b []byte) string {
	s := string(b[:min(len(b), refusedBytes)])
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// topicID names the topic as it is now; a rebuilt one has another, and offsets anew.
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
