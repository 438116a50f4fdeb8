// Package portaltest tests the portal from outside: a story of orders and people that the pages are drawn
// from, and a walk through a browser, which also runs against the real application. It is imported by
// tests only.
package portaltest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/app/apptest"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Story is a world with an order in every state, and the pages that show them.
type Story struct {
	Fake                       *apptest.Fake
	Acme, Beta                 tenant.ID
	Ana, Olga, Adam, Vera, Bor tenant.Actor // customer, operator, admin, auditor of Acme; customer of Beta
	Orders                     map[string]order.ID
	Webhooks                   map[string]app.EndpointID
	Posting                    app.PostingID // of the active one
	Letters                    map[string]id.Of[app.DeadLetter]
	Pages                      []Page
}

// Keys of the story's people.
const (
	KeyAna, KeyOlga, KeyAdam, KeyVera, KeyBor = "key-ana", "key-olga", "key-adam", "key-vera", "key-bor"
)

// NewStory tells the story at a moment.
func NewStory(now func() time.Time) *Story {
	f := apptest.New(now)
	s := &Story{
		Fake: f, Orders: map[string]order.ID{}, Webhooks: map[string]app.EndpointID{},
		Letters: map[string]id.Of[app.DeadLetter]{},
	}
	s.Acme = f.AddTenant("Acme Hosting", nil)
	s.Beta = f.AddTenant("Beta d.o.o.", func(x *app.Settings) { x.BrandColor, x.BrandContrast = "#7a1fa2", "#ffffff" })
	s.Ana = s.person(s.Acme, tenant.Customer, "ana@acme.example", KeyAna)
	s.Olga = s.person(s.Acme, tenant.Operator, "olga@acme.example", KeyOlga)
	s.Adam = s.person(s.Acme, tenant.Admin, "adam@acme.example", KeyAdam)
	s.Vera = s.person(s.Acme, tenant.Auditor, "vera@acme.example", KeyVera)
	s.Bor = s.person(s.Beta, tenant.Customer, "bor@beta.example", KeyBor)

	s.draft()
	s.pending()
	s.paid()
	s.building()
	s.fulfilled("fulfilled", false)
	s.fulfilled("partial", true)
	s.cancelled()
	s.failed()
	s.stuck()
	s.webhooks()
	s.pages()
	return s
}

func (s *Story) person(t tenant.ID, role tenant.Role, email, key string) tenant.Actor {
	return s.Fake.AddMember(t, app.Member{Role: role, Email: email, Subject: email}, key)
}

func vps(label, plan string) app.ItemInput {
	return app.ItemInput{
		Product: "vps", Plan: plan, Region: "lj-1", BillingCycle: "monthly", Label: label,
		Configuration: json.RawMessage(`{"os_image":"debian-12"}`),
	}
}

func cluster(label string) app.ItemInput {
	return app.ItemInput{
		Product: "kubernetes", Region: "mb-1", BillingCycle: "annual", Label: label,
		Configuration: json.RawMessage(`{"workers":5,"storage_gb":500,"storage_class":"fast",` +
			`"autoscaling":{"enabled":true,"min_workers":3,"max_workers":12}}`),
	}
}

func database(label string) app.ItemInput {
	return app.ItemInput{
		Product: "database", Plan: "production", Region: "lj-1", BillingCycle: "monthly", Label: label,
		Configuration: json.RawMessage(`{"storage_gb":200,"high_availability":true}`),
	}
}

func (s *Story) begin(name string, items ...app.ItemInput) order.ID {
	create := app.CreateOrder{Items: items, ExternalID: "po-" + name}
	d, err := s.Fake.CreateOrder(context.Background(), app.Caller{Actor: s.Ana}, create)
	if err != nil {
		panic(err)
	}
	s.Orders[name] = d.Order.ID
	return d.Order.ID
}

