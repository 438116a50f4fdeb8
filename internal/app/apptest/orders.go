package apptest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// orderEntry is an order in memory.
type orderEntry struct {
	agg    *app.Aggregate
	events []event.Record
	log    []app.LogEntry
	moved  time.Time // when it changed last
}

// AddOrder adds an order as it is, as the newest one. The test may change the aggregate until something reads the
// order.
func (f *Fake) AddOrder(agg *app.Aggregate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append([]*orderEntry{{agg: agg, moved: f.Now()}}, f.orders...)
}

// AddEvents appends events to those of an order.
func (f *Fake) AddEvents(o order.ID, events ...event.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry := f.mustHaveOrder(o)
	entry.events = append(entry.events, events...)
}

// Change changes an order as the workers would, and records the aggregate's events.
func (f *Fake) Change(o order.ID, change func(agg *app.Aggregate)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry := f.mustHaveOrder(o)
	change(entry.agg)
	f.commit(entry, tenant.System(entry.agg.Order.Tenant, "worker"))
}

// mustHaveOrder returns an order. It panics when there is none.
func (f *Fake) mustHaveOrder(o order.ID) *orderEntry {
	at := slices.IndexFunc(f.orders, func(entry *orderEntry) bool { return entry.agg.Order.ID == o })
	if at < 0 {
		panic("apptest: there is no order " + o.String())
	}
	return f.orders[at]
}

// commit raises the version and records the order's events.
func (f *Fake) commit(entry *orderEntry, by tenant.Actor) {
	o := entry.agg.Order
	o.Version++
	o.UpdatedAt, entry.moved = f.Now(), f.Now()
	for _, e := range o.TakeEvents() {
		rec, err := event.NewRecord(o, e, event.Cause{Actor: by}, f.NewID(), f.Now())
		if err != nil {
			panic(err)
		}
		entry.events = append(entry.events, rec)
	}
}

// find returns an order that the caller may see. It first advances the order if that is due.
func (f *Fake) find(c app.Caller, o order.ID) (*orderEntry, error) {
	for _, entry := range f.orders {
		if entry.agg.Order.ID == o && sees(c, entry.agg.Order) {
			f.advance(entry)
			return entry, nil
		}
	}
	return nil, fault.Absent()
}

// sees reports whether a caller may see an order: a customer their own, everybody else all of the tenant.
func sees(c app.Caller, o *order.Order) bool {
	return o.Tenant == c.Tenant && (c.Role != tenant.Customer || o.Customer == c.Member)
}

// snapshot returns a copy of an aggregate that a facade can read while others change the original.
func snapshot(entry *orderEntry) *app.Aggregate {
	agg, o := *entry.agg, *entry.agg.Order
	agg.Deliveries = nil // another use case reads them
	o.Items, o.Payments, o.Refunds = slices.Clone(o.Items), slices.Clone(o.Payments), slices.Clone(o.Refunds)
	agg.Order, agg.Tasks = &o, slices.Clone(agg.Tasks)
	return &agg
}

// Order returns an order.
func (f *Fake) Order(_ context.Context, c app.Caller, o order.ID) (*app.Aggregate, error) {
	return read(f, "Order", c, o, func() (*app.Aggregate, error) {
		entry, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		return snapshot(entry), nil
	})
}

// Orders lists orders by customer, state and prefix. The cursor is the number of orders to skip.
func (f *Fake) Orders(_ context.Context, c app.Caller, q app.OrderFilter) (app.Page[*app.Aggregate], error) {
	return read(f, "Orders", c, q, func() (app.Page[*app.Aggregate], error) {
		var page app.Page[*app.Aggregate]
		skip, seen := 0, 0
		_, _ = fmt.Sscan(q.Cursor, &skip)
		for _, entry := range f.orders {
			if !sees(c, entry.agg.Order) || !matches(entry.agg.Order, q) {
				continue
			}
			if seen++; seen <= skip {
				continue
			}
			if len(page.Data) == q.Limit {
				page.Next = fmt.Sprint(seen - 1)
				return page, nil
			}
			page.Data = append(page.Data, snapshot(entry))
		}
		return page, nil
	})
}

func matches(o *order.Order, q app.OrderFilter) bool {
	if !q.Customer.IsZero() && o.Customer != q.Customer || q.State != 0 && o.State != q.State {
		return false
	}
	if q.State == 0 && o.State == order.Cancelled && !q.Deleted {
		return false
	}
	ok := strings.HasPrefix(o.Number, strings.ToUpper(q.Query)) ||
		o.ExternalID != "" && strings.HasPrefix(o.ExternalID, q.Query)
	for _, it := range o.Items {
		ok = ok || it.Label != "" && strings.HasPrefix(it.Label, q.Query)
	}
	return ok
}

// OrderEvents returns at most limit events of an order whose seq is greater than after.
func (f *Fake) OrderEvents(_ context.Context, c app.Caller, o order.ID, after, limit int) ([]event.Record, error) {
	return read(f, "OrderEvents", c, o, func() ([]event.Record, error) {
		entry, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		var page []event.Record
		for _, e := range entry.events {
			if e.Seq > after && len(page) < limit {
				page = append(page, e)
			}
		}
		return page, nil
	})
}

// AllowedActions uses the real permissions.
func (f *Fake) AllowedActions(c app.Caller, agg *app.Aggregate) []order.Action {
	allowed, _ := answer(f, "AllowedActions", func() ([]order.Action, error) {
		return f.rights.AllowedActions(c, agg), nil
	})
	return allowed
}
