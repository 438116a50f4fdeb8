package harness

import (
	"context"
	"errors"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/invariant"
)

// broker is what survives every process: the topic, the relay's position that was committed with the last batch, and
// the offsets of the consumers. Like a real broker it delivers an event again when a consumer died before it committed
// the offset.
type broker struct {
	topic    []invariant.Record // the events as they were published
	position app.RelayPosition
	recorded bool // the position is in the database
	offsets  map[event.Consumer]int
}

// consumers lists the consumers in the order in which they read.
var consumers = []event.Consumer{
	event.Provision, event.Billing, event.Notify, app.WebhookConsumer, app.AnalyticsConsumer, event.Audit,
}

// Publish publishes every committed event and lets the consumers handle it. It returns how many events were published.
// When the process dies during it, the next process goes on.
func (h *Harness) Publish() int {
	h.t.Helper()
	before := len(h.Events)
	for !h.RestartOnCrash(func() { h.relay(); h.consume() }) {
	}
	return len(h.Events) - before
}

// relay publishes the outbox as the real relay does. It first finishes the last batch, because the process that
// published it may have died before it removed the rows.
func (h *Harness) relay() {
	h.t.Helper()
	ctx := h.t.Context()
	for {
		if h.broker.position.Batch > 0 && !h.broker.recorded {
			if err := h.outbox.Done(ctx, h.broker.position); err != nil {
				h.t.Fatalf("finish a batch: %v", err)
			}
			h.broker.recorded = true
		}
		rows, err := h.outbox.Pending(ctx, 500)
		if err != nil {
			h.t.Fatalf("read the outbox: %v", err)
		}
		if len(rows) == 0 {
			return
		}
		pos := app.RelayPosition{Epoch: h.broker.position.Epoch, Batch: h.broker.position.Batch + 1}
		for _, r := range rows {
			pos.IDs = append(pos.IDs, r.ID)
			if r.DeadLetter == nil {
				h.appendToTopic(r)
			}
		}
		h.broker.position, h.broker.recorded = pos, false
	}
}

func (h *Harness) appendToTopic(r app.OutboxRow) {
	h.t.Helper()
	msg := event.Encode(r.Record)
	ev, err := event.Decode(msg.Headers, msg.Value)
	if err != nil {
		h.t.Fatalf("decode %s: %v", r.Record.Type, err)
	}
	ev.TopicID, ev.Offset = [16]byte{1}, int64(len(h.Events))
	h.Events, h.broker.topic = append(h.Events, ev), append(h.broker.topic, topicRecord(len(h.broker.topic), msg))
}

// consume lets every consumer read up to the end of the topic.
func (h *Harness) consume() {
	h.t.Helper()
	if h.broker.offsets == nil {
		h.broker.offsets = map[event.Consumer]int{}
	}
	for _, who := range consumers {
		for h.broker.offsets[who] < len(h.Events) {
			if ev := h.Events[h.broker.offsets[who]]; routingConsumer(who).Subscribes(ev.Type) {
				h.handleTwice(who, ev)
			}
			h.broker.offsets[who]++
		}
	}
}

// routingConsumer returns the consumer whose row of the routing matrix applies to a consumer.
func routingConsumer(who event.Consumer) event.Consumer {
	if who == app.WebhookConsumer || who == app.AnalyticsConsumer {
		return event.Portal
	}
	return who
}

// handleTwice gives an event to a consumer twice. The second time must change nothing.
func (h *Harness) handleTwice(who event.Consumer, ev event.Event) {
	h.t.Helper()
	ctx := context.WithoutCancel(h.t.Context())
	apply := h.UseCases.Worker.Handlers[string(who)].Apply
	if who == event.Audit {
		apply = h.UseCases.Audit.AuditEvent
		if h.Config.Failpoints != nil {
			apply = h.Config.Failpoints.Effect(apply)
		}
	}
	for range 2 {
		err := apply(ctx, ev)
		if err == nil || errors.Is(err, app.ErrDuplicate) || errors.Is(err, app.ErrBlocked) {
			continue
		}
		if !h.ParkOnError {
			h.t.Fatalf("%s handles %s: %v", who, ev.Type, err)
		}
		p := app.Poison{Consumer: string(who), Event: ev, Attempts: 6, FirstFailedAt: h.Clock.Now(), Err: err}
		if err := h.UseCases.Worker.ParkEvent(ctx, p); err != nil && !errors.Is(err, app.ErrDuplicate) {
			h.t.Fatalf("park %s of %s: %v", ev.Type, who, err)
		}
	}
}
