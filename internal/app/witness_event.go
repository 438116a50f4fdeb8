package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
)

// WitnessEvent is the Audit consumer: it writes down what stands on the topic, and where, in a log of
// its own that nobody else writes, so that the two can be compared. Its key (tenant, order, seq) is its
// inbox: a redelivered event changes nothing. It runs under the audit login.
func (a *App) WitnessEvent(ctx context.Context, ev event.Event) error {
	return a.Store.InTenant(ctx, ev.Tenant, With{}, func(tx Tx) error {
		tx.Witness(WitnessRow{Event: ev, At: tx.Now()})
		return nil
	})
}
