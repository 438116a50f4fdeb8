// Package kafkatest gives each test topics of its own on a broker: the embedded one, or the real Kafka
// that PLATFORMA_TEST_KAFKA names (host:port; apache/kafka.sh starts one). Tests do not know which it
// is. Only those that inject faults need the embedded one.
package kafkatest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/kafka"
)

// Variable is the environment variable with the address of a real Kafka.
const Variable = "PLATFORMA_TEST_KAFKA"

// Broker is the broker of one test.
type Broker struct {
	kafka.Cluster
	Embedded *embedded.Kafka // nil on a real Kafka
}

// Which describes the broker that New returns, for a test run to print.
func Which() string {
	if addr := os.Getenv(Variable); addr != "" {
		return "Kafka at " + addr
	}
	return "embedded broker (" + Variable + " is not set)"
}

// New returns a broker on which the topics exist, under names of the test's own.
func New(t testing.TB) *Broker {
	t.Helper()
	b := Bare(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := b.Apply(ctx, 1); err != nil {
		t.Fatalf("Apply() = %v", err)
	}
	return b
}

// drop deletes the topics, because a real Kafka outlives the test.
func (b *Broker) drop(t testing.TB) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...))
	if err != nil {
		t.Errorf("drop topics: %v", err)
		return
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	topics := []string{b.Names.Events, b.Names.Positions, b.Names.DeadLetters}
	for _, consumer := range app.Parking() {
		topics = append(topics, b.Names.Parked(consumer))
	}
	if _, err := kadm.NewClient(cl).DeleteTopics(ctx, topics...); err != nil {
		t.Errorf("drop topics: %v", err)
	}
}

// Bare returns a broker without topics.
func Bare(t testing.TB) *Broker {
	t.Helper()
	suffix := strings.ToLower(rand.Text()[:10])
	b := &Broker{Cluster: kafka.Cluster{Names: kafka.NamesFor("order-events-"+suffix, "orders-relay-"+suffix+"-")}}
	if addr := os.Getenv(Variable); addr != "" {
		b.Brokers = []string{addr}
		t.Cleanup(func() { b.drop(t) })
		return b
	}
	k, err := embedded.StartKafka(embedded.KafkaConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("StartKafka() = %v", err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("close the embedded broker: %v", err)
		}
	})
	b.Brokers, b.Embedded = []string{k.Addr()}, k
	return b
}

// NeedEmbedded returns the embedded broker. On a real Kafka it skips the test: only the embedded broker
// can inject faults.
func (b *Broker) NeedEmbedded(t testing.TB) *embedded.Kafka {
	t.Helper()
	if b.Embedded == nil {
		t.Skip("needs faults that a real broker cannot inject")
	}
	return b.Embedded
}

// Eventually polls until ok returns true. After a minute it fails the test; what says what did not happen.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("still not after a minute: %s", what)
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, fmt.Errorf("test ended: %w", t.Context().Err()))
		}
	}
}
