package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
)

// Seen is where a consumer read an event.
type Seen struct {
	Topic     [16]byte
	Partition int32
	Offset    int64
}

// WitnessEvent is the Audit consumer: it writes down what stands on the topic, in a log of its own
// that nobody else writes, so that the two can be compared. Its key (tenant, order, seq) is its inbox.
// It runs under the audit login.
func (a *App) WitnessEvent(ctx context.Context, ev event.Event, at Seen) error {
	return a.Store.InTenant(ctx, ev.Tenant, With{}, func(tx Tx) error {
		tx.Witness(WitnessRow{Event: ev, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset, At: tx.Now()})
		return nil
	})
}
