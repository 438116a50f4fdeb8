package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A broker that is killed leaves files in which each single write is complete or absent. A kill can
// interrupt what the broker writes in several steps:
//
//   - a batch of records and its entry in the index: completeIndexes
//   - the end of a transaction in one partition after the other: endOpenTransactions
//
// Apache Kafka handles both cases itself: it can build an index again, and it writes the decision about a
// transaction to a separate log before it ends the transaction in any partition. The embedded broker has no
// such log and does not need one: it acknowledges a commit only after the last partition has it, and a
// transaction that is committed in one partition was decided.

// repair repairs the files of a broker that was killed, before a client can reach it. It can be killed at any
// moment and started again. It returns how many transactions it aborted, and how many partly committed ones
// it committed in their other partitions.
func repair(data string) (aborted, finished int, err error) {
	if err := completeIndexes(data); err != nil {
		return 0, 0, fmt.Errorf("complete the indexes: %w", err)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(data))
	if err != nil {
		return 0, 0, err
	}
	aborted, finished, err = endOpenTransactions(context.Background(), c.ListenAddrs()[0])
	c.Close()
	if err != nil {
		return 0, 0, err
	}
	// When the broker read its files, it took the open transactions for aborted, and wrote so into its
	// snapshots. Without the snapshots it reads the logs.
	return aborted, finished, eachPartitionFile(data, "snapshot.json", os.Remove)
}

// eachPartitionFile calls do for all files of that name in the directories of the partitions.
func eachPartitionFile(data, name string, do func(path string) error) error {
	paths, err := fs.Glob(os.DirFS(data), "partitions/*/"+name)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := do(filepath.Join(data, path)); err != nil {
			return err
		}
	}
	return nil
}

// The format of the broker's files, version 1. An entry of an index is little-endian and has its version,
// the low byte of the CRC-32C of what follows, the leader's epoch (4 bytes), the highest timestamp before the
// batch (8 bytes, never read), and 1 for a batch of a transaction. A log has Kafka's record batches as they
// are sent.
const (
	indexVersion    = 1
	indexEntrySize  = 15
	batchHeaderSize = 61 // bytes before the records of a batch
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// completeIndexes adds the missing entries to the indexes, so that each batch of a log has one. The broker
// would treat a batch without an entry as one without a transaction, which needs no commit, and would use the
// entry of the next batch for it.
func completeIndexes(data string) error {
	return eachPartitionFile(data, "*.dat", func(path string) error {
		batches, err := readBatches(path)
		if err != nil {
			return err
		}
		index := strings.TrimSuffix(path, ".dat") + ".idx"
		entries, err := os.ReadFile(index)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		have := len(entries) / indexEntrySize
		if have >= len(batches) {
			return nil // the broker truncates an index that is too long
		}
		entries = entries[:have*indexEntrySize]
		for _, transactional := range batches[have:] {
			entry := make([]byte, indexEntrySize)
			if have > 0 { // with the epoch of the entry before
				copy(entry, entries[len(entries)-indexEntrySize:])
			}
			entry[0], entry[14] = indexVersion, 0
			if transactional {
				entry[14] = 1
			}
			entry[1] = byte(crc32.Checksum(entry[2:], castagnoli))
			entries = append(entries, entry...)
		}
		return writeDurably(index, entries, 0o600)
	})
}

// readBatches returns for each complete batch of a log whether it has records of a transaction. A marker that
// ends a transaction does not count. An incomplete write at the end is ignored; the broker truncates it.
func readBatches(path string) (transactional []bool, err error) {
	const (
		attributeTransaction = 0x10
		attributeControl     = 0x20
	)
	log, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for len(log) >= batchHeaderSize {
		size := 12 + int64(binary.BigEndian.Uint32(log[8:]))
		if size < batchHeaderSize || size > int64(len(log)) ||
			crc32.Checksum(log[21:size], castagnoli) != binary.BigEndian.Uint32(log[17:]) {
			break
		}
		attributes := binary.BigEndian.Uint16(log[21:])
		transactional = append(transactional, attributes&(attributeTransaction|attributeControl) == attributeTransaction)
		log = log[size:]
	}
	return transactional, nil
}

// producer identifies one transaction: the broker raises the epoch with each transaction (KIP-890).
type producer struct {
	id    int64
	epoch int16
}

// partition is a partition of a topic.
type partition struct {
	topic string
	n     int32
}

// endOpenTransactions writes the markers that a killed broker could not write: a commit marker if the
// transaction is committed in another partition, and otherwise an abort marker. The embedded broker treats
// open transactions as aborted when it reads its files again. But if the log has no marker, a read_committed
// client drops every later record of the same producer: after a kill, consumers would lose all that a relay
// with the same transactional id publishes.
func endOpenTransactions(ctx context.Context, addr string) (aborted, finished int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DisableClientMetrics())
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("list the partitions' start offsets: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("list the partitions' end offsets: %w", err)
	}
	open, committed, err := findOpen(ctx, addr, starts, ends)
	if err != nil {
		return 0, 0, fmt.Errorf("find open transactions: %w", err)
	}
	for txn, partitions := range open {
		if committed[txn] {
			finished++
		} else {
			aborted++
		}
		for _, p := range partitions {
			markers := kadm.TxnMarkers{
				ProducerID: txn.id, ProducerEpoch: txn.epoch, Commit: committed[txn], Topics: make(kadm.TopicsSet),
			}
			markers.Topics.Add(p.topic, p.n)
			done, err := admin.WriteTxnMarkers(ctx, markers)
			if err == nil {
				err = done[txn.id].Topics[p.topic].Partitions[p.n].Err
			}
			if err != nil {
				return 0, 0, fmt.Errorf("end a transaction in %s/%d: %w", p.topic, p.n, err)
			}
		}
	}
	return aborted, finished, nil
}

