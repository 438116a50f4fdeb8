// Package kafka carries committed events from the outbox to the topic and from the topic to the
// effects of app. It knows the broker's protocol and the envelope, and nothing of SQL: what it reads
// and writes in the database goes through app's ports. The contract that it keeps, and nothing
// stronger, is D18: each committed event stands once, in per-order order, on the topic for
// read_committed readers; each consumer's database effect is applied once.
package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/event"
)

// Cluster is where the brokers are and what our things are called there.
type Cluster struct {
	Brokers []string // host:port; one that answers is enough
	Names   Names
	options []kgo.Opt // of every client, besides
}

// Names of topics, and the prefix of the relay's transactional ids. Two installations that share a
// cluster differ in all of them.
type Names struct {
	Events      string
	Positions   string // the relay's own: which batch stands on Events
	DeadLetters string // dead letters of the saga (step, refund, mail)
	Relay       string // the transactional id of a shard's relay is this and its number
}

// StandardNames are those of the documentation.
func StandardNames() Names { return NamesFor("order-events", "orders-relay-") }

// NamesFor derives the names of an installation from its topic and its relay's prefix.
func NamesFor(topic, relay string) Names {
	return Names{Events: topic, Positions: topic + ".relay", DeadLetters: topic + ".fulfilment.dlq", Relay: relay}
}

// Group is the name of a consumer's group: its own name, and the topic's where an installation has its own.
func (n Names) Group(consumer string) string {
	if n == StandardNames() {
		return consumer
	}
	return n.Events + "." + consumer
}

// Parked is the topic of the events that a consumer has set aside.
func (n Names) Parked(consumer string) string { return n.Events + "." + consumer + ".dlq" }

// client opens a client; it connects with the first request.
func (c Cluster) client(opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(slices.Concat([]kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID("platforma")},
		c.options, opts)...)
	if err != nil {
		return nil, fmt.Errorf("open a Kafka client: %w", err)
	}
	return cl, nil
}

// headersOf makes the envelope's headers from a record's.
func headersOf(rec *kgo.Record) []event.Header {
	hs := make([]event.Header, len(rec.Headers))
	for i, h := range rec.Headers {
		hs[i] = event.Header{Key: h.Key, Value: h.Value}
	}
	return hs
}

// Pause waits, and returns early with the context's error. Tests give one that does not wait.
type Pause func(ctx context.Context, d time.Duration) error

// Wait is the Pause of a process: it waits as long as it says.
func Wait(ctx context.Context, d time.Duration) error { return waitFor(ctx, d, nil) }

// waitFor waits, until the context ends or something arrives on wake (which may be nil).
func waitFor(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	t := time.NewTimer(d) //nolint:forbidigo // the one timer of the package; what is policy comes in as a Pause
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	case <-wake:
	}
	return ctx.Err()
}
