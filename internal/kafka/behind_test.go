package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

// publish writes each event in a transaction of its own, as an idle relay does, and aborts the last one.
func publish(t *testing.T, b *kafkatest.Broker, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...), kgo.TransactionalID("publisher-"+b.Names.Events))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, r := range records {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		err := cl.ProduceSync(ctx, r).FirstErr()
		if err := errors.Join(err, cl.EndTransaction(ctx, kgo.TransactionEndTry(i < len(records)-1))); err != nil {
			t.Fatal(err)
		}
	}
}

// The last record of a partition is the marker of a committed or an aborted transaction: a consumer that
// has read it is not behind.
func TestAConsumerReportsHowManyEventsItIsBehindAndNoneWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	release := make(chan struct{})
	in.fail = func(event.Event, int) error { <-release; return nil }
	c := consumer(t, b, in, &waits{}, event.Portal)
	var records []*kgo.Record
	for seq := range 11 {
		records = append(records, message(b, record(t, orderID(1), seq+1, order.EvUpdated)))
	}
	publish(t, b, records...)
	start(t, run(c))
	// Ten events and the aborted one, each with its marker.
	kafkatest.Eventually(t, "behind", func() bool { n := c.Status().LagEvents; return n >= 10 && n <= 22 })
	close(release)
	kafkatest.Eventually(t, "ten applied", func() bool { return c.Status().Applied == 10 })
	kafkatest.Eventually(t, "caught up", func() bool { return c.Status().LagEvents == 0 })
	if n := in.count(); n != 10 {
		t.Errorf("%d events applied, want the 10 that were committed", n)
	}
}
