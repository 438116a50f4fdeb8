package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

// faultOf returns a fault that answers transaction requests with an error code, twice.
func faultOf(code int16) embedded.KafkaFault {
	return embedded.KafkaFault{Requests: []string{"InitProducerID", "AddPartitionsToTxn", "EndTxn"}, Code: code, Times: 2}
}

const endKey = "end-of-test"

// produce writes records past the relay.
func produce(t testing.TB, b *kafkatest.Broker, opts []kgo.Opt, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.Brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// readAll returns all records that a reader with this isolation level sees now. It writes a record to the end
// of each partition and reads up to it, so it knows where to stop and does not miss a late duplicate.
func readAll(
	t testing.TB, b *kafkatest.Broker, topic string, partitions int32, level kgo.IsolationLevel,
) []*kgo.Record {
	t.Helper()
	var endRecords []*kgo.Record
	offsets := map[int32]kgo.Offset{}
	for p := range partitions {
		endRecords = append(endRecords, &kgo.Record{Topic: topic, Partition: p, Key: []byte(endKey)})
		offsets[p] = kgo.NewOffset().AtStart()
	}
	produce(t, b, []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, endRecords...)
	ends := map[int32]int64{}
	for _, m := range endRecords {
		ends[m.Partition] = m.Offset
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...), kgo.FetchIsolationLevel(level),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var seen []*kgo.Record
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("topic %s not read to its end: %v (%d partitions left)", topic, err, len(ends))
		}
		fetches.EachError(func(_ string, _ int32, err error) { t.Logf("read: %v", err) })
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := ends[r.Partition]; ok && r.Offset >= end {
				delete(ends, r.Partition)
			}
			if string(r.Key) != endKey {
				seen = append(seen, r)
			}
		})
	}
	return seen
}

// events reads all events of the topic, as a consumer does.
func events(t testing.TB, b *kafkatest.Broker) []event.Event {
	t.Helper()
	var evs []event.Event
	for _, r := range readAll(t, b, b.Names.Events, kafka.EventPartitions, kgo.ReadCommitted()) {
		evs = append(evs, decode(t, r))
	}
	return evs
}

func decode(t testing.TB, r *kgo.Record) event.Event {
	t.Helper()
	var hs []event.Header
	for _, h := range r.Headers {
		hs = append(hs, event.Header{Key: h.Key, Value: h.Value})
	}
	ev, err := event.Decode(hs, r.Value)
	if err != nil {
		t.Fatalf("Decode(record %d of partition %d) = %v", r.Offset, r.Partition, err)
	}
	if string(r.Key) != ev.Order.String() {
		t.Errorf("key %q of an event of order %s", r.Key, ev.Order)
	}
	return ev
}

// wantOnceInOrder compares the topic with what was committed: the seqs of each order are 1, 2, 3 … without
// a gap.
func wantOnceInOrder(t testing.TB, evs []event.Event, want int) {
	t.Helper()
	last := map[order.ID]int{}
	lost, twice, reordered := 0, 0, 0
	seen := map[order.ID]map[int]bool{}
	for _, ev := range evs {
		if seen[ev.Order] == nil {
			seen[ev.Order] = map[int]bool{}
		}
		switch {
		case seen[ev.Order][ev.Seq]:
			twice++
		case ev.Seq < last[ev.Order]:
			reordered++
		}
		seen[ev.Order][ev.Seq] = true
		last[ev.Order] = max(last[ev.Order], ev.Seq)
	}
	distinct := 0
	for o, s := range seen {
		distinct += len(s)
		lost += last[o] - len(s)
	}
	if distinct < want {
		lost = max(lost, want-distinct)
	}
	if lost > 0 || twice > 0 || reordered > 0 || distinct != want {
		t.Errorf("topic has %d of %d events: %d lost, %d twice, %d reordered", distinct, want, lost, twice, reordered)
	}
	t.Logf("%d events, %d lost, %d twice, %d reordered", distinct, lost, twice, reordered)
}
