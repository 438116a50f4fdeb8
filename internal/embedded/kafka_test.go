package embedded

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "order-events"

func startKafka(t *testing.T, cfg KafkaConfig) *Kafka {
	t.Helper()
	k, err := StartKafka(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func kafkaClient(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.ProducerLinger(0), kgo.DisableClientMetrics()}, opts...)
	c, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// shortContext returns a context that ends after 15 s.
func shortContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func createTopic(t *testing.T, addr string, partitions int32) {
	t.Helper()
	adm := kadm.NewClient(kafkaClient(t, addr))
	if _, err := adm.CreateTopic(shortContext(t), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

// produceTx produces values in one transaction and ends it.
func produceTx(t *testing.T, c *kgo.Client, end kgo.TransactionEndTry, values ...string) {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, c, values...)
	if err := c.EndTransaction(shortContext(t), end); err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, c *kgo.Client, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := c.ProduceSync(shortContext(t), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// readCommitted returns the values that a read_committed consumer sees in a partition.
func readCommitted(t *testing.T, addr string, partition int32) []string {
	t.Helper()
	from := map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}
	c := kafkaClient(t, addr, kgo.ConsumePartitions(from),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	defer c.Close()
	ctx := shortContext(t)
	ends, err := kadm.NewClient(c).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	end, ok := ends.Lookup(topic, partition)
	if !ok || end.Err != nil {
		t.Fatalf("end offset of partition %d: %v", partition, end.Err)
	}
	var got []string
	for next := int64(0); next < end.Offset; {
		fs := c.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				got = append(got, string(r.Value))
			}
		})
	}
	return got
}

func TestKafkaTransactionsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := startKafka(t, KafkaConfig{Dir: dir})
	if !k.StartedEmpty() {
		t.Error("a new broker did not start empty")
	}
	createTopic(t, k.Addr(), 1)
	tx := kgo.TransactionalID("relay")
	c := kafkaClient(t, k.Addr(), tx)
	produceTx(t, c, kgo.TryCommit, "one")
	produceTx(t, c, kgo.TryAbort, "aborted")
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "left open")
	addr := k.Addr()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	c.Close()

	again := startKafka(t, KafkaConfig{Dir: dir})
	if again.Addr() != addr || again.StartedEmpty() {
		t.Errorf("address %s, started empty %v; want %s, false", again.Addr(), again.StartedEmpty(), addr)
	}
	c = kafkaClient(t, addr, tx)
	produceTx(t, c, kgo.TryCommit, "two")
	if err := again.Restart(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two"}, readCommitted(t, addr, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaOfAKilledProcessComesBackWithWhatWasCommitted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := startKafka(t, KafkaConfig{Dir: dir})
	addr := before.Addr()
	createTopic(t, addr, 1)
	produceTx(t, kafkaClient(t, addr, kgo.TransactionalID("relay")), kgo.TryCommit, "zero")
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	helperAddr, kill := startHelper(t, "kafka", dir)
	if helperAddr != addr {
		t.Fatalf("the address changed from %s to %s", addr, helperAddr)
	}
	c := kafkaClient(t, addr, kgo.TransactionalID("relay"))
	produceTx(t, c, kgo.TryCommit, "one", "two")
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "left open")
	kill()
	c.Close()

	var log strings.Builder
	k := startKafka(t, KafkaConfig{Dir: dir, Log: &log})
	if k.Addr() != addr || !strings.Contains(log.String(), "1 open transactions aborted") {
		t.Errorf("address is %s, was %s; log %q", k.Addr(), addr, log.String())
	}
	produceTx(t, kafkaClient(t, addr, kgo.TransactionalID("relay")), kgo.TryCommit, "three")
	if diff := cmp.Diff([]string{"zero", "one", "two", "three"}, readCommitted(t, addr, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaStartsEmptyWhenItsFilesCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := startKafka(t, KafkaConfig{Dir: dir})
	createTopic(t, k.Addr(), 1)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broker", "meta.json"), []byte("{incomplete"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	again := startKafka(t, KafkaConfig{Dir: dir, Log: &log})
	if !again.StartedEmpty() || !strings.Contains(log.String(), "starting empty") {
		t.Errorf("started empty %v, log %q", again.StartedEmpty(), log.String())
	}
	createTopic(t, again.Addr(), 1)
	produce(t, kafkaClient(t, again.Addr()), "filled again")
	if diff := cmp.Diff([]string{"filled again"}, readCommitted(t, again.Addr(), 0)); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaDirectoryIsForOneBrokerAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startKafka(t, KafkaConfig{Dir: dir})
	ctx, cancel := context.WithCancelCause(context.Background())
	errWaited := errors.New("waited long enough")
	cancel(errWaited)
	if _, err := lockDir(ctx, dir); !errors.Is(err, errWaited) {
		t.Errorf("a second process got the lock: %v", err)
	}
}

func TestKafkaCreatesNoTopicsAutomatically(t *testing.T) {
	t.Parallel()
	k := startKafka(t, KafkaConfig{})
	c := kafkaClient(t, k.Addr(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	err := c.ProduceSync(shortContext(t), &kgo.Record{Topic: topic, Value: []byte("lost")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("got %v", err)
	}
}

func TestKafkaThatWasUnreachableStillHasEverything(t *testing.T) {
	t.Parallel()
	k := startKafka(t, KafkaConfig{})
	createTopic(t, k.Addr(), 1)
	c := kafkaClient(t, k.Addr())
	produce(t, c, "before")
	if err := k.StopBroker(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", k.Addr()); err == nil {
		_ = conn.Close()
		t.Error("a stopped broker accepted a connection")
	}
	failing, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := c.Ping(failing); err == nil {
		t.Error("a stopped broker answered")
	}
	if err := k.StartBroker(); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "after")
	if diff := cmp.Diff([]string{"before", "after"}, readCommitted(t, k.Addr(), 0)); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaFaultsHitTheRequestsTheyName(t *testing.T) {
	t.Parallel()
	k := startKafka(t, KafkaConfig{})
	createTopic(t, k.Addr(), 1)
	// The client reads the metadata again before it retries, by default after 5 s.
	c := kafkaClient(t, k.Addr(), kgo.TransactionalID("relay"), kgo.MetadataMinAge(10*time.Millisecond))

	f, err := k.Fault(KafkaFault{Requests: []string{"AddPartitionsToTxn", "Produce"}, Code: 51, Times: 2})
	if err != nil {
		t.Fatal(err)
	}
	produceTx(t, c, kgo.TryCommit, "one") // the client retries by itself
	if err := f.Wait(shortContext(t), 2); err != nil || f.Hits() != 2 {
		t.Errorf("hits %d, %v", f.Hits(), err)
	}
	f.Remove()

	before := make(chan struct{})
	if err := k.Before("EndTxn", func() { close(before) }); err != nil {
		t.Fatal(err)
	}
	if err := k.LoseAnswers("EndTxn", 1); err != nil {
		t.Fatal(err)
	}
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "two")
	// Whether or not the client reports an error for the lost answer, the broker has committed.
	t.Logf("the end of the transaction without an answer: %v", c.EndTransaction(shortContext(t), kgo.TryCommit))
	<-before
	if diff := cmp.Diff([]string{"one", "two"}, readCommitted(t, k.Addr(), 0)); diff != "" {
		t.Error(diff)
	}

	plain := kafkaClient(t, k.Addr())
	produce(t, plain, "three")
	if err := k.LoseRequests("Produce", 1); err != nil {
		t.Fatal(err)
	}
	produce(t, plain, "four") // the client retries by itself
	if diff := cmp.Diff([]string{"one", "two", "three", "four"}, readCommitted(t, k.Addr(), 0)); diff != "" {
		t.Error(diff)
	}

	if _, err := k.Fault(KafkaFault{Requests: []string{"Nonsense"}, Code: 51}); err == nil {
		t.Error("a request that Kafka does not have was accepted")
	}
	if _, err := k.Fault(KafkaFault{Code: 31999}); err == nil {
		t.Error("a code that Kafka does not have was accepted")
	}
}

func TestKafkaSurvivesOtherProtocols(t *testing.T) {
	t.Parallel()
	k := startKafka(t, KafkaConfig{})
	for _, input := range []string{
		"GET / HTTP/1.1\r\n\r\n", // a frame of 1.2 GB
		"\x00\x00\x00\x10\x7f\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", // request 32767
		"\x00\x00\x00\x02\x00\x00", // no room for a header
	} {
		conn, err := net.Dial("tcp", k.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, input); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection was not closed after %q: %d, %v", input, n, err)
		}
		_ = conn.Close()
	}
	if err := kafkaClient(t, k.Addr()).Ping(shortContext(t)); err != nil {
		t.Error(err)
	}
}
