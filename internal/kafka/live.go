package kafka

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/event"
)

// Live reads every partition from its end, without a consumer group: each process that serves streams
// gets every event that is published from now on. An event only wakes up the streams. The bytes that a
// viewer gets come from the database, under the viewer's row-level security. So a record that the
// guard refuses is dropped without a trace, and the slow poll of the streams finds what was missed
// while Kafka was unavailable.
type Live struct {
	cluster Cluster
	log     *slog.Logger
}

// NewLive makes a live reader.
func NewLive(c Cluster, log *slog.Logger) *Live { return &Live{cluster: c, log: log} }

// Run calls wake for each event, from one goroutine, until the context ends or the topic was deleted.
// wake must not block: one slow stream would delay all others.
func (l *Live) Run(ctx context.Context, wake func(event.Event)) error {
	cl, err := l.cluster.client(
		kgo.ConsumeTopics(l.cluster.Names.Events),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		failed := false
		fetches.EachError(func(topic string, partition int32, err error) {
			failed = true
			l.log.WarnContext(ctx, "live reader cannot read", "topic", topic, "partition", partition, "error", err)
		})
		fetches.EachRecord(func(rec *kgo.Record) {
			if ev, err := decode(rec); err == nil {
				wake(ev)
			}
		})
		if err := topicDeleted(fetches); err != nil {
			return err
		}
		if failed {
			if err := Wait(ctx, pollPause); err != nil {
				return err
			}
		}
	}
}
