package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Order returns the aggregate of an order.
func (a *App) Order(ctx context.Context, c Caller, o order.ID) (*Aggregate, error) {
	if err := a.may(c.Actor, ReadOrders); err != nil {
		return nil, err
	}
	agg, err := a.Store.Order(ctx, c.Tenant, o)
	if err != nil {
		return nil, err
	}
	if !a.sees(c.Actor, agg.Order) {
		return nil, fault.Absent()
	}
	return agg, nil
}

// Orders lists orders, newest first. A customer sees only their own.
func (a *App) Orders(ctx context.Context, c Caller, f OrderFilter) (Page[*Aggregate], error) {
	if err := a.may(c.Actor, ReadOrders); err != nil {
		return Page[*Aggregate]{}, err
	}
	if c.Kind == tenant.KindMember && c.Role == tenant.Customer {
		f.Customer = c.Member
	}
	if f.State == order.Cancelled {
		f.Deleted = true
	}
	return a.Store.Orders(ctx, c.Tenant, f)
}

// OrderEvents returns an order's events after a sequence number.
func (a *App) OrderEvents(ctx context.Context, c Caller, o order.ID, after, limit int) ([]event.Record, error) {
	if _, err := a.Order(ctx, c, o); err != nil {
		return nil, err
	}
	return a.Store.Events(ctx, c.Tenant, o, after, limit)
}

// Saga returns all tasks, resources and log entries of an order's fulfilment.
func (a *App) Saga(ctx context.Context, c Caller, o order.ID) (SagaRecord, error) {
	if err := a.may(c.Actor, ReadSaga); err != nil {
		return SagaRecord{}, err
	}
	rec, err := a.Store.Saga(ctx, c.Tenant, o)
	if err != nil || rec.Order == nil {
		return rec, err
	}
	agg := &Aggregate{Order: rec.Order, Tasks: rec.Tasks}
	for i := range rec.Tasks {
		if task := &rec.Tasks[i]; task.Kind == fulfil.Provision {
			task.Steps = a.stepNames(agg, task.Item)
		}
	}
	return rec, nil
}

// OrderStats returns the tenant's figures, at most five minutes old (D25). They come from the roll-up, which follows
// the events by a second or two.
func (a *App) OrderStats(ctx context.Context, c Caller) (OrderStats, error) {
	if err := a.may(c.Actor, ReadAnalytics); err != nil {
		return OrderStats{}, err
	}
	load := func(ctx context.Context) (OrderStats, error) { return a.Store.OrderStats(ctx, c.Tenant, a.Now()) }
	if a.Stats == nil {
		return load(ctx)
	}
	return a.Stats.Get(ctx, c.Tenant, load)
}

// RoutedEvent is a row of the routing matrix.
type RoutedEvent struct {
	Type      event.Type
	Consumers []event.Consumer
}

// Routing is which consumer receives which event, and how far each consumer of this process has come (D19).
type Routing struct {
	Events    []RoutedEvent
	Consumers []ConsumerStatus
	Parked    []ParkedCount // of the caller's tenant
}

// Routing returns the routing matrix by which the consumers subscribe.
func (a *App) Routing(ctx context.Context, c Caller) (Routing, error) {
	if err := a.may(c.Actor, ReadRouting); err != nil {
		return Routing{}, err
	}
	var r Routing
	for _, t := range event.Types() {
		r.Events = append(r.Events, RoutedEvent{Type: t, Consumers: event.ConsumersOf(t)})
	}
	var err error
	if r.Parked, err = a.Store.ParkedCounts(ctx, c.Tenant); err != nil || a.Consumers == nil {
		return r, err
	}
	r.Consumers, err = a.Consumers(ctx)
	return r, err
}