func (s *Story) submitted(name string, items ...app.ItemInput) order.ID {
	o := s.begin(name, items...)
	submit := app.SubmitOrder{Order: o, PaymentMethod: "manual"}
	if _, err := s.Fake.SubmitOrder(context.Background(), app.Caller{Actor: s.Ana}, submit); err != nil {
		panic(err)
	}
	return o
}

// provisioning brings an order to where its items are being built.
func (s *Story) provisioning(name string, items ...app.ItemInput) order.ID {
	o := s.submitted(name, items...)
	s.Fake.Change(o, func(d *app.Dossier) { s.Fake.Pay(d.Order, "SI56-"+name, d.Order.Due, "bank_transfer") })
	s.Fake.Change(o, func(d *app.Dossier) { apptest.MustFire(d.Order, order.BeginValidation) })
	s.Fake.Change(o, func(d *app.Dossier) {
		apptest.MustFire(d.Order, order.PassValidation)
		for i := range d.Order.Items {
			apptest.MustMove(d.Order, &d.Order.Items[i], order.Enqueue)
			apptest.MustMove(d.Order, &d.Order.Items[i], order.Start)
		}
	})
	return o
}

func (s *Story) draft() {
	s.begin("draft", vps("web-1", "business"), cluster("apps"), database(""))
}

func (s *Story) pending() { s.submitted("pending", vps("web-2", "core"), database("orders-db")) }

func (s *Story) paid() {
	o := s.submitted("paid", vps("web-3", "core"))
	s.Fake.Change(o, func(d *app.Dossier) { s.Fake.Pay(d.Order, "SI56-paid", d.Order.Due+1, "bank_transfer") })
	held := s.Fake.Now()
	s.Fake.Change(o, func(d *app.Dossier) {
		d.Order.HeldAt = &held
		d.Order.Record(order.Event{Type: order.EvHeld, Reason: "Address is being checked"})
	})
}

func (s *Story) building() {
	o := s.provisioning("building",
		vps("web-4", "enterprise"), cluster("apps-2"), database("shop-db"), vps("web-5", "core"), vps("web-6", "core"))
	var retrying, back order.ItemID
	s.Fake.Change(o, func(d *app.Dossier) {
		items := d.Order.Items
		items[0].Progress = 100
		apptest.MustMove(d.Order, &items[0], order.Ready)
		apptest.MustMove(d.Order, &items[0], order.Deliver)
		s.Fake.Deliver(d, items[0].ID)
		items[1].Progress, items[1].Detail = 55, "Starting the worker nodes"
		items[2].Progress, items[2].Detail = 30, "The provider was not reachable"
		if err := d.Order.MoveItem(&items[2], order.CallFailed, order.ItemFact{Attempt: 3}, ""); err != nil {
			panic(err)
		}
		d.Units = append(d.Units, waiting(items[2].ID, 2, s.Fake.Now().Add(8*time.Second)))
		apptest.MustMove(d.Order, &items[3], order.NoCapacity)
		items[3].Detail = "lj-1 has no room for this size at the moment"
		d.Units = append(d.Units, waiting(items[3].ID, 0, s.Fake.Now().Add(2*time.Minute)))
		items[4].Progress, items[4].Detail = 40, "Removing the machine"
		apptest.MustMove(d.Order, &items[4], order.Unrecoverable)
		d.Order.RequestRefund(s.Fake.NewID(), &items[4], "")
		undoing := waiting(items[4].ID, 0, s.Fake.Now().Add(4*time.Second))
		undoing.Undoing = true
		d.Units = append(d.Units, undoing)
		d.Order.Resettle("")
		retrying, back = items[2].ID, items[4].ID
	})
	s.Fake.SetLog(o, sagaLog(retrying, back, s.Fake.Now()))
}

// waiting is a unit of an item that waits for its next call.
func waiting(it order.ItemID, try int, next time.Time) fulfil.Unit {
	return fulfil.Unit{
		ID: fulfil.UnitID(it), Item: it, Kind: fulfil.Provision, State: fulfil.Open, Try: try, NextAt: next,
	}
}

