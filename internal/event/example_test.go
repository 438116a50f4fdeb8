package event_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// createdAt is when the example order was created: a Monday morning.
var createdAt = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

// example moves a fixed order through its lifecycle, and keeps the first record of each event type.
type example struct {
	t       *testing.T
	o       *order.Order
	now     time.Time
	ids     int
	records map[event.Type]event.Record
}

func newID[T any](x *example) id.Of[T] {
	x.ids++
	return id.MustParse[T](fmt.Sprintf("0195560d-f2c0-7000-8000-%012x", x.ids))
}

// begin makes a draft with a server and a bucket.
func (x *example) begin() {
	x.now = createdAt
	x.o = &order.Order{
		ID: newID[order.Order](x), Tenant: newID[tenant.Tenant](x), Number: "ORD-7K3M9QXA", Customer: newID[tenant.Member](x),
		State: order.Draft, Version: 1, Currency: "EUR", Due: 21_300, CreatedAt: createdAt,
	}
	x.o.Items = []order.Item{
		{ID: newID[order.Item](x), Line: 1, State: order.ItemPending, Generation: 1, Price: 19_296, Snapshot: order.Snapshot{
			Product: "vps", Plan: "business", Region: "lj-1", BillingCycle: "annual",
			Configuration: json.RawMessage(`{"os_image":"debian-12"}`),
			Title:         "Virtual server", CatalogVersion: 1, FormulaVersion: 1, CatalogMonthly: 2_010,
			Monthly: 2_010, Due: 19_296,
			Lines: []order.PriceLine{{Component: "plan", Quantity: 1, UnitPrice: 2_010, Amount: 2_010}},
		}},
		{ID: newID[order.Item](x), Line: 2, State: order.ItemPending, Generation: 1, Price: 2_004, Snapshot: order.Snapshot{
			Product: "object-storage", Plan: "standard", Region: "lj-1", BillingCycle: "monthly",
			Configuration: json.RawMessage(`{"size_tb":1}`),
			Title:         "Object storage", CatalogVersion: 1, FormulaVersion: 1, CatalogMonthly: 2_004,
			Monthly: 2_004, Due: 2_004,
			Lines: []order.PriceLine{{Component: "plan", Quantity: 1, UnitPrice: 2_004, Amount: 2_004}},
		}},
	}
}

