package app

import (
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// save raises the order's version, records its events with the work that they call for, and queues all of it.
func (a *App) save(tx Tx, d *Dossier, by event.Cause) error {
	d.Order.Version++
	d.Order.UpdatedAt = tx.Now()
	if err := a.record(tx, d, by); err != nil {
		return err
	}
	tx.Save(d)
	return nil
}

// record turns what the aggregate recorded into event rows, and adds the work that they call for.
func (a *App) record(tx Tx, d *Dossier, by event.Cause) error {
	if by.Correlation.IsZero() {
		by.Correlation = event.ID(d.Order.ID)
	}
	for _, e := range d.Order.TakeEvents() {
		rec, err := event.Of(d.Order, e, by, newID[order.Event](a), tx.Now())
		if err != nil {
			return err
		}
		d.Added.Events = append(d.Added.Events, rec)
		if err := a.workFor(d, e, rec, tx.Now()); err != nil {
			return err
		}
	}
	return nil
}
