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

// loginAs returns the client option that logs in as a user.
func loginAs(user string) kgo.Opt {
	return kgo.SASL(plain.Auth{User: user, Pass: user + "'s"}.AsMechanism())
}

// grant creates the access control entries of the grants, for users with the principals' names.
func grant(t *testing.T, admin kafka.Cluster, list []kafka.Grant) {
	t.Helper()
	cl, err := admin.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, g := range list {
		acls := kadm.NewACLs().Allow("User:" + g.Who).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
		if g.Prefix {
			acls.ResourcePatternType(kadm.ACLPatternPrefixed)
		}
		switch g.Resource {
		case "topic":
			acls.Topics(g.Name)
		case "group":
			acls.Groups(g.Name)
		case "transactional-id":
			acls.TransactionalIDs(g.Name)
		default:
			t.Fatalf("grant of an unknown resource: %+v", g)
		}
		for _, name := range g.Operations {
			op, err := kmsg.ParseACLOperation(name)
			if err != nil {
				t.Fatal(err)
			}
			acls.Operations(op)
			created, err := kadm.NewClient(cl).CreateACLs(t.Context(), acls)
			if err != nil || len(created) != 1 || created[0].Err != nil {
				t.Fatalf("grant %+v: %v, %v", g, err, created)
			}
		}
	}
}

// The rights that Grants lists are enough for relay and consumers, and only the relay can write events.
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
	if err := b.With(loginAs("admin")).Apply(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	grant(t, b.With(loginAs("admin")), b.Names.Grants("audit"))

	m := newMemoryOutbox()
	m.commit(app.OutboxRow{ID: m.nextID(), Record: record(t, orderID(1), 1, order.EvCreated)})
	relay := kafka.NewRelay(b.With(loginAs("relay")), 0, "test", m, logger(t))
	stop := start(t, relay.RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
	stop()

	in := newInbox()
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: b.With(loginAs("readers")), Refusals: in, Clock: fixedClock{at},
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(t),
	}, kafka.Subscription{Consumer: event.Audit, Group: "audit", Apply: in.apply})
	start(t, run(c))
	kafkatest.Eventually(t, "event applied", func() bool { return in.count() == 1 })

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
	err = client(loginAs("readers"), kgo.DisableIdempotentWrite()).ProduceSync(ctx, forged).FirstErr()
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("a reader that writes an event gets %v, want TOPIC_AUTHORIZATION_FAILED", err)
	}
	_, _, err = client(loginAs("readers"), kgo.TransactionalID(b.Names.Relay+"0")).ProducerID(ctx)
	if !errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		t.Errorf("a reader that fences the relay gets %v, want TRANSACTIONAL_ID_AUTHORIZATION_FAILED", err)
	}
	deleted, err := kadm.NewClient(client(loginAs("relay"))).DeleteTopics(ctx, b.Names.Events)
	if err != nil || !errors.Is(deleted.Error(), kerr.TopicAuthorizationFailed) {
		t.Errorf("the relay that deletes its topic gets %v, %v, want TOPIC_AUTHORIZATION_FAILED", deleted.Error(), err)
	}
	if err := client().Ping(ctx); err == nil {
		t.Error("a client without a login is served")
	}
	if n := in.count(); n != 1 {
		t.Errorf("%d events applied, want the one of the relay", n)
	}
}
