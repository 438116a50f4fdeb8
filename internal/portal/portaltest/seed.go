package portaltest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Page of the storybook: what every page looks like in every state it has.
type Page struct {
	Name   string
	Path   string
	As     tenant.Actor
	Status int
}

// Story is a world with an order in every state, and the pages that show them.
type Story struct {
	Fake                       *Fake
	Acme, Beta                 tenant.ID
	Ana, Olga, Adam, Vera, Bor tenant.Actor // customer, operator, admin, auditor of Acme; customer of Beta
	Orders                     map[string]order.ID
	Webhooks                   map[string]app.EndpointID
	Posting                    app.PostingID // of the active one
	Letters                    map[string]letterID
	Pages                      []Page
}

// Keys of the story's people.
const (
	KeyAna, KeyOlga, KeyAdam, KeyVera, KeyBor = "key-ana", "key-olga", "key-adam", "key-vera", "key-bor"
)

// NewStory tells the story at a moment.
func NewStory(now func() time.Time) *Story {
	f := NewFake(now)
	s := &Story{Fake: f, Orders: map[string]order.ID{}, Webhooks: map[string]app.EndpointID{}, Letters: map[string]letterID{}}
	s.Acme = f.AddTenant("Acme Hosting", nil)
	s.Beta = f.AddTenant("Beta d.o.o.", func(x *app.Settings) { x.BrandColor, x.BrandContrast = "#7a1fa2", "#ffffff" })
	s.Ana = f.AddMember(s.Acme, tenant.Customer, "ana@acme.example", KeyAna)
	s.Olga = f.AddMember(s.Acme, tenant.Operator, "olga@acme.example", KeyOlga)
	s.Adam = f.AddMember(s.Acme, tenant.Admin, "adam@acme.example", KeyAdam)
	s.Vera = f.AddMember(s.Acme, tenant.Auditor, "vera@acme.example", KeyVera)
	s.Bor = f.AddMember(s.Beta, tenant.Customer, "bor@beta.example", KeyBor)

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

func vps(label, plan string) app.ItemInput {
	return app.ItemInput{Product: "vps", Plan: plan, Region: "lj-1", BillingCycle: "monthly", Label: label, Configuration: json.RawMessage(`{"os_image":"debian-12"}`)}
}

func cluster(label string) app.ItemInput {
	return app.ItemInput{
		Product: "kubernetes", Region: "mb-1", BillingCycle: "annual", Label: label,
		Configuration: json.RawMessage(`{"workers":5,"storage_gb":500,"storage_class":"fast","autoscaling":{"enabled":true,"min_workers":3,"max_workers":12}}`),
	}
}

func database(label string) app.ItemInput {
	return app.ItemInput{Product: "database", Plan: "production", Region: "lj-1", BillingCycle: "monthly", Label: label, Configuration: json.RawMessage(`{"storage_gb":200,"high_availability":true}`)}
}

func (s *Story) begin(name string, items ...app.ItemInput) order.ID {
	d, err := s.Fake.CreateOrder(context.Background(), app.Caller{Actor: s.Ana}, app.CreateOrder{Items: items, ExternalID: "po-" + name})
	if err != nil {
		panic(err)
	}
	s.Orders[name] = d.Order.ID
	return d.Order.ID
}

func (s *Story) submitted(name string, items ...app.ItemInput) order.ID {
	o := s.begin(name, items...)
	if _, err := s.Fake.SubmitOrder(context.Background(), app.Caller{Actor: s.Ana}, app.SubmitOrder{Order: o, PaymentMethod: "manual"}); err != nil {
		panic(err)
	}
	return o
}

// provisioning brings an order to where its items are being built.
func (s *Story) provisioning(name string, items ...app.ItemInput) order.ID {
	o := s.submitted(name, items...)
	s.Fake.Change(o, func(d *app.Dossier) { s.Fake.pay(d.Order, "SI56-"+name, d.Order.Due, "bank_transfer") })
	s.Fake.Change(o, func(d *app.Dossier) { mustFire(d.Order, order.BeginValidation) })
	s.Fake.Change(o, func(d *app.Dossier) {
		mustFire(d.Order, order.PassValidation)
		for i := range d.Order.Items {
			mustMove(d.Order, &d.Order.Items[i], order.Enqueue)
			mustMove(d.Order, &d.Order.Items[i], order.Start)
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
	s.Fake.Change(o, func(d *app.Dossier) { s.Fake.pay(d.Order, "SI56-paid", d.Order.Due+1, "bank_transfer") })
	held := s.Fake.Now()
	s.Fake.Change(o, func(d *app.Dossier) {
		d.Order.HeldAt = &held
		d.Order.Record(order.Event{Type: order.EvHeld, Reason: "Address is being checked"})
	})
}

func (s *Story) building() {
	o := s.provisioning("building", vps("web-4", "enterprise"), cluster("apps-2"), database("shop-db"), vps("web-5", "core"), vps("web-6", "core"))
	s.Fake.Change(o, func(d *app.Dossier) {
		items := d.Order.Items
		items[0].Progress = 100
		mustMove(d.Order, &items[0], order.Ready)
		mustMove(d.Order, &items[0], order.Deliver)
		for _, h := range s.Fake.orders {
			if h.d == d {
				s.Fake.deliver(h, items[0].ID)
			}
		}
		items[1].Progress, items[1].Detail = 55, "Starting the worker nodes"
		items[2].Progress, items[2].Detail = 30, "The provider was not reachable"
		if err := d.Order.MoveItem(&items[2], order.CallFailed, order.ItemFact{Attempt: 3}, ""); err != nil {
			panic(err)
		}
		d.Units = append(d.Units, Waiting(items[2].ID, 2, s.Fake.Now().Add(8*time.Second)))
		mustMove(d.Order, &items[3], order.NoCapacity)
		items[3].Detail = "lj-1 has no room for this size at the moment"
		d.Units = append(d.Units, Waiting(items[3].ID, 0, s.Fake.Now().Add(2*time.Minute)))
		items[4].Progress, items[4].Detail = 40, "Removing the machine"
		mustMove(d.Order, &items[4], order.Unrecoverable)
		d.Order.RequestRefund(s.Fake.id(), &items[4], "")
		d.Units = append(d.Units, fulfil.Unit{ID: fulfil.UnitID(items[4].ID), Item: items[4].ID, Kind: fulfil.Provision, State: fulfil.Open, Undoing: true, NextAt: s.Fake.Now().Add(4 * time.Second)})
		d.Order.Resettle("")
		for _, h := range s.Fake.orders {
			if h.d == d {
				h.log = sagaLog(items[2].ID, items[4].ID, s.Fake.Now())
			}
		}
	})
}

// sagaLog is a unit that retries and one that goes back.
func sagaLog(retrying, back order.ItemID, now time.Time) []app.LogEntry {
	at := func(s float64) time.Time { return now.Add(time.Duration((s - 20) * float64(time.Second))) }
	a, b := fulfil.UnitID(retrying), fulfil.UnitID(back)
	return []app.LogEntry{
		{Unit: a, At: at(0.1), Part: "network", What: app.LogIntent},
		{Unit: a, At: at(1.2), Part: "network", What: app.LogAnswer, Took: 1100 * time.Millisecond},
		{Unit: b, At: at(1.3), Part: "server", What: app.LogIntent},
		{Unit: b, At: at(3.9), Part: "server", What: app.LogAnswer, Class: fault.Pending, Took: 2600 * time.Millisecond, Note: "accepted, being created"},
		{Unit: a, At: at(4.2), Part: "cluster", What: app.LogAnswer, Class: fault.Retryable, Took: 2900 * time.Millisecond, Note: "the provider was not reachable", Next: at(6.2)},
		{Unit: a, At: at(8.8), Part: "cluster", What: app.LogAnswer, Class: fault.Ambiguous, Took: 2500 * time.Millisecond, Note: "no clear answer came", Next: at(12.8)},
		{Unit: b, At: at(10.1), Part: "server", What: app.LogAnswer, Class: fault.Quota, Took: 400 * time.Millisecond, Note: "over quota"},
		{Unit: b, At: at(10.2), Part: "server", What: app.LogTurned, Note: "unrecoverable"},
		{Unit: b, At: at(14.5), Part: "server", What: app.LogAnswer, Took: 4100 * time.Millisecond, Note: "removed"},
		{Unit: a, At: at(15.5), Part: "cluster", What: app.LogAnswer, Class: fault.Retryable, Took: 2700 * time.Millisecond, Note: "the provider was not reachable", Next: at(28)},
	}
}

func (s *Story) fulfilled(name string, partly bool) {
	o := s.provisioning(name, vps("web-7", "business"), vps("web-8", "business"))
	s.Fake.Change(o, func(d *app.Dossier) {
		for i := range d.Order.Items {
			it := &d.Order.Items[i]
			if partly && i == 1 {
				it.Progress = 70
				mustMove(d.Order, it, order.Unrecoverable)
				r := d.Order.RequestRefund(s.Fake.id(), it, "")
				d.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
				mustMove(d.Order, it, order.Undone)
				continue
			}
			mustMove(d.Order, it, order.Ready)
			mustMove(d.Order, it, order.Deliver)
			for _, h := range s.Fake.orders {
				if h.d == d {
					s.Fake.deliver(h, it.ID)
				}
			}
		}
		d.Order.Resettle("")
	})
}

func (s *Story) cancelled() {
	o := s.submitted("cancelled", vps("web-9", "core"))
	if _, err := s.Fake.CancelOrder(context.Background(), app.Caller{Actor: s.Ana}, app.Reasoned{Order: o, Reason: "Ordered twice"}); err != nil {
		panic(err)
	}
}

func (s *Story) failed() {
	o := s.submitted("failed", database("reports"))
	s.Fake.Change(o, func(d *app.Dossier) { s.Fake.pay(d.Order, "SI56-failed", d.Order.Due, "bank_transfer") })
	s.Fake.Change(o, func(d *app.Dossier) { mustFire(d.Order, order.BeginValidation) })
	s.Fake.Change(o, func(d *app.Dossier) {
		d.Order.Faults = []fault.Violation{{Pointer: "/items/0/region", Code: "no-quota", Message: "lj-1 has no quota left for a database of this size."}}
		mustFire(d.Order, order.RejectValidation)
		it := &d.Order.Items[0]
		mustMove(d.Order, it, order.Unrecoverable)
		r := d.Order.RequestRefund(s.Fake.id(), it, "")
		d.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
		d.Order.Resettle("")
	})
}

func (s *Story) stuck() {
	now := s.Fake.Now()
	call := func(ago time.Duration, class fault.Class, note string) app.LogEntry {
		return app.LogEntry{At: now.Add(-ago), Part: "server", What: app.LogAnswer, Class: class, Took: 340 * time.Millisecond, Note: note}
	}
	left := []fulfil.Part{{Part: "server", Generation: 1, Phase: fulfil.Deleting, Refs: []string{"srv-7a41c0de"}}, {Part: "port", Generation: 1, Phase: fulfil.PartDone, Refs: []string{"prt-19b2"}}}
	s.stuckOrder("stuck", "web-10", func(d *app.Dossier) {
		calls := []app.LogEntry{call(time.Hour, fault.Retryable, "the provider answered: retryable (maintenance)"), call(50*time.Minute, fault.Protected, "the provider answered: protected")}
		s.letterAbout("protected", d, app.DeadLetter{Class: fault.Protected, Code: "undo-exhausted", Detail: "The server is protected against deletion at the provider.", Step: "server", Attempts: 6}, calls, left)
		r := &d.Order.Refunds[0]
		s.Fake.work = append(s.Fake.work, app.WorkItem{Refund: *r, Order: d.Order.ID, Number: d.Order.Number, Reference: "SI56-stuck", Since: now.Add(-3 * time.Hour)})
	})
	down := []app.LogEntry{call(2*time.Hour, fault.Retryable, "the provider answered: retryable (unavailable)"), call(90*time.Minute, fault.Retryable, "still there after the delete")}
	s.stuckOrder("unclear", "web-11", func(d *app.Dossier) {
		s.letterAbout("unclear", d, app.DeadLetter{Class: fault.Retryable, Code: "undo-exhausted", Detail: "Nobody could say whether the server exists.", Step: "server", Attempts: 6}, down, []fulfil.Part{{Part: "server", Generation: 1, Phase: fulfil.Intent}})
	})
	signedAt := now.Add(-20 * time.Minute)
	s.stuckOrder("signed", "web-12", func(d *app.Dossier) {
		l := app.DeadLetter{Class: fault.Retryable, Code: "undo-exhausted", Detail: "The server is still there after the delete.", Step: "server", Attempts: 6}
		l.Abandonment = app.Abandonment{Grounds: app.RemovedByHand, Text: "Deleted at the console after a call with the data centre", Proof: "Ticket OPS-311", FirstBy: s.Adam.Member, FirstAt: &signedAt}
		calls := append(down[:2:2], app.LogEntry{At: signedAt, Part: "server", What: app.LogDecision, Note: "to be abandoned (removed_by_hand), signed first; proof: Ticket OPS-311; awaits a second person"})
		s.letterAbout("signed", d, l, calls, left[:1])
	})
}

func (s *Story) pages() {
	at := func(name, suffix string) string { return "/orders/" + s.Orders[name].String() + suffix }
	hook := func(name, suffix string) string {
		return "/settings/webhooks/" + s.Webhooks[name].String() + suffix
	}
	letter := func(name string) string { return "/desk/letters/" + s.Letters[name].String() }
	nobody := tenant.Actor{}
	s.Pages = []Page{
		{"catalog", "/catalog", s.Ana, 200},
		{"config-vps", "/catalog/vps", s.Ana, 200},
		{"config-kubernetes", "/catalog/kubernetes", s.Ana, 200},
		{"config-database", "/catalog/database", s.Ana, 200},
		{"config-gpu", "/catalog/gpu", s.Ana, 200},
		{"config-private-cloud", "/catalog/private_cloud", s.Ana, 200},
		{"config-object-storage", "/catalog/object_storage", s.Ana, 200},
		{"cart", at("draft", "/cart"), s.Ana, 200},
		{"cart-empty", "/cart", s.Bor, 200},
		{"orders", "/orders", s.Ana, 200},
		{"orders-none-match", "/orders?q=nothing", s.Ana, 200},
		{"orders-empty", "/orders", s.Bor, 200},
		{"orders-operator", "/orders", s.Olga, 200},
		{"order-draft", at("draft", ""), s.Ana, 200},
		{"order-pending", at("pending", ""), s.Ana, 200},
		{"order-held", at("paid", ""), s.Olga, 200},
		{"order-building", at("building", ""), s.Ana, 200},
		{"order-fulfilled", at("fulfilled", ""), s.Ana, 200},
		{"order-partial", at("partial", ""), s.Ana, 200},
		{"order-cancelled", at("cancelled", ""), s.Ana, 200},
		{"order-failed", at("failed", ""), s.Ana, 200},
		{"saga", at("building", "/saga"), s.Olga, 200},
		{"saga-empty", at("draft", "/saga"), s.Olga, 200},
		{"order-stuck", at("stuck", ""), s.Olga, 200},
		{"cancel", at("building", "/do/cancel"), s.Ana, 200},
		{"cancel-unpaid", at("pending", "/do/cancel"), s.Ana, 200},
		{"restore", at("cancelled", "/do/restore"), s.Ana, 200},
		{"revert", at("paid", "/do/revert-payment"), s.Olga, 200},
		{"payment", at("pending", "/payment"), s.Olga, 200},
		{"desk-payments", "/desk/payments", s.Olga, 200},
		{"desk-refunds", "/desk/refunds", s.Olga, 200},
		{"desk-letters", "/desk/letters", s.Olga, 200},
		{"desk-letters-auditor", "/desk/letters", s.Vera, 200},
		{"desk-letter-protected", letter("protected"), s.Olga, 200},
		{"desk-letter-unclear", letter("unclear"), s.Olga, 200},
		{"desk-letter-signed-by-another", letter("signed"), s.Olga, 200},
		{"desk-letter-signed-by-me", letter("signed"), s.Adam, 200},
		{"desk-letter-auditor", letter("signed"), s.Vera, 200},
		{"desk-letter-foreign", letter("signed")[:len(letter("signed"))-2] + "zz", s.Olga, 404},
		{"desk-figures", "/desk/figures", s.Olga, 200},
		{"desk-routing", "/desk/routing", s.Olga, 200},
		{"settings", "/settings", s.Adam, 200},
		{"settings-auditor", "/settings", s.Vera, 200},
		{"webhooks", "/settings/webhooks", s.Adam, 200},
		{"webhook", hook("active", ""), s.Adam, 200},
		{"webhook-failing", hook("failing", ""), s.Adam, 200},
		{"webhook-disabled", hook("disabled", ""), s.Adam, 200},
		{"webhook-delivery", hook("active", "/deliveries/"+s.Posting.String()), s.Adam, 200},
		{"webhooks-auditor", "/settings/webhooks", s.Vera, 200},
		{"webhook-auditor", hook("active", ""), s.Vera, 200},
		{"webhooks-no-permission", "/settings/webhooks", s.Ana, 403},
		{"account", "/account", s.Ana, 200},
		{"account-auditor", "/account", s.Vera, 200},
		{"brand", "/catalog/vps", s.Bor, 200},
		{"no-permission", "/desk/figures", s.Ana, 403},
		{"not-found", "/orders/00000000-0000-7000-8000-000000000000", s.Ana, 404},
		{"conflict", at("fulfilled", "/do/cancel"), s.Ana, 409},
		{"sign-in-again", "/sign-in/again?next=/account", s.Ana, 200},
		{"sign-in", "/sign-in", nobody, 200},
	}
}
