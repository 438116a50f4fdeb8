package topicfacts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/topicfacts"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
)

// send writes records in one transaction, which it commits or aborts.
func send(t *testing.T, b *kafkatest.Broker, end kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...), kgo.TransactionalID(b.Names.Relay+"test"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	if err := cl.EndTransaction(t.Context(), end); err != nil {
		t.Fatalf("end the transaction: %v", err)
	}
}

func TestCommittedRecordsAreReadAndAbortedOnesAreNot(t *testing.T) {
	t.Parallel()
	b := kafkatest.New(t)
	send(t, b, kgo.TryCommit,
		&kgo.Record{
			Topic: b.Names.Events, Partition: 2, Key: []byte("a"), Value: []byte("one"),
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("1")}},
		},
		&kgo.Record{Topic: b.Names.Events, Partition: 2, Key: []byte("a"), Value: []byte("two")},
		&kgo.Record{Topic: b.Names.DeadLetters, Partition: 0, Key: []byte("a"), Value: []byte("dead letter")})
	send(t, b, kgo.TryAbort,
		&kgo.Record{Topic: b.Names.Events, Partition: 2, Value: []byte("aborted")},
		&kgo.Record{Topic: b.Names.Events, Partition: 4, Value: []byte("aborted")})
	send(t, b, kgo.TryCommit, &kgo.Record{Topic: b.Names.Events, Partition: 5, Key: []byte("b"), Value: []byte("three")})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := topicfacts.Read(ctx, b.Brokers, b.Names.Events)
	if err != nil {
		t.Fatalf("Read() = %v", err)
	}
	var values []string
	for _, r := range got.Records {
		values = append(values, r.Key+" "+string(r.Value))
	}
	want := map[string]int{"a one": 1, "a two": 1, "b three": 1}
	seen := map[string]int{}
	for _, v := range values {
		seen[v]++
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	for _, r := range got.Records {
		if string(r.Value) != "one" {
			continue
		}
		if diff := cmp.Diff(invariant.Record{
			Partition: 2, Offset: 0, Key: "a", Value: []byte("one"),
			Headers: []invariant.Header{{Key: "ce_id", Value: "1"}},
		}, r); diff != "" {
			t.Errorf("the first record (-want +got):\n%s", diff)
		}
	}
	if len(got.DeadLetters) != 1 || string(got.DeadLetters[0].Value) != "dead letter" || !got.Horizon.IsZero() {
		t.Errorf("%d dead letters, horizon %s; want 1, none", len(got.DeadLetters), got.Horizon)
	}
}

func TestRemovedRecordsSetTheHorizon(t *testing.T) {
	t.Parallel()
	b := kafkatest.New(t)
	at := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	for n := range 3 {
		send(t, b, kgo.TryCommit, &kgo.Record{
			Topic: b.Names.Events, Partition: 1, Value: []byte{byte('a' + n)}, Timestamp: at.Add(time.Duration(n) * time.Hour),
		})
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	before := kadm.Offsets{}
	before.Add(kadm.Offset{Topic: b.Names.Events, Partition: 1, At: 2}) // a record and its marker
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), before); err != nil {
		t.Fatalf("delete records: %v", err)
	}
	got, err := topicfacts.Read(t.Context(), b.Brokers, b.Names.Events)
	if err != nil {
		t.Fatalf("Read() = %v", err)
	}
	if len(got.Records) != 2 || string(got.Records[0].Value) != "b" || got.Horizon.IsZero() {
		t.Errorf("%d records, horizon %s; want 2, and a horizon", len(got.Records), got.Horizon)
	}
}

func TestAnEmptyTopicIsReadAndAMissingOneIsAnError(t *testing.T) {
	t.Parallel()
	b := kafkatest.New(t)
	got, err := topicfacts.Read(t.Context(), b.Brokers, b.Names.Events)
	if err != nil || len(got.Records) != 0 || len(got.DeadLetters) != 0 {
		t.Errorf("Read() of an empty topic = %v, %v", got, err)
	}
	if _, err := topicfacts.Read(t.Context(), b.Brokers, "no-such-topic"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("Read() of a missing topic = %v, want unknown topic", err)
	}
}
