package embedded

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// relayClient returns a client with the transactional id of a relay.
func relayClient(t *testing.T, addr string) *kgo.Client {
	t.Helper()
	return kafkaClient(t, addr, kgo.TransactionalID("relay"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// beginTx begins a transaction and produces value to each of the partitions 0 to n - 1.
func beginTx(ctx context.Context, c *kgo.Client, n int32, value string) error {
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	var records []*kgo.Record
	for p := range n {
		records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte(value)})
	}
	return c.ProduceSync(ctx, records...).FirstErr()
}

func mustBegin(t *testing.T, c *kgo.Client, value string) {
	t.Helper()
	if err := beginTx(shortContext(t), c, 2, value); err != nil {
		t.Fatal(err)
	}
}

func mustCommit(t *testing.T, c *kgo.Client) {
	t.Helper()
	if err := c.EndTransaction(shortContext(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

func wantInBoth(t *testing.T, addr string, want ...string) {
	t.Helper()
	for p := range int32(2) {
		if diff := cmp.Diff(want, readCommitted(t, addr, p)); diff != "" {
			t.Errorf("partition %d: %s", p, diff)
		}
	}
}

// startWithOpenTx starts a broker in another process, in a directory of its own, with a topic of two
// partitions. The client has committed "before", and has begun a transaction with "open".
func startWithOpenTx(t *testing.T) (dir string, c *kgo.Client, kill func()) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "any [name]")
	addr, kill := startHelper(t, "kafka", dir)
	createTopic(t, addr, 2)
	c = relayClient(t, addr)
	mustBegin(t, c, "before")
	mustCommit(t, c)
	mustBegin(t, c, "open")
	return dir, c, kill
}

// wantUsable requires that the broker has these values, that another client can commit one more, and that all
// are still there after a restart.
func wantUsable(t *testing.T, k *Kafka, want ...string) {
	t.Helper()
	wantInBoth(t, k.Addr(), want...)
	c := relayClient(t, k.Addr())
	mustBegin(t, c, "after")
	mustCommit(t, c)
	want = append(want, "after")
	wantInBoth(t, k.Addr(), want...)
	if err := k.Restart(); err != nil {
		t.Fatal(err)
	}
	wantInBoth(t, k.Addr(), want...)
}

// A transaction ends in one partition after the other, and a kill can come in between. If one partition has the
// commit, the repair commits the transaction in all of them.
func TestKafkaKilledInTheMiddleOfACommitFinishesIt(t *testing.T) {
	t.Parallel()
	for first := range int32(2) {
		t.Run("partition "+strconv.Itoa(int(first))+" was first", func(t *testing.T) {
			t.Parallel()
			dir, c, kill := startWithOpenTx(t)
			// This is what the broker has written when it is killed after the first of two markers.
			id, epoch, err := c.ProducerID(shortContext(t))
			if err != nil {
				t.Fatal(err)
			}
			partitions := make(kadm.TopicsSet)
			partitions.Add(topic, first)
			done, err := kadm.NewClient(c).WriteTxnMarkers(shortContext(t), kadm.TxnMarkers{
				ProducerID: id, ProducerEpoch: epoch, Commit: true, Topics: partitions,
			})
			if err != nil || done[id].Topics[topic].Partitions[first].Err != nil {
				t.Fatalf("marker: %v, %v", err, done)
			}
			kill()
			c.Close()

			var log strings.Builder
			k := startKafka(t, KafkaConfig{Dir: dir, Log: &log})
			if !strings.Contains(log.String(), "0 open transactions aborted, 1 partly committed ones finished") {
				t.Errorf("log %q", log.String())
			}
			wantUsable(t, k, "before", "open")
		})
	}
}

// A batch and its entry in the index are two writes. A kill in between leaves a batch that seems to have no
// transaction, and the broker would use the entry of the next batch for it.
func TestKafkaKilledBeforeAnIndexEntryStillAbortsTheOpenTransaction(t *testing.T) {
	t.Parallel()
	dir, c, kill := startWithOpenTx(t)
	kill()
	index := filepath.Join(dir, "broker", "partitions", topic+"-0", "0.idx")
	info, err := os.Stat(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(index, info.Size()-indexEntrySize); err != nil {
		t.Fatal(err)
	}

	k := startKafka(t, KafkaConfig{Dir: dir})
	// The client from before the kill goes on, and gets an error for its transaction.
	if err := c.EndTransaction(shortContext(t), kgo.TryCommit); err == nil {
		t.Error("a transaction that the kill aborted was committed")
	}
	c.Close()
	wantUsable(t, k, "before")
}

// Whenever the broker is killed, a transaction is in all of its partitions or in none.
func TestKafkaKilledAtAnyMomentKeepsTransactionsAtomic(t *testing.T) {
	t.Parallel()
	const partitions = 12
	kills := 10
	if os.Getenv("PLATFORMA_SOAK") != "" {
		kills = 200
	}
	dir := t.TempDir()
	total := 0
	for n := range kills {
		addr, kill := startHelper(t, "kafka", dir)
		if n == 0 {
			createTopic(t, addr, partitions)
		}
		c := relayClient(t, addr)
		acknowledged := make(chan []string, 1)
		started := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			var values []string
			defer func() { acknowledged <- values }()
			for i := 0; ; i++ {
				value := strconv.Itoa(n) + "." + strconv.Itoa(i)
				if beginTx(ctx, c, partitions, value) != nil || c.EndTransaction(ctx, kgo.TryCommit) != nil {
					return
				}
				if values = append(values, value); i == 0 {
					close(started)
				}
			}
		}()
		<-started
		if err := pause(t.Context(), rand.N(20*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		kill()
		cancel()
		c.Close() // the context alone does not end a produce in flight
		values := <-acknowledged

		k := startKafka(t, KafkaConfig{Dir: dir})
		first := readCommitted(t, addr, 0)
		for p := range int32(partitions) {
			if diff := cmp.Diff(first, readCommitted(t, addr, p)); diff != "" {
				t.Fatalf("kill %d: partition %d differs from partition 0: %s", n, p, diff)
			}
		}
		// No acknowledged transaction is lost or duplicated. One more may be committed without an acknowledgement.
		if kept := len(first) - total; kept < len(values) || kept > len(values)+1 {
			t.Fatalf("kill %d: %d transactions are there, %d were acknowledged", n, kept, len(values))
		}
		for i, value := range values {
			if first[total+i] != value {
				t.Fatalf("kill %d: got %q, want %q", n, first[total+i], value)
			}
		}
		total = len(first)
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills of the broker's process, %d transactions in %d partitions each", kills, total, partitions)
}
