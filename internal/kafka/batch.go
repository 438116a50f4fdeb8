package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/event"
)

// Limits of a batch. A subscription with ApplyAll collects events before it applies them, because the
// cost of its effect is per transaction (ADR 0020). A partition collects for batchWait after its
// first event, or until it has maxBatch records.
const (
	maxBatch  = 2000
	batchWait = time.Second
)

// full reports whether enough is queued to pause the partition. mu is held.
func (p *partition) full() bool {
	if p.c.sub.ApplyAll == nil {
		return len(p.queue) >= queuedBatches
	}
	return p.queued() >= queuedBatches*maxBatch
}

// queued counts the records in the queue. mu is held.
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
		if err := p.applyBatch(ctx, records); err != nil {
			return // revoked or stopping: no offset is committed, the next owner repeats, the inbox drops duplicates
		}
		p.done(fetched)
		p.commit(ctx, records[len(records)-1])
	}
}

// collect waits for the first records and then for more, and leaves all of them in the queue. fetched
// is the number of fetches that they came with.
func (p *partition) collect(ctx context.Context) (records []*kgo.Record, fetched int, err error) {
	if _, err := p.front(ctx); err != nil {
		return nil, 0, err
	}
	collecting, stop := context.WithCancel(ctx)
	defer stop()
	p.mu.Lock()
	p.stopCollecting = stop
	complete := p.queued() >= maxBatch
	p.mu.Unlock()
	if !complete {
		_ = p.c.Pause(collecting, batchWait) // ended early by push, or by the context
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopCollecting = nil
	for _, fetch := range p.queue {
		if fetched > 0 && len(records)+len(fetch) > maxBatch {
			break
		}
		records, fetched = append(records, fetch...), fetched+1
	}
	return records, fetched, nil
}

// applyBatch applies records in their order, as many at once as possible. A record that the guard
// refuses divides the batch: it is handled by itself, after the records before it.
func (p *partition) applyBatch(ctx context.Context, records []*kgo.Record) error {
	for len(records) > 0 {
		var evs []event.Event
		n := 0
		for ; n < len(records); n++ {
			ev, err := decode(records[n])
			if err != nil {
				break
			}
			if p.c.sub.Consumer.Subscribes(ev.Type) {
				evs = append(evs, ev)
			}
		}
		if err := p.applyAll(ctx, records[:n], evs); err != nil {
			return err
		}
		rest := records[n:]
		if len(rest) > 0 {
			if err := p.apply(ctx, rest[0]); err != nil {
				return err
			}
			rest = rest[1:]
		}
		records = rest
	}
	return nil
}

// applyAll applies the events of these records in one call, and repeats it while the database is
// unavailable. After any other error it applies the records one by one: then only the events behind
// the poison message wait for its retries, and only that one is parked. What had been applied
// already counts as a duplicate.
func (p *partition) applyAll(ctx context.Context, records []*kgo.Record, evs []event.Event) error {
	c := p.c
	for len(evs) > 0 {
		result, err := c.sub.ApplyAll(ctx, evs)
		c.applied.Add(int64(result.Applied))
		c.duplicates.Add(int64(result.Duplicates))
		c.blocked.Add(int64(result.Blocked))
		log := c.Log.With("consumer", c.sub.Group, "partition", p.number, "events", len(evs), "error", err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !unavailable(err):
			log.WarnContext(ctx, "batch of events not applied; applying them one by one")
			return p.applyEach(ctx, records)
		}
		log.WarnContext(ctx, "events not applied yet", "next", unavailablePause) // costs no retry
		if err := c.Pause(ctx, unavailablePause); err != nil {
			return err
		}
	}
	return nil
}

func (p *partition) applyEach(ctx context.Context, records []*kgo.Record) error {
	for _, rec := range records {
		if err := p.apply(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}
