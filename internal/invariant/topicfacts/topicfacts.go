// Package topicfacts reads the topic's part of invariant.Facts: every record from the first offset to the end, as an
// outside reader with isolation read_committed sees it, with a client of its own. It must not know the product's relay,
// consumers or envelope. It joins no group, so reading leaves no trace.
package topicfacts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/invariant"
)

// deadLettersSuffix is appended to the name of the events' topic for the topic of the saga's dead letters.
const deadLettersSuffix = ".fulfilment.dlq"

// Read reads all events and dead letters up to the present end. A missing topic of dead letters counts as empty; a
// missing topic of events is an error.
func Read(ctx context.Context, brokers []string, topic string) (*invariant.Topic, error) {
	events, horizon, err := readAll(ctx, brokers, topic)
	if err != nil {
		return nil, fmt.Errorf("read topic %s: %w", topic, err)
	}
	deadLetters, _, err := readAll(ctx, brokers, topic+deadLettersSuffix)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, fmt.Errorf("read topic %s: %w", topic+deadLettersSuffix, err)
	}
	if deadLetters == nil {
		deadLetters = []invariant.Record{} // empty, not unread
	}
	return &invariant.Topic{Records: events, DeadLetters: deadLetters, Horizon: horizon}, nil
}

// readAll reads a topic. It returns the time from which on the topic is complete, which is zero if no record was
// removed.
func readAll(ctx context.Context, brokers []string, topic string) ([]invariant.Record, time.Time, error) {
	var horizon time.Time
	starts, ends, err := bounds(ctx, brokers, topic)
	if err != nil {
		return nil, horizon, err
	}
	from, unread := map[int32]kgo.Offset{}, map[int32]int64{} // unread: partitions and their ends
	for p, end := range ends {
		if starts[p] < end {
			from[p], unread[p] = kgo.NewOffset().At(starts[p]), end
		}
	}
	if len(unread) == 0 {
		return nil, horizon, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ClientID("platforma-doctor"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), // most partitions end with one
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, horizon, err
	}
	defer cl.Close()
	var records []invariant.Record
	first := map[int32]bool{}
	for len(unread) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, horizon, err
		}
		for _, f := range fetches.Errors() {
			return nil, horizon, f.Err
		}
		for _, rec := range fetches.Records() {
			end, open := unread[rec.Partition]
			if !open || rec.Offset >= end {
				continue
			}
			if starts[rec.Partition] > 0 && !first[rec.Partition] && rec.Timestamp.After(horizon) {
				horizon = rec.Timestamp
			}
			first[rec.Partition] = true
			if !rec.Attrs.IsControl() {
				records = append(records, recordOf(rec))
			}
			if rec.Offset == end-1 { // a partition's last offset is a record or the marker of a transaction
				delete(unread, rec.Partition)
			}
		}
	}
	return records, horizon.UTC(), nil
}

func recordOf(rec *kgo.Record) invariant.Record {
	r := invariant.Record{Partition: rec.Partition, Offset: rec.Offset, Key: string(rec.Key), Value: rec.Value}
	for _, h := range rec.Headers {
		r.Headers = append(r.Headers, invariant.Header{Key: h.Key, Value: string(h.Value)})
	}
	return r
}

// bounds returns the first and the last stable offset of each partition.
func bounds(ctx context.Context, brokers []string, topic string) (starts, ends map[int32]int64, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ClientID("platforma-doctor"))
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	low, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = low.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	high, err := admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = high.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	starts, ends = map[int32]int64{}, map[int32]int64{}
	for _, p := range slices.Sorted(maps.Keys(high[topic])) {
		starts[p], ends[p] = low[topic][p].Offset, high[topic][p].Offset
	}
	return starts, ends, nil
}