// sagaLog is the log of two units: one that retries and one that goes back.
func sagaLog(retrying, back order.ItemID, now time.Time) []app.LogEntry {
	at := func(s float64) time.Time { return now.Add(time.Duration((s - 20) * float64(time.Second))) }
	a, b := fulfil.UnitID(retrying), fulfil.UnitID(back)
	answer := func(u fulfil.UnitID, part string, s, took float64, class fault.Class, note string) app.LogEntry {
		return app.LogEntry{
			Unit: u, At: at(s), Part: part, What: app.LogAnswer, Class: class, Note: note,
			Took: time.Duration(took * float64(time.Second)),
		}
	}
	next := func(e app.LogEntry, s float64) app.LogEntry {
		e.Next = at(s)
		return e
	}
	const away = "the provider was not reachable"
	return []app.LogEntry{
		{Unit: a, At: at(0.1), Part: "network", What: app.LogIntent},
		answer(a, "network", 1.2, 1.1, fault.None, ""),
		{Unit: b, At: at(1.3), Part: "server", What: app.LogIntent},
		answer(b, "server", 3.9, 2.6, fault.Pending, "accepted, being created"),
		next(answer(a, "cluster", 4.2, 2.9, fault.Retryable, away), 6.2),
		next(answer(a, "cluster", 8.8, 2.5, fault.Ambiguous, "no clear answer came"), 12.8),
		answer(b, "server", 10.1, 0.4, fault.Quota, "over quota"),
		{Unit: b, At: at(10.2), Part: "server", What: app.LogTurned, Note: "unrecoverable"},
		answer(b, "server", 14.5, 4.1, fault.None, "removed"),
		next(answer(a, "cluster", 15.5, 2.7, fault.Retryable, away), 28),
	}
}

func (s *Story) fulfilled(name string, partly bool) {
	o := s.provisioning(name, vps("web-7", "business"), vps("web-8", "business"))
	s.Fake.Change(o, func(d *app.Dossier) {
		for i := range d.Order.Items {
			it := &d.Order.Items[i]
			if partly && i == 1 {
				it.Progress = 70
				apptest.MustMove(d.Order, it, order.Unrecoverable)
				r := d.Order.RequestRefund(s.Fake.NewID(), it, "")
				d.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
				apptest.MustMove(d.Order, it, order.Undone)
				continue
			}
			apptest.MustMove(d.Order, it, order.Ready)
			apptest.MustMove(d.Order, it, order.Deliver)
			s.Fake.Deliver(d, it.ID)
		}
		d.Order.Resettle("")
	})
}

func (s *Story) cancelled() {
	o := s.submitted("cancelled", vps("web-9", "core"))
	cancel := app.Reasoned{Order: o, Reason: "Ordered twice"}
	if _, err := s.Fake.CancelOrder(context.Background(), app.Caller{Actor: s.Ana}, cancel); err != nil {
		panic(err)
	}
}

func (s *Story) failed() {
	o := s.submitted("failed", database("reports"))
	s.Fake.Change(o, func(d *app.Dossier) { s.Fake.Pay(d.Order, "SI56-failed", d.Order.Due, "bank_transfer") })
	s.Fake.Change(o, func(d *app.Dossier) { apptest.MustFire(d.Order, order.BeginValidation) })
	s.Fake.Change(o, func(d *app.Dossier) {
		d.Order.Faults = []fault.Violation{{
			Pointer: "/items/0/region", Code: "no-quota",
			Message: "lj-1 has no quota left for a database of this size.",
		}}
		apptest.MustFire(d.Order, order.RejectValidation)
		it := &d.Order.Items[0]
		apptest.MustMove(d.Order, it, order.Unrecoverable)
		r := d.Order.RequestRefund(s.Fake.NewID(), it, "")
		d.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
		d.Order.Resettle("")
	})
}
