package harness

import (
	"context"
	"errors"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/invariant"
)

// broker is what outlives every process: the topic, the relay's position that was committed with the
// last batch, and how far each consumer has read. Like the real one it hands an event out again when a
// consumer died before its offset was committed.
type broker struct {
	topic    []invariant.Record // the events as they were published
	position app.RelayPosition
	noted    bool // the database knows of the position
	offsets  map[event.Consumer]int
}

// consumers in the order in which they read.
var consumers = []event.Consumer{
	event.Provision, event.Billing, event.Notify, app.WebhookConsumer, app.AnalyticsConsumer, event.Audit,
}

// Publish carries every committed event through the envelope to the consumers that hear it, and tells
// how many there were. A process that dies in it is followed by another, which goes on.
func (w *Harness) Publish() int {
	w.t.Helper()
	before := len(w.Events)
	for !w.Survive(func() { w.relay(); w.consume() }) {
	}
	return len(w.Events) - before
}

// relay publishes the outbox as the real one does: the rows of the last batch go first, for whoever
// published it may have died before.
func (w *Harness) relay() {
	w.t.Helper()
	ctx := w.t.Context()
	for {
		if w.broker.position.Batch > 0 && !w.broker.noted {
			if err := w.outbox.Done(ctx, w.broker.position); err != nil {
				w.t.Fatalf("finish a batch: %v", err)
			}
			w.broker.noted = true
		}
		rows, err := w.outbox.Pending(ctx, 500)
		if err != nil {
			w.t.Fatalf("read the outbox: %v", err)
		}
		if len(rows) == 0 {
			return
		}
		pos := app.RelayPosition{Epoch: w.broker.position.Epoch, Batch: w.broker.position.Batch + 1}
		for _, r := range rows {
			pos.IDs = append(pos.IDs, r.ID)
			if r.DeadLetter == nil {
				w.append(r)
			}
		}
		w.broker.position, w.broker.noted = pos, false
	}
}

func (w *Harness) append(r app.OutboxRow) {
	w.t.Helper()
	msg := event.Encode(r.Record)
	ev, err := event.Decode(msg.Headers, msg.Value)
	if err != nil {
		w.t.Fatalf("decode %s: %v", r.Record.Type, err)
	}
	ev.TopicID, ev.Offset = [16]byte{1}, int64(len(w.Events))
	w.Events, w.broker.topic = append(w.Events, ev), append(w.broker.topic, recordOf(len(w.broker.topic), msg))
}

// consume lets every consumer read to the end of the topic.
func (w *Harness) consume() {
	w.t.Helper()
	if w.broker.offsets == nil {
		w.broker.offsets = map[event.Consumer]int{}
	}
	for _, who := range consumers {
		for w.broker.offsets[who] < len(w.Events) {
			if ev := w.Events[w.broker.offsets[who]]; routedAs(who).Hears(ev.Type) {
				w.hear(who, ev)
			}
			w.broker.offsets[who]++
		}
	}
}

// routedAs is whose row of the routing matrix a consumer hears.
func routedAs(who event.Consumer) event.Consumer {
	if who == app.WebhookConsumer || who == app.AnalyticsConsumer {
		return event.Portal
	}
	return who
}

// hear gives an event to a consumer, twice: the second time must change nothing.
func (w *Harness) hear(who event.Consumer, ev event.Event) {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	apply := w.UseCases.Worker.Handlers[string(who)].Apply
	if who == event.Audit {
		apply = w.UseCases.Audit.AuditEvent
		if w.Config.Failpoints != nil {
			apply = w.Config.Failpoints.Effect(apply)
		}
	}
	for range 2 {
		err := apply(ctx, ev)
		if err == nil || errors.Is(err, app.ErrDuplicate) || errors.Is(err, app.ErrBlocked) {
			continue
		}
		if !w.Parks {
			w.t.Fatalf("%s hears %s: %v", who, ev.Type, err)
		}
		p := app.Poison{Consumer: string(who), Event: ev, Attempts: 6, FirstFailedAt: w.Clock.Now(), Err: err}
		if err := w.UseCases.Worker.ParkEvent(ctx, p); err != nil && !errors.Is(err, app.ErrDuplicate) {
			w.t.Fatalf("park %s of %s: %v", ev.Type, who, err)
		}
	}
}
