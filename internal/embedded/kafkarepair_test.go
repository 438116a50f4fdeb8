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

// transactional is a client with the transactional id of a relay.
func transactional(t *testing.T, addr string) *kgo.Client {
	t.Helper()
	return kafkaClient(t, addr, kgo.TransactionalID("relay"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// begun begins a transaction that has value in each of the partitions 0 to n - 1.
func begun(ctx context.Context, c *kgo.Client, n int32, value string) error {
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
	if err := begun(shortly(t), c, 2, value); err != nil {
		t.Fatal(err)
	}
}

func mustCommit(t *testing.T, c *kgo.Client) {
	t.Helper()
	if err := c.EndTransaction(shortly(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

func wantInBoth(t *testing.T, addr string, want ...string) {
	t.Helper()
	for p := range int32(2) {
		if diff := cmp.Diff(want, committed(t, addr, p)); diff != "" {
			t.Errorf("partition %d: %s", p, diff)
		}
	}
}

// underWay starts a broker of another process, in a directory of its own, with a topic of two
// partitions. The client has committed "before", and has "under way" begun.
func underWay(t *testing.T) (dir string, c *kgo.Client, kill func()) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "any [name]")
	addr, kill := startHelper(t, "kafka", dir)
	makeTopic(t, addr, 2)
	c = transactional(t, addr)
	mustBegin(t, c, "before")
	mustCommit(t, c)
	mustBegin(t, c, "under way")
	return dir, c, kill
}

// wantGoingOn wants these values and what another client commits now, also after another start.
func wantGoingOn(t *testing.T, k *Kafka, want ...string) {
	t.Helper()
	wantInBoth(t, k.Addr(), want...)
	c := transactional(t, k.Addr())
	mustBegin(t, c, "after")
	mustCommit(t, c)
	want = append(want, "after")
	wantInBoth(t, k.Addr(), want...)
	if err := k.Restart(); err != nil {
		t.Fatal(err)
	}
	wantInBoth(t, k.Addr(), want...)
}

// A transaction ends in one partition after the other, and a kill can come in between. What was
// decided in one partition is decided in all.
func TestKafkaKilledInTheMiddleOfACommitFinishesIt(t *testing.T) {
	t.Parallel()
	for first := range int32(2) {
		t.Run("partition "+strconv.Itoa(int(first))+" was first", func(t *testing.T) {
			t.Parallel()
			dir, c, kill := underWay(t)
			// What the broker has written when it is killed after the first of two markers.
			id, epoch, err := c.ProducerID(shortly(t))
			if err != nil {
				t.Fatal(err)
			}
			partitions := make(kadm.TopicsSet)
			partitions.Add(topic, first)
			done, err := kadm.NewClient(c).WriteTxnMarkers(shortly(t), kadm.TxnMarkers{
				ProducerID: id, ProducerEpoch: epoch, Commit: true, Topics: partitions,
			})
			if err != nil || done[id].Topics[topic].Partitions[first].Err != nil {
				t.Fatalf("marker: %v, %v", err, done)
			}
			kill()
			c.Close()

			var log strings.Builder
			k := startKafka(t, KafkaConfig{Dir: dir, Log: &log})
			if !strings.Contains(log.String(), "0 open transactions aborted, 1 half committed ones finished") {
				t.Errorf("log %q", log.String())
			}
			wantGoingOn(t, k, "before", "under way")
		})
	}
}

// A batch and its entry in the index are two writes. A kill in between leaves a batch that does not
// seem to be of a transaction, and the entries of what follows it would be taken for its own.
func TestKafkaKilledBeforeAnEntryOfItsIndexKnowsWhatWasOpen(t *testing.T) {
	t.Parallel()
	dir, c, kill := underWay(t)
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
	// The client of before the kill goes on, and is told that what it had open is gone.
	if err := c.EndTransaction(shortly(t), kgo.TryCommit); err == nil {
		t.Error("a transaction that the kill aborted was committed")
	}
	c.Close()
	wantGoingOn(t, k, "before")
}

// Whenever the broker is killed, a transaction is in all of its partitions or in none.
func TestKafkaKilledAtAnyMomentKeepsTransactionsWhole(t *testing.T) {
	t.Parallel()
	const partitions = 12
	kills := 10
	if os.Getenv("PLATFORMA_SOAK") != "" {
		kills = 200
	}
	dir := t.TempDir()
	all := 0
	for n := range kills {
		addr, kill := startHelper(t, "kafka", dir)
		if n == 0 {
			makeTopic(t, addr, partitions)
		}
		c := transactional(t, addr)
		answered := make(chan []string, 1)
		started := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			var values []string
			defer func() { answered <- values }()
			for i := 0; ; i++ {
				value := strconv.Itoa(n) + "." + strconv.Itoa(i)
				if begun(ctx, c, partitions, value) != nil || c.EndTransaction(ctx, kgo.TryCommit) != nil {
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
		c.Close() // a produce that is under way does not heed the context alone
		values := <-answered

		k := startKafka(t, KafkaConfig{Dir: dir})
		first := committed(t, addr, 0)
		for p := range int32(partitions) {
			if diff := cmp.Diff(first, committed(t, addr, p)); diff != "" {
				t.Fatalf("kill %d: partition %d has not what partition 0 has: %s", n, p, diff)
			}
		}
		// Nothing twice, nothing lost that the client was told is there; one more may have been decided.
		if kept := len(first) - all; kept < len(values) || kept > len(values)+1 {
			t.Fatalf("kill %d: %d transactions of %d are there", n, kept, len(values))
		}
		for i, value := range values {
			if first[all+i] != value {
				t.Fatalf("kill %d: %q stands where %q should", n, first[all+i], value)
			}
		}
		all = len(first)
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills of the broker's process, %d transactions in %d partitions each", kills, all, partitions)
}
