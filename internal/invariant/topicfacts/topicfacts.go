// Package topicfacts reads the topic's share of invariant.Facts: every record from the first offset to
// the end, as any outside reader with isolation read_committed sees it, with a client of its own. It
// must not know the product's relay, consumers or envelope, and it joins no group: reading leaves no
// trace.
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

// deadLettersSuffix names the topic of the saga's dead letters after that of the events.
const deadLettersSuffix = ".fulfilment.dlq"

// Read takes all events and dead letters up to the end as it is now. A missing topic of dead letters
// holds none; a missing topic of events is an error.
func Read(ctx context.Context, brokers []string, topic string) (*invariant.Topic, error) {
	events, horizon, err := readAll(ctx, brokers, topic)
	if err != nil {
		return nil, fmt.Errorf("read topic %s: %w", topic, err)
	}
	letters, _, err := readAll(ctx, brokers, topic+deadLettersSuffix)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, fmt.Errorf("read topic %s: %w", topic+deadLettersSuffix, err)
	}
	if letters == nil {
		letters = []invariant.Record{} // none, as opposed to not read
	}
	return &invariant.Topic{Records: events, DeadLetters: letters, Horizon: horizon}, nil
}

// readAll reads a topic, and says from when on it is whole: zero when it begins at its beginning.
func readAll(ctx context.Context, brokers []string, topic string) ([]invariant.Record, time.Time, error) {
	var horizon time.Time
	starts, ends, err := bounds(ctx, brokers, topic)
	if err != nil {
		return nil, horizon, err
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	for p, end := range ends {
		if starts[p] < end {
			from[p], left[p] = kgo.NewOffset().At(starts[p]), end
		}
	}
	if len(left) == 0 {
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
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, horizon, err
		}
		for _, f := range fetches.Errors() {
			return nil, horizon, f.Err
		}
		for _, rec := range fetches.Records() {
			end, open := left[rec.Partition]
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
				delete(left, rec.Partition)
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

// bounds are each partition's first offset and its last stable one: what is committed now.
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
