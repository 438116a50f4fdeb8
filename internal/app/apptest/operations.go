package apptest

import (
	"context"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// SetLog replaces what was written down about the calls for an order.
func (f *Fake) SetLog(o order.ID, log []app.LogEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mustHold(o).log = log
}

// AddWorkItem puts a refund to be moved by hand on the desk.
func (f *Fake) AddWorkItem(w app.WorkItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.work = append(f.work, w)
}

// Saga has an order's tasks, and what SetLog wrote down.
func (f *Fake) Saga(_ context.Context, c app.Caller, o order.ID) (app.SagaRecord, error) {
	return read(f, "Saga", c, o, func() (app.SagaRecord, error) {
		h, err := f.find(c, o)
		if err != nil {
			return app.SagaRecord{}, err
		}
		agg := copied(h)
		return app.SagaRecord{Order: agg.Order, Tasks: agg.Tasks, Log: h.log}, nil
	})
}

// WorkItems lists all on one page.
func (f *Fake) WorkItems(_ context.Context, c app.Caller, cursor string, _ int) (app.Page[app.WorkItem], error) {
	return read(f, "WorkItems", c, cursor, func() (app.Page[app.WorkItem], error) {
		return app.Page[app.WorkItem]{Data: slices.Clone(f.work)}, nil
	})
}

// FinishWorkItem takes one off the desk. It leaves the order as it is.
func (f *Fake) FinishWorkItem(
	_ context.Context, c app.Caller, r order.RefundID, o order.ID, reason string,
) (*app.Aggregate, error) {
	return write(f, "FinishWorkItem", c, reason, func() (*app.Aggregate, error) {
		h, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		f.work = slices.DeleteFunc(f.work, func(w app.WorkItem) bool { return w.Refund.ID == r })
		return copied(h), nil
	})
}

// Routing is the real matrix, with one consumer behind.
func (f *Fake) Routing(_ context.Context, c app.Caller) (app.Routing, error) {
	return read(f, "Routing", c, nil, func() (app.Routing, error) {
		var r app.Routing
		for _, t := range order.EventTypes() {
			r.Events = append(r.Events, app.RoutedEvent{Type: t, Consumers: event.Routing[t]})
		}
		for i, who := range event.Consumers() {
			r.Consumers = append(r.Consumers, app.ConsumerStatus{
				Consumer: string(who), Applied: int64(1042 + i), Duplicates: int64(i),
				Age: time.Duration(i/4) * 3 * time.Second, Behind: int64(i/4) * 12,
			})
		}
		return r, nil
	})
}