// step runs do as one transaction, a minute later than the last one, and raises the order's version.
func (x *example) step(by tenant.Actor, do func(o *order.Order)) {
	x.t.Helper()
	x.now = x.now.Add(time.Minute)
	do(x.o)
	for _, e := range x.o.TakeEvents() {
		ev := newID[order.Event](x)
		cause := event.Cause{Actor: by, Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
		if first, ok := x.records[order.EvCreated]; ok {
			cause.Correlation = first.ID
		} else {
			cause.Correlation = ev
		}
		if paid, ok := x.records[order.EvPaymentConfirmed]; ok && by.Kind == tenant.KindSystem {
			cause.Event = paid.ID
		}
		r, err := event.NewRecord(x.o, e, cause, ev, x.now)
		if err != nil {
			x.t.Fatalf("Of(%s) = %v", e.Type, err)
		}
		if _, ok := x.records[e.Type]; !ok {
			x.records[e.Type] = r
		}
	}
	x.o.Version++
}

func (x *example) fire(by tenant.Actor, on order.Trigger, reason string) {
	x.t.Helper()
	x.step(by, func(o *order.Order) {
		if _, err := o.Fire(on, reason); err != nil {
			x.t.Fatal(err)
		}
		o.Resettle(reason)
	})
}

func (x *example) item(line int, on order.ItemTrigger, attempt int) {
	x.t.Helper()
	x.step(tenant.System(x.o.Tenant, "worker"), func(o *order.Order) {
		if err := o.MoveItem(&o.Items[line-1], on, order.ItemFact{Attempt: attempt}, ""); err != nil {
			x.t.Fatal(err)
		}
		o.Resettle("")
	})
}

func (x *example) refund(line int, to order.RefundState) {
	x.t.Helper()
	x.step(tenant.System(x.o.Tenant, "billing"), func(o *order.Order) {
		it := &o.Items[line-1]
		if to == order.RefundRequested {
			o.RequestRefund(newID[order.Refund](x), it, "")
		} else {
			o.MoveRefund(o.RefundOf(it.ID), to, "RF-2201", x.now, "")
		}
		o.Resettle("")
	})
}

func (x *example) pay() {
	x.t.Helper()
	operator := tenant.Actor{
		Tenant: x.o.Tenant, Kind: tenant.KindMember, Member: newID[tenant.Member](x), Role: tenant.Operator,
	}
	x.step(operator, func(o *order.Order) {
		p := order.Payment{
			ID: newID[order.Payment](x), Provider: "manual", Reference: "SI56-2026-000417", Method: "bank_transfer",
			Paid: o.Due, Currency: "EUR", PaidAt: x.now,
		}
		paid, err := o.Pay(p)
		if err == nil {
			err = o.Confirm(paid)
		}
		if err != nil {
			x.t.Fatal(err)
		}
	})
}

// record records an event that moves no state.
func (x *example) record(by tenant.Actor, e order.Event) {
	x.step(by, func(o *order.Order) { o.Record(e) })
}

// examples moves one order to its delivery and a second one to its failure, so that every type occurs.
func examples(t *testing.T) map[event.Type]event.Record {
	t.Helper()
	x := &example{t: t, records: map[event.Type]event.Record{}}
	x.begin()
	customer := tenant.Actor{Tenant: x.o.Tenant, Kind: tenant.KindMember, Member: x.o.Customer, Role: tenant.Customer}
	operator := tenant.Actor{
		Tenant: x.o.Tenant, Kind: tenant.KindMember, Member: newID[tenant.Member](x), Role: tenant.Operator,
	}
	worker := tenant.System(x.o.Tenant, "worker")

	x.record(customer, order.Event{Type: order.EvCreated, From: order.Draft})
	x.record(customer, order.Event{Type: order.EvUpdated, From: order.Draft})
	x.fire(customer, order.Submit, "")
	x.pay()
	x.record(operator, order.Event{Type: order.EvHeld, Reason: "Payer differs from the customer; asked back."})
	x.record(operator, order.Event{Type: order.EvReleased, Reason: "Confirmed by telephone."})
	x.step(operator, func(o *order.Order) {
		if err := o.Revert("Booked to the wrong order."); err != nil {
			t.Fatal(err)
		}
	})
	x.pay()
	x.fire(worker, order.BeginValidation, "")
	x.step(worker, func(o *order.Order) {
		for i := range o.Items {
			if err := o.MoveItem(&o.Items[i], order.Enqueue, order.ItemFact{}, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := o.Fire(order.PassValidation, ""); err != nil {
			t.Fatal(err)
		}
	})
	x.item(1, order.Start, 0)
	x.item(1, order.CallFailed, 2)
	x.item(1, order.Start, 0)
	x.item(1, order.Ready, 0)
	x.item(2, order.Start, 0)
	x.item(2, order.NoCapacity, 0)
	x.item(1, order.Deliver, 0)
	x.item(2, order.Unrecoverable, 0)
	x.refund(2, order.RefundRequested)
	x.refund(2, order.RefundStuck)
	x.refund(2, order.RefundAccepted)
	x.item(2, order.CompensationExhausted, 0)
	x.item(2, order.Redrive, 0)
	x.item(2, order.Compensated, 0)
	x.refund(2, order.RefundCompleted)
	x.record(customer, order.Event{
		Type: order.EvRedeliveryRequested, Item: &order.ItemFact{
			Item: x.o.Items[0], From: x.o.Items[0].State, To: x.o.Items[0].State,
		},
	})

	// The second order is paid and cancelled, then restored, and then rejected by the validation.
	x.begin()
	x.fire(customer, order.Submit, "")
	x.pay()
	x.cancelAll(customer)
	x.step(operator, func(o *order.Order) {
		for i := range o.Items {
			if err := o.MoveItem(&o.Items[i], order.RestoreItem, order.ItemFact{}, ""); err != nil {
				t.Fatal(err)
			}
		}
		o.Payments[0].State = order.PaymentSpent
		o.Closing = order.NotClosing
		if _, err := o.Fire(order.Restore, "The customer wants it after all."); err != nil {
			t.Fatal(err)
		}
		o.Settlement = order.SettlementOpen
	})
	x.fire(customer, order.Submit, "")
	x.pay()
	x.fire(worker, order.BeginValidation, "")
	x.o.Faults = []fault.Violation{{
		Pointer: "/items/0/region", Code: "not-offered-now",
		Message: "Nobody builds this product in this region at the moment.",
	}}
	x.reject(worker)
	return x.records
}

// cancelAll cancels a paid order. Work on its items has not begun.
func (x *example) cancelAll(by tenant.Actor) {
	x.t.Helper()
	x.fire(by, order.Cancel, "Ordered by mistake.")
	x.dropAll()
}

// reject rejects an order in its validation.
func (x *example) reject(by tenant.Actor) {
	x.t.Helper()
	x.fire(by, order.RejectValidation, "")
	x.dropAll()
}

// dropAll cancels and refunds every item.
func (x *example) dropAll() {
	x.t.Helper()
	for line := range x.o.Items {
		x.item(line+1, order.Unrecoverable, 0)
		x.refund(line+1, order.RefundRequested)
	}
	for line := range x.o.Items {
		x.refund(line+1, order.RefundAccepted)
	}
}
