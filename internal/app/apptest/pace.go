package apptest

import (
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// MustFire fires a trigger of an order. It panics when that is illegal. Call it within Change.
func MustFire(o *order.Order, on order.Trigger) {
	if _, err := o.Fire(on, ""); err != nil {
		panic(err)
	}
}

// MustMove fires a trigger of an item. It panics when that is illegal. Call it within Change.
func MustMove(o *order.Order, it *order.Item, on order.ItemTrigger) {
	if err := o.MoveItem(it, on, order.ItemFact{}, ""); err != nil {
		panic(err)
	}
}

// advance moves an order by one step when its last change is at least Pace ago.
func (f *Fake) advance(entry *orderEntry) {
	o := entry.agg.Order
	if f.Pace == 0 || f.Now().Sub(entry.moved) < f.Pace || o.Closing != order.NotClosing {
		return
	}
	actor := tenant.System(o.Tenant, "worker")
	switch o.State {
	case order.PendingPayment:
		if o.Method != "demo" {
			return
		}
		actor = tenant.Actor{Tenant: o.Tenant, Kind: tenant.KindProvider, Name: "demo"}
		f.Pay(o, "demo-"+o.Number, o.Due, "card")
	case order.PaymentConfirmed:
		MustFire(o, order.BeginValidation)
	case order.Validating:
		MustFire(o, order.PassValidation)
		for i := range o.Items {
			MustMove(o, &o.Items[i], order.Enqueue)
			MustMove(o, &o.Items[i], order.Start)
			o.Items[i].Detail = "Creating the machine"
		}
	case order.Provisioning, order.PartiallyFulfilled:
		f.build(entry)
	default:
		return
	}
	f.commit(entry, actor)
}

// build moves the first item that is not delivered yet.
func (f *Fake) build(entry *orderEntry) {
	o := entry.agg.Order
	for i := range o.Items {
		it := &o.Items[i]
		switch {
		case it.State == order.ItemProvisioning && it.Progress < 60:
			it.Progress += 30
		case it.State == order.ItemProvisioning:
			it.Detail = "Ready"
			MustMove(o, it, order.Ready)
		case it.State == order.ItemActive:
			MustMove(o, it, order.Deliver)
			it.Detail = ""
			f.Deliver(entry.agg, it.ID)
		default:
			continue
		}
		o.Resettle("")
		return
	}
}
