// Package portaltest tests the portal from outside. It has a story of orders and people for the pages to show,
// and a walk in a browser, which also runs against the real application. Only tests import it.
package portaltest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/platforma-cloud/orders/internal/payment"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/app/apptest"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Story is a fake application with an order in every state, and the pages that show them.
type Story struct {
	Fake                       *apptest.Fake
	Acme, Beta                 tenant.ID
	Ana, Olga, Adam, Vera, Bor tenant.Actor // customer, operator, admin, auditor of Acme; customer of Beta
	Orders                     map[string]order.ID
	Webhooks                   map[string]app.WebhookEndpointID
	WebhookDelivery            app.WebhookDeliveryID // of the active webhook
	DeadLetters                map[string]id.Of[app.DeadLetter]
	Pages                      []Page
}

// The API keys of the story's people.
const (
	KeyAna, KeyOlga, KeyAdam, KeyVera, KeyBor = "key-ana", "key-olga", "key-adam", "key-vera", "key-bor"
)

// NewStory sets up the story at the time that now returns.
func NewStory(now func() time.Time) *Story {
	f := apptest.New(now)
	s := &Story{
		Fake: f, Orders: map[string]order.ID{}, Webhooks: map[string]app.WebhookEndpointID{},
		DeadLetters: map[string]id.Of[app.DeadLetter]{},
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

func (s *Story) addDraft(name string, items ...app.ItemInput) order.ID {
	create := app.CreateOrder{Items: items, ExternalID: "po-" + name}
	agg, err := s.Fake.CreateOrder(context.Background(), app.Caller{Actor: s.Ana}, create)
	if err != nil {
		panic(err)
	}
	s.Orders[name] = agg.Order.ID
	return agg.Order.ID
}

func (s *Story) submitted(name string, items ...app.ItemInput) order.ID {
	o := s.addDraft(name, items...)
	submit := app.SubmitOrder{Order: o, PaymentMethod: payment.DefaultMethod}
	if _, err := s.Fake.SubmitOrder(context.Background(), app.Caller{Actor: s.Ana}, submit); err != nil {
		panic(err)
	}
	return o
}

// provisioning adds an order whose items are being built.
func (s *Story) provisioning(name string, items ...app.ItemInput) order.ID {
	o := s.submitted(name, items...)
	s.Fake.Change(o, func(agg *app.Aggregate) { s.Fake.Pay(agg.Order, "SI56-"+name, agg.Order.Due, "bank_transfer") })
	s.Fake.Change(o, func(agg *app.Aggregate) { apptest.MustFire(agg.Order, order.BeginValidation) })
	s.Fake.Change(o, func(agg *app.Aggregate) {
		apptest.MustFire(agg.Order, order.PassValidation)
		for i := range agg.Order.Items {
			apptest.MustMove(agg.Order, &agg.Order.Items[i], order.Enqueue)
			apptest.MustMove(agg.Order, &agg.Order.Items[i], order.Start)
		}
	})
	return o
}

func (s *Story) draft() {
	s.addDraft("draft", vps("web-1", "business"), cluster("apps"), database(""))
}

func (s *Story) pending() { s.submitted("pending", vps("web-2", "core"), database("orders-db")) }

func (s *Story) paid() {
	o := s.submitted("paid", vps("web-3", "core"))
	s.Fake.Change(o, func(agg *app.Aggregate) { s.Fake.Pay(agg.Order, "SI56-paid", agg.Order.Due+1, "bank_transfer") })
	held := s.Fake.Now()
	s.Fake.Change(o, func(agg *app.Aggregate) {
		agg.Order.HeldAt = &held
		agg.Order.Record(order.Event{Type: order.EvHeld, Reason: "Address is being checked"})
	})
}

func (s *Story) building() {
	o := s.provisioning("building",
		vps("web-4", "enterprise"), cluster("apps-2"), database("shop-db"), vps("web-5", "core"), vps("web-6", "core"))
	var retrying, compensated order.ItemID
	s.Fake.Change(o, func(agg *app.Aggregate) {
		items := agg.Order.Items
		items[0].Progress = 100
		apptest.MustMove(agg.Order, &items[0], order.Ready)
		apptest.MustMove(agg.Order, &items[0], order.Deliver)
		s.Fake.Deliver(agg, items[0].ID)
		items[1].Progress, items[1].Detail = 55, "Starting the worker nodes"
		items[2].Progress, items[2].Detail = 30, "The provider was not reachable"
		if err := agg.Order.MoveItem(&items[2], order.CallFailed, order.ItemFact{Attempt: 3}, ""); err != nil {
			panic(err)
		}
		agg.Tasks = append(agg.Tasks, waitingTask(items[2].ID, 2, s.Fake.Now().Add(8*time.Second)))
		apptest.MustMove(agg.Order, &items[3], order.NoCapacity)
		items[3].Detail = "lj-1 has no room for this size at the moment"
		agg.Tasks = append(agg.Tasks, waitingTask(items[3].ID, 0, s.Fake.Now().Add(2*time.Minute)))
		items[4].Progress, items[4].Detail = 40, "Removing the machine"
		apptest.MustMove(agg.Order, &items[4], order.Unrecoverable)
		agg.Order.RequestRefund(s.Fake.NewID(), &items[4], "")
		compensating := waitingTask(items[4].ID, 0, s.Fake.Now().Add(4*time.Second))
		compensating.Compensating = true
		agg.Tasks = append(agg.Tasks, compensating)
		agg.Order.Resettle("")
		retrying, compensated = items[2].ID, items[4].ID
	})
	s.Fake.SetLog(o, sagaLog(retrying, compensated, s.Fake.Now()))
}

// waitingTask returns an item's task that waits for its next call.
func waitingTask(it order.ItemID, try int, next time.Time) fulfil.Task {
	return fulfil.Task{
		ID: fulfil.TaskID(it), Item: it, Kind: fulfil.Provision, State: fulfil.Open, Try: try, NextAt: next,
	}
}

// sagaLog returns the log of two tasks: one that retries and one that compensates.
func sagaLog(retrying, compensated order.ItemID, now time.Time) []app.LogEntry {
	at := func(s float64) time.Time { return now.Add(time.Duration((s - 20) * float64(time.Second))) }
	a, b := fulfil.TaskID(retrying), fulfil.TaskID(compensated)
	answer := func(taskID fulfil.TaskID, step string, s, took float64, class fault.Class, note string) app.LogEntry {
		return app.LogEntry{
			Task: taskID, At: at(s), Step: step, What: app.LogAnswer, Class: class, Note: note,
			Took: time.Duration(took * float64(time.Second)),
		}
	}
	withNext := func(e app.LogEntry, s float64) app.LogEntry {
		e.Next = at(s)
		return e
	}
	const unreachable = "the provider was not reachable"
	return []app.LogEntry{
		{Task: a, At: at(0.1), Step: "network", What: app.LogIntent},
		answer(a, "network", 1.2, 1.1, fault.None, ""),
		{Task: b, At: at(1.3), Step: "server", What: app.LogIntent},
		answer(b, "server", 3.9, 2.6, fault.Pending, "accepted, being created"),
		withNext(answer(a, "cluster", 4.2, 2.9, fault.Retryable, unreachable), 6.2),
		withNext(answer(a, "cluster", 8.8, 2.5, fault.Ambiguous, "no clear answer came"), 12.8),
		answer(b, "server", 10.1, 0.4, fault.Quota, "over quota"),
		{Task: b, At: at(10.2), Step: "server", What: app.LogCompensating, Note: "unrecoverable"},
		answer(b, "server", 14.5, 4.1, fault.None, "removed"),
		withNext(answer(a, "cluster", 15.5, 2.7, fault.Retryable, unreachable), 28),
	}
}

func (s *Story) fulfilled(name string, partly bool) {
	o := s.provisioning(name, vps("web-7", "business"), vps("web-8", "business"))
	s.Fake.Change(o, func(agg *app.Aggregate) {
		for i := range agg.Order.Items {
			it := &agg.Order.Items[i]
			if partly && i == 1 {
				it.Progress = 70
				apptest.MustMove(agg.Order, it, order.Unrecoverable)
				r := agg.Order.RequestRefund(s.Fake.NewID(), it, "")
				agg.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
				apptest.MustMove(agg.Order, it, order.Compensated)
				continue
			}
			apptest.MustMove(agg.Order, it, order.Ready)
			apptest.MustMove(agg.Order, it, order.Deliver)
			s.Fake.Deliver(agg, it.ID)
		}
		agg.Order.Resettle("")
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
	s.Fake.Change(o, func(agg *app.Aggregate) { s.Fake.Pay(agg.Order, "SI56-failed", agg.Order.Due, "bank_transfer") })
	s.Fake.Change(o, func(agg *app.Aggregate) { apptest.MustFire(agg.Order, order.BeginValidation) })
	s.Fake.Change(o, func(agg *app.Aggregate) {
		agg.Order.Faults = []fault.Violation{{
			Pointer: "/items/0/region", Code: "no-quota",
			Message: "lj-1 has no quota left for a database of this size.",
		}}
		apptest.MustFire(agg.Order, order.RejectValidation)
		it := &agg.Order.Items[0]
		apptest.MustMove(agg.Order, it, order.Unrecoverable)
		r := agg.Order.RequestRefund(s.Fake.NewID(), it, "")
		agg.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
		agg.Order.Resettle("")
	})
}
