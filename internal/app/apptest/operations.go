package apptest

import (
	"context"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// SetLog replaces the saga log of an order.
func (f *Fake) SetLog(o order.ID, log []app.LogEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mustHaveOrder(o).log = log
}

// AddWorkItem adds a refund that must be transferred by hand.
func (f *Fake) AddWorkItem(w app.WorkItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.work = append(f.work, w)
}

// Saga returns an order's tasks, and the log of SetLog.
func (f *Fake) Saga(_ context.Context, c app.Caller, o order.ID) (app.SagaRecord, error) {
	return read(f, "Saga", c, o, func() (app.SagaRecord, error) {
		entry, err := f.find(c, o)
		if err != nil {
			return app.SagaRecord{}, err
		}
		agg := snapshot(entry)
		return app.SagaRecord{Order: agg.Order, Tasks: agg.Tasks, Log: entry.log}, nil
	})
}

// WorkItems lists all work items, on one page.
func (f *Fake) WorkItems(_ context.Context, c app.Caller, cursor string, _ int) (app.Page[app.WorkItem], error) {
	return read(f, "WorkItems", c, cursor, func() (app.Page[app.WorkItem], error) {
		return app.Page[app.WorkItem]{Data: slices.Clone(f.work)}, nil
	})
}

// FinishWorkItem removes a work item. It does not change the order.
func (f *Fake) FinishWorkItem(
	_ context.Context, c app.Caller, r order.RefundID, o order.ID, reason string,
) (*app.Aggregate, error) {
	return write(f, "FinishWorkItem", c, reason, func() (*app.Aggregate, error) {
		entry, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		f.work = slices.DeleteFunc(f.work, func(w app.WorkItem) bool { return w.Refund.ID == r })
		return snapshot(entry), nil
	})
}

// Routing returns the real matrix, with some consumers behind.
func (f *Fake) Routing(_ context.Context, c app.Caller) (app.Routing, error) {
	return read(f, "Routing", c, nil, func() (app.Routing, error) {
		var r app.Routing
		for _, t := range event.Types() {
			r.Events = append(r.Events, app.RoutedEvent{Type: t, Consumers: event.ConsumersOf(t)})
		}
		for i, consumer := range event.Consumers() {
			r.Consumers = append(r.Consumers, app.ConsumerStatus{
				Group: string(consumer), Applied: int64(1042 + i), Duplicates: int64(i),
				Lag: time.Duration(i/4) * 3 * time.Second, LagEvents: int64(i/4) * 12,
			})
		}
		return r, nil
	})
}
