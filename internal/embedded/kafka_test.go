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
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.ProducerLinger(0), kgo.DisableClientMetrics()},
		opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func makeTopic(t *testing.T, addr string, partitions int32) {
	t.Helper()
	adm := kadm.NewClient(kafkaClient(t, addr))
	if _, err := adm.CreateTopic(shortly(t), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

// produced sends values in one transaction and ends it.
func produced(t *testing.T, c *kgo.Client, end kgo.TransactionEndTry, values ...string) {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	sent(t, c, values...)
	if err := c.EndTransaction(shortly(t), end); err != nil {
		t.Fatal(err)
	}
}

func sent(t *testing.T, c *kgo.Client, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := c.ProduceSync(shortly(t), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// committed reads what a consumer sees in a partition that reads only committed records, to its end.
func committed(t *testing.T, addr string, partition int32) []string {
	t.Helper()
	c := kafkaClient(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {partition: kgo.NewOffset().AtStart()},
	}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	defer c.Close()
	ctx := shortly(t)
	ends, err := kadm.NewClient(c).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	end, ok := ends.Lookup(topic, partition)
	if !ok || end.Err != nil {
		t.Fatalf("where partition %d ends: %v", partition, end.Err)
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

func TestKafkaTransactionsSurviveTheBrokersEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := startKafka(t, KafkaConfig{Dir: dir})
	if !k.StartedEmpty() {
		t.Error("a new broker did not start empty")
	}
	makeTopic(t, k.Addr(), 1)
	tx := kgo.TransactionalID("relay")
	c := kafkaClient(t, k.Addr(), tx)
	produced(t, c, kgo.TryCommit, "one")
	produced(t, c, kgo.TryAbort, "aborted")
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	sent(t, c, "left open")
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
	produced(t, c, kgo.TryCommit, "two")
	if err := again.Restart(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two"}, committed(t, addr, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaOfAKilledProcessComesBackWithWhatWasCommitted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := startKafka(t, KafkaConfig{Dir: dir})
	addr := before.Addr()
	makeTopic(t, addr, 1)
	produced(t, kafkaClient(t, addr, kgo.TransactionalID("relay")), kgo.TryCommit, "zero")
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	said, kill := startHelper(t, "kafka", dir)
	if said != addr {
		t.Fatalf("the address changed from %s to %s", addr, said)
	}
	c := kafkaClient(t, addr, kgo.TransactionalID("relay"))
	produced(t, c, kgo.TryCommit, "one", "two")
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	sent(t, c, "left open")
	kill()
	c.Close()

	var log strings.Builder
	k := startKafka(t, KafkaConfig{Dir: dir, Log: &log})
	if k.Addr() != addr || !strings.Contains(log.String(), "1 open transactions aborted") {
		t.Errorf("address is %s, was %s; log %q", k.Addr(), addr, log.String())
	}
	produced(t, kafkaClient(t, addr, kgo.TransactionalID("relay")), kgo.TryCommit, "three")
	if diff := cmp.Diff([]string{"zero", "one", "two", "three"}, committed(t, addr, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaStartsEmptyWhenItsFilesCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := startKafka(t, KafkaConfig{Dir: dir})
	makeTopic(t, k.Addr(), 1)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broker", "meta.json"), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	again := startKafka(t, KafkaConfig{Dir: dir, Log: &log})
	if !again.StartedEmpty() || !strings.Contains(log.String(), "starting empty") {
		t.Errorf("started empty %v, log %q", again.StartedEmpty(), log.String())
	}
	makeTopic(t, again.Addr(), 1)
	sent(t, kafkaClient(t, again.Addr()), "filled anew")
	if diff := cmp.Diff([]string{"filled anew"}, committed(t, again.Addr(), 0)); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaDirectoryIsForOneBrokerAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startKafka(t, KafkaConfig{Dir: dir})
	ctx, cancel := context.WithCancelCause(context.Background())
	full := errors.New("waited long enough")
	cancel(full)
	if _, err := lockDir(ctx, dir); !errors.Is(err, full) {
		t.Errorf("a second process got in: %v", err)
	}
}

func TestKafkaMakesNoTopicsByItself(t *testing.T) {
	t.Parallel()
	k := startKafka(t, KafkaConfig{})
	c := kafkaClient(t, k.Addr(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	err := c.ProduceSync(shortly(t), &kgo.Record{Topic: topic, Value: []byte("lost")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("got %v", err)
	}
}

func TestKafkaThatWasUnreachableStillHasEverything(t *testing.T) {
	t.Parallel()
	k := startKafka(t, KafkaConfig{})
	makeTopic(t, k.Addr(), 1)
	c := kafkaClient(t, k.Addr())
	sent(t, c, "before")
	if err := k.StopBroker(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", k.Addr()); err == nil {
		_ = conn.Close()
		t.Error("a stopped broker took a connection")
	}
	failing, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := c.Ping(failing); err == nil {
		t.Error("a stopped broker answered")
	}
	if err := k.StartBroker(); err != nil {
		t.Fatal(err)
	}
	sent(t, c, "after")
	if diff := cmp.Diff([]string{"before", "after"}, committed(t, k.Addr(), 0)); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaFaultsHitTheRequestsTheyName(t *testing.T) {
	t.Parallel()
	k := startKafka(t, KafkaConfig{})
	makeTopic(t, k.Addr(), 1)
	// The client looks at the metadata again before it tries again, by default after 5 s.
	c := kafkaClient(t, k.Addr(), kgo.TransactionalID("relay"), kgo.MetadataMinAge(10*time.Millisecond))

	f, err := k.Fault(KafkaFault{Requests: []string{"AddPartitionsToTxn", "Produce"}, Code: 51, Times: 2})
	if err != nil {
		t.Fatal(err)
	}
	produced(t, c, kgo.TryCommit, "one") // the client tries again by itself
	if err := f.Wait(shortly(t), 2); err != nil || f.Hits() != 2 {
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
	sent(t, c, "two")
	// Whatever the client makes of the lost answer: the broker has committed.
	t.Logf("the end of the transaction without an answer: %v", c.EndTransaction(shortly(t), kgo.TryCommit))
	<-before
	if diff := cmp.Diff([]string{"one", "two"}, committed(t, k.Addr(), 0)); diff != "" {
		t.Error(diff)
	}

	plain := kafkaClient(t, k.Addr())
	sent(t, plain, "three")
	if err := k.LoseRequests("Produce", 1); err != nil {
		t.Fatal(err)
	}
	sent(t, plain, "four") // the client tries again by itself
	if diff := cmp.Diff([]string{"one", "two", "three", "four"}, committed(t, k.Addr(), 0)); diff != "" {
		t.Error(diff)
	}

	if _, err := k.Fault(KafkaFault{Requests: []string{"Nonsense"}, Code: 51}); err == nil {
		t.Error("a request that Kafka does not have was taken")
	}
	if _, err := k.Fault(KafkaFault{Code: 31999}); err == nil {
		t.Error("a code that Kafka does not have was taken")
	}
}

func TestKafkaSurvivesWhatIsNotKafka(t *testing.T) {
	t.Parallel()
	k := startKafka(t, KafkaConfig{})
	for _, nonsense := range []string{
		"GET / HTTP/1.1\r\n\r\n", // a frame of 1.2 GB
		"\x00\x00\x00\x10\x7f\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", // request 32767
		"\x00\x00\x00\x02\x00\x00", // no room for a header
	} {
		conn, err := net.Dial("tcp", k.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, nonsense); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q was not hung up on: %d, %v", nonsense, n, err)
		}
		_ = conn.Close()
	}
	if err := kafkaClient(t, k.Addr()).Ping(shortly(t)); err != nil {
		t.Error(err)
	}
}
