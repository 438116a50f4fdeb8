package app

import (
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// save raises the order's version, records its events and their tasks, and queues the aggregate to be written.
func (a *App) save(tx Tx, agg *Aggregate, by event.Cause) error {
	agg.Order.Version++
	agg.Order.UpdatedAt = tx.Now()
	if err := a.record(tx, agg, by); err != nil {
		return err
	}
	tx.Save(agg)
	return nil
}

// record turns the events of the order into rows and adds the tasks that they call for.
func (a *App) record(tx Tx, agg *Aggregate, by event.Cause) error {
	if by.Correlation.IsZero() {
		by.Correlation = event.ID(agg.Order.ID)
	}
	for _, e := range agg.Order.TakeEvents() {
		rec, err := event.NewRecord(agg.Order, e, by, newID[order.Event](a), tx.Now())
		if err != nil {
			return err
		}
		agg.Added.Events = append(agg.Added.Events, rec)
		if err := a.workFor(agg, e, rec, tx.Now()); err != nil {
			return err
		}
	}
	return nil
}
