// Package kafka carries committed events from the outbox to the topic, and from the topic to the
// effects of app. It knows the broker's protocol and the envelope, but no SQL: it reaches the database
// through app's ports only. It keeps the contract of D18 and promises nothing stronger: read_committed
// readers find each committed event on the topic once, the events of an order in their sequence, and each
// consumer's database effect is applied once.
package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/event"
)

// Cluster is the address of the brokers and the names that an installation uses there.
type Cluster struct {
	Brokers []string // host:port; one that answers is enough
	Names   Names
	options []kgo.Opt // additional options of every client
}

// Names are the names of the topics, and the prefix of the relay's transactional ids. Two
// installations that share a cluster differ in all of them.
type Names struct {
	Events      string
	Positions   string // the relay's own topic: which batch was published last on Events
	DeadLetters string // dead letters of the saga (step, refund, mail)
	Relay       string // prefix of a transactional id; the shard's number follows
}

// StandardNames returns the names that the documentation uses.
func StandardNames() Names { return NamesFor("order-events", "orders-relay-") }

// NamesFor derives the names of an installation from its topic and its relay's prefix.
func NamesFor(topic, relay string) Names {
	return Names{Events: topic, Positions: topic + ".relay", DeadLetters: topic + ".fulfilment.dlq", Relay: relay}
}

// Group returns the name of a consumer's group: the consumer's name, which follows the topic's name
// if the installation does not use the standard names.
func (n Names) Group(consumer string) string {
	if n == StandardNames() {
		return consumer
	}
	return n.Events + "." + consumer
}

// Parked returns the topic of the events that a consumer has parked.
func (n Names) Parked(consumer string) string { return n.Events + "." + consumer + ".dlq" }

// client makes a client, which connects with its first request.
func (c Cluster) client(opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(slices.Concat([]kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID("platforma")},
		c.options, opts)...)
	if err != nil {
		return nil, fmt.Errorf("open a Kafka client: %w", err)
	}
	return cl, nil
}

// headersOf converts the headers of a record to those of an envelope.
func headersOf(rec *kgo.Record) []event.Header {
	hs := make([]event.Header, len(rec.Headers))
	for i, h := range rec.Headers {
		hs[i] = event.Header{Key: h.Key, Value: h.Value}
	}
	return hs
}

// Pause waits for a duration. If the context ends first, it returns the context's error. Tests
// pass a Pause that does not wait.
type Pause func(ctx context.Context, d time.Duration) error

// Wait is the Pause of a process: it waits by the real clock.
func Wait(ctx context.Context, d time.Duration) error { return waitFor(ctx, d, nil) }

// waitFor waits until d is over, the context ends, or something arrives on wake (which may be nil).
func waitFor(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	t := time.NewTimer(d) //nolint:forbidigo // the only timer of the package; waits of policy use a Pause
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	case <-wake:
	}
	return ctx.Err()
}