// findOpen reads all partitions from start to end. It returns for each open transaction the partitions in
// which it has no end, and which transactions are committed in some partition.
func findOpen(
	ctx context.Context, addr string, starts, ends kadm.ListedOffsets,
) (open map[producer][]partition, committed map[producer]bool, err error) {
	from := make(map[string]map[int32]kgo.Offset)
	last := make(map[string]map[int32]int64) // the last offset of each partition
	unread := 0
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(end.Topic, end.Partition)
		if !ok || start.Offset >= end.Offset {
			return
		}
		if from[end.Topic] == nil {
			from[end.Topic], last[end.Topic] = make(map[int32]kgo.Offset), make(map[int32]int64)
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(start.Offset)
		last[end.Topic][end.Partition] = end.Offset - 1
		unread++
	})
	if unread == 0 {
		return nil, nil, nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(from), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.FetchMaxWait(50*time.Millisecond), kgo.DisableClientMetrics())
	if err != nil {
		return nil, nil, err
	}
	defer reader.Close()
	openEpochs := make(map[partition]map[int64]int16) // of open transactions, by partition and producer
	committed = make(map[producer]bool)
	for unread > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			in := partition{r.Topic, r.Partition}
			if r.Attrs.IsControl() {
				// The marker may have the next epoch, if it ends the transaction of a fenced producer.
				delete(openEpochs[in], r.ProducerID)
				if isCommit(r) {
					committed[producer{r.ProducerID, r.ProducerEpoch}] = true
				}
			} else if r.Attrs.IsTransactional() {
				if openEpochs[in] == nil {
					openEpochs[in] = make(map[int64]int16)
				}
				openEpochs[in][r.ProducerID] = r.ProducerEpoch
			}
			if r.Offset == last[r.Topic][r.Partition] {
				unread--
			}
		})
	}
	open = make(map[producer][]partition)
	for in, producers := range openEpochs {
		for id, epoch := range producers {
			txn := producer{id, epoch}
			open[txn] = append(open[txn], in)
		}
	}
	return open, committed, nil
}

// isCommit reports whether a control record is a commit marker. Its key is a version and a type, two bytes
// each, and type 1 is a commit.
func isCommit(control *kgo.Record) bool {
	return len(control.Key) >= 4 && binary.BigEndian.Uint16(control.Key[2:]) == 1
}
