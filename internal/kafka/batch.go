package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/event"
)

// A subscription with ApplyAll collects before it applies, because its effect costs by the transaction
// (ADR 0020): a partition waits a second from its first event on, or until it has this many.
const (
	batchMost = 2000
	batchWait = time.Second
)

// full reports whether enough is queued for the partition to be paused. It is called with mu held.
func (p *partition) full() bool {
	if p.c.sub.ApplyAll == nil {
		return len(p.queue) >= queuedBatches
	}
	return p.queued() >= queuedBatches*batchMost
}

// queued counts records. It is called with mu held.
func (p *partition) queued() int {
	n := 0
	for _, records := range p.queue {
		n += len(records)
	}
	return n
}

// runBatches is run for a subscription with ApplyAll.
func (p *partition) runBatches(ctx context.Context) {
	for {
		records, fetched, err := p.collect(ctx)
		if err != nil {
			return
		}
		if err := p.together(ctx, records); err != nil {
			return // revoked or stopping: no offset is committed, the next owner repeats, the inbox absorbs
		}
		p.done(fetched)
		p.commit(ctx, records[len(records)-1])
	}
}

// collect waits for the first records and then for more, and leaves all of them queued. fetched is of how
// many fetches they are.
func (p *partition) collect(ctx context.Context) (records []*kgo.Record, fetched int, err error) {
	if _, err := p.front(ctx); err != nil {
		return nil, 0, err
	}
	waiting, enough := context.WithCancel(ctx)
	defer enough()
	p.mu.Lock()
	p.enough = enough
	late := p.queued() >= batchMost
	p.mu.Unlock()
	if !late {
		_ = p.c.Pause(waiting, batchWait) // ended early by push, or by the context
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enough = nil
	for _, some := range p.queue {
		if fetched > 0 && len(records)+len(some) > batchMost {
			break
		}
		records, fetched = append(records, some...), fetched+1
	}
	return records, fetched, nil
}

// together applies records in their order, all at once where the guard lets them by: one that it refuses
// is taken by itself, where it stands.
func (p *partition) together(ctx context.Context, records []*kgo.Record) error {
	for len(records) > 0 {
		var evs []event.Event
		n := 0
		for ; n < len(records); n++ {
			ev, err := decode(records[n])
			if err != nil {
				break
			}
			if p.c.sub.Consumer.Hears(ev.Type) {
				evs = append(evs, ev)
			}
		}
		if err := p.all(ctx, records[:n], evs); err != nil {
			return err
		}
		rest := records[n:]
		if len(rest) > 0 {
			if err := p.one(ctx, rest[0]); err != nil {
				return err
			}
			rest = rest[1:]
		}
		records = rest
	}
	return nil
}

// all applies the events of these records. When that fails for another reason than that the database is away,
// they are taken again one by one: so only what stands behind the one at fault waits for its retries, and it
// alone is parked. What was applied before is then a duplicate.
func (p *partition) all(ctx context.Context, records []*kgo.Record, evs []event.Event) error {
	c := p.c
	for len(evs) > 0 {
		heard, err := c.sub.ApplyAll(ctx, evs)
		c.applied.Add(int64(heard.Applied))
		c.duplicates.Add(int64(heard.Duplicates))
		c.held.Add(int64(heard.Blocked))
		log := c.Log.With("consumer", c.sub.Group, "partition", p.number, "events", len(evs), "error", err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !away(err):
			log.WarnContext(ctx, "events not applied together; they are taken one by one")
			return p.singly(ctx, records)
		}
		log.WarnContext(ctx, "events not applied yet", "next", awayPause) // costs no retry
		if err := c.Pause(ctx, awayPause); err != nil {
			return err
		}
	}
	return nil
}

func (p *partition) singly(ctx context.Context, records []*kgo.Record) error {
	for _, rec := range records {
		if err := p.one(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}
