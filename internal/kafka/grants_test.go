package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

// as is how a user logs in.
func as(user string) kgo.Opt {
	return kgo.SASL(plain.Auth{User: user, Pass: user + "'s"}.AsMechanism())
}

// grant gives the grants to the users of their names.
func grant(t *testing.T, admin kafka.Cluster, list []kafka.Grant) {
	t.Helper()
	cl, err := admin.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, g := range list {
		rules := kadm.NewACLs().Allow("User:" + g.Who).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
		if g.Prefix {
			rules.ResourcePatternType(kadm.ACLPatternPrefixed)
		}
		switch g.Resource {
		case "topic":
			rules.Topics(g.Name)
		case "group":
			rules.Groups(g.Name)
		case "transactional-id":
			rules.TransactionalIDs(g.Name)
		default:
			t.Fatalf("grant of an unknown resource: %+v", g)
		}
		for _, name := range g.Operations {
			op, err := kmsg.ParseACLOperation(name)
			if err != nil {
				t.Fatal(err)
			}
			rules.Operations(op)
			made, err := kadm.NewClient(cl).CreateACLs(t.Context(), rules)
			if err != nil || len(made) != 1 || made[0].Err != nil {
				t.Fatalf("grant %+v: %v, %v", g, err, made)
			}
		}
	}
}

// With what Grants lists, and no more, relay and consumers work; and nobody but the relay writes events.
func TestOnlyTheRelayMayWriteEvents(t *testing.T) {
	t.Parallel()
	k, err := embedded.StartKafka(embedded.KafkaConfig{
		Users: map[string]string{"admin": "admin's", "relay": "relay's", "readers": "readers's"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	b := &kafkatest.Broker{Cluster: kafka.Cluster{Brokers: []string{k.Addr()}, Names: kafka.StandardNames()}}
	if err := b.With(as("admin")).Apply(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	grant(t, b.With(as("admin")), b.Names.Grants("audit"))

	m := newMemory()
	m.commit(app.OutboxRow{ID: m.draw(), Record: record(t, orderID(1), 1, order.EvCreated)})
	relay := kafka.NewRelay(b.With(as("relay")), 0, "test", m, logger(t))
	stop := start(t, relay.RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
	stop()

	in := newInbox()
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.With(as("readers")), Refusals: in, Clock: fixedClock{at},
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(t),
	},
		kafka.Subscription{Consumer: event.Audit, Group: "audit", Apply: in.apply})
	start(t, run(c))
	kafkatest.Eventually(t, "event applied", func() bool { return in.count() == 1 })

	short, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := func(opts ...kgo.Opt) *kgo.Client {
		t.Helper()
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.Brokers...))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	forged := message(b, record(t, orderID(1), 2, order.EvUpdated))
	if err := client(as("readers"), kgo.DisableIdempotentWrite()).ProduceSync(short, forged).FirstErr(); !errors.Is(err,
		kerr.TopicAuthorizationFailed) {
		t.Errorf("a reader that writes an event gets %v, want TOPIC_AUTHORIZATION_FAILED", err)
	}
	if _, _, err := client(as("readers"), kgo.TransactionalID(b.Names.Relay+"0")).ProducerID(short); !errors.Is(err,
		kerr.TransactionalIDAuthorizationFailed) {
		t.Errorf("a reader that fences the relay gets %v, want TRANSACTIONAL_ID_AUTHORIZATION_FAILED", err)
	}
	if gone, err := kadm.NewClient(client(as("relay"))).DeleteTopics(short, b.Names.Events); err != nil ||
		!errors.Is(gone.Error(), kerr.TopicAuthorizationFailed) {
		t.Errorf("the relay that deletes its topic gets %v, %v, want TOPIC_AUTHORIZATION_FAILED", gone.Error(), err)
	}
	if err := client().Ping(short); err == nil {
		t.Error("somebody who does not log in is served")
	}
	if n := in.count(); n != 1 {
		t.Errorf("%d events applied, want the one of the relay", n)
	}
}
