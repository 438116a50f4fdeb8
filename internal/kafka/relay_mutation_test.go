package kafka_test

import (
	"context"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
)

// cursor is the mutation: it continues from the last id that it has seen, as many relays do.
type cursor struct {
	app.OutboxLease
	last  int64
	empty chan struct{}
}

func (c *cursor) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := c.OutboxLease.Pending(ctx, 1<<20)
	var later []app.OutboxRow
	for _, r := range rows {
		if r.ID > c.last && len(later) < limit {
			later = append(later, r)
		}
	}
	if len(later) > 0 {
		c.last = later[len(later)-1].ID
	} else {
		select {
		case c.empty <- struct{}{}:
		default:
		}
	}
	return later, err
}

// A relay with a cursor must lose events under this load. Otherwise it proves nothing that the real relay
// loses none.
func TestCursorOverIDsWouldLoseEventsUnderThisLoad(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	empty := make(chan struct{})
	mutant := wrappedOutbox{m, func(l app.OutboxLease) app.OutboxLease { return &cursor{OutboxLease: l, empty: empty} }}
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "mutant", mutant, logger(t)).RunForever)
	want := writers{orders: 20, writers: 16, each: 150, maxRows: 400, slow: 20}.run(t, m)
	<-empty // a read that may have begun before the last commit
	<-empty // a read that began after it
	lost := m.length()
	stop()
	if lost == 0 {
		t.Fatalf("the cursor lost none of %d events", want)
	}
	t.Logf("the cursor lost %d of %d events", lost, want)
}
