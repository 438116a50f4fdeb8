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

// held is an order in memory.
type held struct {
	d      *app.Aggregate
	events []event.Record
	log    []app.LogEntry
	moved  time.Time
}

// AddOrder puts an order into the memory as it is, and before all others. A test may change the aggregate
// as long as nothing asks for the order.
func (f *Fake) AddOrder(agg *app.Aggregate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append([]*held{{d: agg, moved: f.Now()}}, f.orders...)
}

// AddEvents appends to what an order recorded.
func (f *Fake) AddEvents(o order.ID, events ...event.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.mustHold(o)
	h.events = append(h.events, events...)
}

// Change edits an order as the workers would, and records what the aggregate says about it.
func (f *Fake) Change(o order.ID, change func(agg *app.Aggregate)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.mustHold(o)
	change(h.d)
	f.commit(h, tenant.System(h.d.Order.Tenant, "worker"))
}

// mustHold finds an order that a test knows to be there.
func (f *Fake) mustHold(o order.ID) *held {
	at := slices.IndexFunc(f.orders, func(h *held) bool { return h.d.Order.ID == o })
	if at < 0 {
		panic("apptest: there is no order " + o.String())
	}
	return f.orders[at]
}

// commit numbers the version and turns what was recorded into events.
func (f *Fake) commit(h *held, by tenant.Actor) {
	o := h.d.Order
	o.Version++
	o.UpdatedAt, h.moved = f.Now(), f.Now()
	for _, e := range o.TakeEvents() {
		rec, err := event.Of(o, e, event.Cause{Actor: by}, f.NewID(), f.Now())
		if err != nil {
			panic(err)
		}
		h.events = append(h.events, rec)
	}
}

// find returns an order that is the caller's to see, moved on when its pace says so.
func (f *Fake) find(c app.Caller, o order.ID) (*held, error) {
	for _, h := range f.orders {
		if h.d.Order.ID == o && sees(c, h.d.Order) {
			f.advance(h)
			return h, nil
		}
	}
	return nil, fault.Absent()
}

// sees reports whether an order is the caller's to see: a customer's own, all of the tenant for the rest.
func sees(c app.Caller, o *order.Order) bool {
	return o.Tenant == c.Tenant && (c.Role != tenant.Customer || o.Customer == c.Member)
}

// copied is a aggregate that a facade can read while others change the original.
func copied(h *held) *app.Aggregate {
	agg, o := *h.d, *h.d.Order
	agg.Deliveries = nil // a use case of its own reads them
	o.Items, o.Payments, o.Refunds = slices.Clone(o.Items), slices.Clone(o.Payments), slices.Clone(o.Refunds)
	agg.Order, agg.Tasks = &o, slices.Clone(agg.Tasks)
	return &agg
}

// Order reads one.
func (f *Fake) Order(_ context.Context, c app.Caller, o order.ID) (*app.Aggregate, error) {
	return read(f, "Order", c, o, func() (*app.Aggregate, error) {
		h, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		return copied(h), nil
	})
}

// Orders lists by customer, state and prefix. The cursor is how many to pass over.
func (f *Fake) Orders(_ context.Context, c app.Caller, q app.OrderFilter) (app.Page[*app.Aggregate], error) {
	return read(f, "Orders", c, q, func() (app.Page[*app.Aggregate], error) {
		var page app.Page[*app.Aggregate]
		pass, seen := 0, 0
		_, _ = fmt.Sscan(q.Cursor, &pass)
		for _, h := range f.orders {
			if !sees(c, h.d.Order) || !matches(h.d.Order, q) {
				continue
			}
			if seen++; seen <= pass {
				continue
			}
			if len(page.Data) == q.Limit {
				page.Next = fmt.Sprint(seen - 1)
				return page, nil
			}
			page.Data = append(page.Data, copied(h))
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

// OrderEvents pages through an order's events.
func (f *Fake) OrderEvents(_ context.Context, c app.Caller, o order.ID, after, limit int) ([]event.Record, error) {
	return read(f, "OrderEvents", c, o, func() ([]event.Record, error) {
		h, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		var page []event.Record
		for _, e := range h.events {
			if e.Seq > after && len(page) < limit {
				page = append(page, e)
			}
		}
		return page, nil
	})
}

// AllowedActions asks the application's own table.
func (f *Fake) AllowedActions(c app.Caller, agg *app.Aggregate) []order.Action {
	allowed, _ := answer(f, "AllowedActions", func() ([]order.Action, error) {
		return f.rights.AllowedActions(c, agg), nil
	})
	return allowed
}
