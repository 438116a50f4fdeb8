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

// publish writes each event in a transaction of its own, as an idle relay does; the last one is aborted.
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

// The end of a partition is a mark, of a transaction that was committed or of one that was not: a consumer
// that has read it is not behind.
func TestAConsumerSaysHowManyEventsItIsBehindAndNoneWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	b, in := kafkatest.New(t), newInbox()
	let := make(chan struct{})
	in.fail = func(event.Event, int) error { <-let; return nil }
	c := consumer(t, b, in, &waits{}, event.Portal)
	var records []*kgo.Record
	for seq := range 11 {
		records = append(records, message(b, record(t, orderID(1), seq+1, order.EvUpdated)))
	}
	publish(t, b, records...)
	start(t, run(c))
	// ten events, each with its mark, and the aborted one
	kafkatest.Eventually(t, "behind", func() bool { n := c.Status().Behind; return n >= 10 && n <= 22 })
	close(let)
	kafkatest.Eventually(t, "ten applied", func() bool { return c.Status().Applied == 10 })
	kafkatest.Eventually(t, "caught up", func() bool { return c.Status().Behind == 0 })
	if n := in.count(); n != 10 {
		t.Errorf("%d events applied, want the 10 that were committed", n)
	}
}
