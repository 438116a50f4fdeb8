package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// openTxn is a transaction in a partition that has records but no end.
type openTxn struct {
	topic     string
	partition int32
	producer  int64
}

// endOpenTransactions writes the abort markers that a killed broker could not write. The embedded
// broker does treat such transactions as aborted when it reads its files again, but without a marker
// in the log a client that reads only what is committed goes on to drop every later record of the
// same producer: after a kill, whatever a relay of the same transactional id published would be lost
// on consumers. Apache Kafka's coordinator writes these markers itself. It must run before anybody
// else can reach the broker, and returns how many transactions were ended.
func endOpenTransactions(ctx context.Context, addr string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DisableClientMetrics())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx)
	if err != nil {
		return 0, fmt.Errorf("list where partitions begin: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx)
	if err != nil {
		return 0, fmt.Errorf("list where partitions end: %w", err)
	}
	open, err := findOpen(ctx, addr, starts, ends)
	if err != nil {
		return 0, fmt.Errorf("look for open transactions: %w", err)
	}
	for txn, epoch := range open {
		partitions := make(kadm.TopicsSet)
		partitions.Add(txn.topic, txn.partition)
		done, err := admin.WriteTxnMarkers(ctx, kadm.TxnMarkers{ProducerID: txn.producer, ProducerEpoch: epoch, Topics: partitions})
		if err != nil {
			return 0, fmt.Errorf("abort a transaction in %s/%d: %w", txn.topic, txn.partition, err)
		}
		for _, p := range done[txn.producer].Topics[txn.topic].Partitions {
			if p.Err != nil {
				return 0, fmt.Errorf("abort a transaction in %s/%d: %w", txn.topic, txn.partition, p.Err)
			}
		}
	}
	return len(open), nil
}

// findOpen reads all partitions from start to end and returns the transactions that have no end,
// with the epoch of their producers.
func findOpen(ctx context.Context, addr string, starts, ends kadm.ListedOffsets) (map[openTxn]int16, error) {
	from := make(map[string]map[int32]kgo.Offset)
	left := make(map[string]map[int32]int64) // the last offset still to be seen
	unread := 0
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(end.Topic, end.Partition)
		if !ok || start.Offset >= end.Offset {
			return
		}
		if from[end.Topic] == nil {
			from[end.Topic], left[end.Topic] = make(map[int32]kgo.Offset), make(map[int32]int64)
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(start.Offset)
		left[end.Topic][end.Partition] = end.Offset - 1
		unread++
	})
	open := make(map[openTxn]int16)
	if unread == 0 {
		return open, nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(from), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.FetchMaxWait(50*time.Millisecond), kgo.DisableClientMetrics())
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for unread > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			txn := openTxn{r.Topic, r.Partition, r.ProducerID}
			if r.Attrs.IsControl() {
				delete(open, txn)
			} else if r.Attrs.IsTransactional() {
				open[txn] = r.ProducerEpoch
			}
			if r.Offset == left[r.Topic][r.Partition] {
				unread--
			}
		})
	}
	return open, nil
}
