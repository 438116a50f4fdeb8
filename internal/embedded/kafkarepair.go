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

// A broker that is killed leaves files in which a single write is whole or absent. What it writes in
// several steps can have stopped between any two:
//
//   - a batch of records, and its entry in the index: completeIndexes
//   - the end of a transaction, in one partition after the other: endOpenTransactions
//
// Apache Kafka gets both right by itself, the first by indexes that can be made anew, the second by
// a decision that stands in a log of its own before any partition hears of it. The embedded broker
// keeps no such log, and needs none: no client is told of a commit before it stands in the last
// partition, and one that stands in a single partition was decided.

// repair makes the files of a broker that was killed whole, before anybody can reach it. It can be
// killed itself at any moment and begun again. It says how many transactions it aborted, and how many
// that were committed in a part of their partitions it committed in the rest.
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
	// While it was open the broker held as aborted what had no end when it read its files, and wrote so.
	// Without those notes it goes by the logs.
	return aborted, finished, each(data, "snapshot.json", os.Remove)
}

// each does something to all files of a name in the folders of the partitions.
func each(data, name string, do func(path string) error) error {
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

// Of the broker's files, version 1: an entry of an index is its version, the low byte of the CRC-32C of
// what follows, the leader's epoch (4 bytes), the highest timestamp before (8 bytes, not read again), and
// 1 for a batch of a transaction. All is little-endian. A log holds Kafka's record batches as they are
// sent.
const (
	indexVersion   = 1
	indexEntrySize = 15
	batchHead      = 61 // the bytes of a batch before its records
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// completeIndexes gives each batch that stands in a log its entry in the index beside it. For one
// without an entry the broker would hold that it is of no transaction, and so has no need to be
// committed; and it would take the entry of the next batch for this one's.
func completeIndexes(data string) error {
	return each(data, "*.dat", func(path string) error {
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
			return nil // the broker cuts off what is too much
		}
		entries = entries[:have*indexEntrySize]
		for _, transactional := range batches[have:] {
			entry := make([]byte, indexEntrySize)
			if have > 0 { // of the same leader as the one before
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

// readBatches tells of each whole batch of a log whether it holds records of a transaction; the marks
// that end one do not. What follows the last whole one was torn, and the broker cuts it off.
func readBatches(path string) (transactional []bool, err error) {
	const (
		attributeTransaction = 0x10
		attributeControl     = 0x20
	)
	log, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for len(log) >= batchHead {
		size := 12 + int64(binary.BigEndian.Uint32(log[8:]))
		if size < batchHead || size > int64(len(log)) ||
			crc32.Checksum(log[21:size], castagnoli) != binary.BigEndian.Uint32(log[17:]) {
			break
		}
		attributes := binary.BigEndian.Uint16(log[21:])
		transactional = append(transactional, attributes&(attributeTransaction|attributeControl) == attributeTransaction)
		log = log[size:]
	}
	return transactional, nil
}

// producer names one transaction: the broker raises the epoch with each (KIP-890).
type producer struct {
	id    int64
	epoch int16
}

// partition is a partition of a topic.
type partition struct {
	topic string
	n     int32
}

// endOpenTransactions writes the markers that a killed broker could not write: of a commit where the
// transaction is committed in another partition, else of an abort. The embedded broker treats
// transactions without an end as aborted when it reads its files again, but without a marker in the log
// a client that reads only what is committed goes on to drop every later record of the same producer:
// after a kill, whatever a relay of the same transactional id published would be lost on consumers.
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
		return 0, 0, fmt.Errorf("list where partitions begin: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("list where partitions end: %w", err)
	}
	open, committed, err := findOpen(ctx, addr, starts, ends)
	if err != nil {
		return 0, 0, fmt.Errorf("look for open transactions: %w", err)
	}
	for txn, in := range open {
		if committed[txn] {
			finished++
		} else {
			aborted++
		}
		for _, p := range in {
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

// findOpen reads all partitions from start to end and returns the partitions in which a transaction has
// no end, by transaction, and which transactions are committed in some partition.
func findOpen(
	ctx context.Context, addr string, starts, ends kadm.ListedOffsets,
) (open map[producer][]partition, committed map[producer]bool, err error) {
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
	if unread == 0 {
		return nil, nil, nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(from), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.FetchMaxWait(50*time.Millisecond), kgo.DisableClientMetrics())
	if err != nil {
		return nil, nil, err
	}
	defer reader.Close()
	begun := make(map[partition]map[int64]int16) // epochs by producers
	committed = make(map[producer]bool)
	for unread > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			in := partition{r.Topic, r.Partition}
			if r.Attrs.IsControl() {
				// A fenced producer's transaction is ended by the next epoch.
				delete(begun[in], r.ProducerID)
				if isCommit(r) {
					committed[producer{r.ProducerID, r.ProducerEpoch}] = true
				}
			} else if r.Attrs.IsTransactional() {
				if begun[in] == nil {
					begun[in] = make(map[int64]int16)
				}
				begun[in][r.ProducerID] = r.ProducerEpoch
			}
			if r.Offset == left[r.Topic][r.Partition] {
				unread--
			}
		})
	}
	open = make(map[producer][]partition)
	for in, producers := range begun {
		for id, epoch := range producers {
			txn := producer{id, epoch}
			open[txn] = append(open[txn], in)
		}
	}
	return open, committed, nil
}

// isCommit reports whether a control record ends a transaction with a commit: its key is a version and a
// type, two bytes each, and type 1 is a commit.
func isCommit(control *kgo.Record) bool {
	return len(control.Key) >= 4 && binary.BigEndian.Uint16(control.Key[2:]) == 1
}
