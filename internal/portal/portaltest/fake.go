// Package portaltest tests the portal from outside: a fake of the verbs that is as true as pages
// need, and a walk through a browser that also runs against the real application. It is imported by
// tests alone.
package portaltest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Fake answers the portal's verbs from memory, with the real catalogue, the real order aggregate and
// its real tables. What it leaves out is everything behind a commit: no queue, no provider. Instead
// an order whose Pace is set moves one step each Pace, as far as a happy order goes.
type Fake struct {
	Now  func() time.Time
	Pace time.Duration // 0: nothing moves by itself

	mu       sync.Mutex // guards everything below
	cat      *catalog.Catalog
	n        uint64
	members  map[tenant.MemberID]app.Member
	settings map[tenant.ID]app.Settings
	orders   []*held
	keys     map[string]tenant.Actor
	pgp      map[tenant.MemberID]*app.KeyInfo
	phrases  map[id.Of[app.Delivery]]string
	letters  []app.LetterDetail
	work     []app.WorkItem
	hooks    []*hook
	rights   *app.App
}

type held struct {
	d      *app.Dossier
	events []event.Record
	log    []app.LogEntry
	moved  time.Time
}

// NewFake makes an empty world with the built-in catalogue.
func NewFake(now func() time.Time) *Fake {
	cat, err := catalog.Load(catalog.Default(), now())
	if err != nil {
		panic(err)
	}
	return &Fake{
		Now: now, cat: cat, members: map[tenant.MemberID]app.Member{}, settings: map[tenant.ID]app.Settings{}, keys: map[string]tenant.Actor{},
		pgp: map[tenant.MemberID]*app.KeyInfo{}, phrases: map[id.Of[app.Delivery]]string{}, rights: &app.App{},
	}
}

// id is a UUIDv7 whose tail counts.
func (f *Fake) id() [16]byte {
	f.n++
	ms, u := f.Now().UnixMilli(), [16]byte{}
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[8] = 0x70, 0x80
	for i := range 8 {
		u[15-i] |= byte(f.n >> (8 * i))
	}
	u[8] |= 0x80
	return u
}

// AddTenant adds an organisation.
func (f *Fake) AddTenant(name string, change func(*app.Settings)) tenant.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := app.Settings{Tenant: f.id(), Name: name, Currency: "EUR", TimeZone: "Europe/Ljubljana", PaymentMethod: "manual", PaymentDueDays: 14, QuoteValidDays: 30, Version: 1}
	if change != nil {
		change(&s)
	}
	f.settings[s.Tenant] = s
	return s.Tenant
}

// AddMember adds a person and an API key of theirs.
func (f *Fake) AddMember(t tenant.ID, role tenant.Role, email, key string) tenant.Actor {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := app.Member{ID: f.id(), Role: role, Email: email, Subject: email}
	f.members[m.ID] = m
	a := tenant.Actor{Tenant: t, Kind: tenant.KindMember, Member: m.ID, Role: role}
	if key != "" {
		f.keys[key] = a
	}
	return a
}

// RemoveMember revokes a person.
func (f *Fake) RemoveMember(m tenant.MemberID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.members, m)
}

// Change edits an order as the workers would, and records what the aggregate says about it.
func (f *Fake) Change(o order.ID, change func(d *app.Dossier)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.orders {
		if h.d.Order.ID == o {
			change(h.d)
			f.commit(h, tenant.System(h.d.Order.Tenant, "worker"))
		}
	}
}

// commit numbers the version and turns what was recorded into event rows.
func (f *Fake) commit(h *held, by tenant.Actor) {
	o := h.d.Order
	o.Version++
	o.UpdatedAt, h.moved = f.Now(), f.Now()
	for _, e := range o.TakeEvents() {
		rec, err := event.Of(o, e, event.Cause{Actor: by}, f.id(), f.Now())
		if err != nil {
			panic(err)
		}
		h.events = append(h.events, rec)
	}
}

func (f *Fake) find(c app.Caller, o order.ID) (*held, error) {
	for _, h := range f.orders {
		if h.d.Order.ID != o || h.d.Order.Tenant != c.Tenant || c.Role == tenant.Customer && h.d.Order.Customer != c.Member {
			continue
		}
		f.advance(h)
		return h, nil
	}
	return nil, fault.Absent()
}

// advance moves an order on by one step when its pace says so.
func (f *Fake) advance(h *held) {
	o := h.d.Order
	if f.Pace == 0 || f.Now().Sub(h.moved) < f.Pace || o.Closing != order.NotClosing {
		return
	}
	system := tenant.System(o.Tenant, "worker")
	switch o.State {
	case order.PendingPayment:
		if o.Method != "demo" {
			return
		}
		system = tenant.Actor{Tenant: o.Tenant, Kind: tenant.KindProvider, Name: "demo"}
		f.pay(o, "demo-"+o.Number, o.Due, "card")
	case order.PaymentConfirmed:
		mustFire(o, order.BeginValidation)
	case order.Validating:
		mustFire(o, order.PassValidation)
		for i := range o.Items {
			mustMove(o, &o.Items[i], order.Enqueue)
			mustMove(o, &o.Items[i], order.Start)
			o.Items[i].Detail = "Creating the machine"
		}
	case order.Provisioning, order.PartiallyFulfilled:
		f.build(h)
	default:
		return
	}
	f.commit(h, system)
}

// build moves the first item that is not done.
func (f *Fake) build(h *held) {
	o := h.d.Order
	for i := range o.Items {
		it := &o.Items[i]
		switch {
		case it.State == order.ItemProvisioning && it.Progress < 60:
			it.Progress += 30
		case it.State == order.ItemProvisioning:
			it.Detail = "Ready"
			mustMove(o, it, order.Ready)
		case it.State == order.ItemActive:
			mustMove(o, it, order.Deliver)
			it.Detail = ""
			f.deliver(h, it.ID)
		default:
			continue
		}
		o.Resettle("")
		return
	}
}

func (f *Fake) deliver(h *held, it order.ItemID) {
	x := app.Delivery{ID: f.id(), Item: it, Recipient: h.d.Customer.Email, State: app.DeliveryAccepted, At: f.Now(), HasPassphrase: f.pgp[h.d.Order.Customer] == nil}
	h.d.Deliveries = append([]app.Delivery{x}, h.d.Deliveries...)
	f.phrases[x.ID] = "plain walnut harbour seven copper lantern drift meadow"
}

func mustFire(o *order.Order, on order.Trigger) {
	if _, err := o.Fire(on, ""); err != nil {
		panic(err)
	}
}

func mustMove(o *order.Order, it *order.Item, on order.ItemTrigger) {
	if err := o.MoveItem(it, on, order.ItemFact{}, ""); err != nil {
		panic(err)
	}
}

func (f *Fake) pay(o *order.Order, reference string, paid money.Cents, method string) {
	if _, err := o.Pay(order.Payment{ID: f.id(), Provider: "manual", Reference: reference, Method: method, Paid: paid, Currency: o.Currency, PaidAt: f.Now()}); err != nil {
		panic(err)
	}
	mustFire(o, order.ConfirmPayment)
}

// Authenticate knows the keys of AddMember.
func (f *Fake) Authenticate(_ context.Context, key string) (tenant.Actor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.keys[key]
	if !ok {
		return a, fault.New(fault.KindUnauthenticated, "unauthenticated", "Unknown key.")
	}
	return a, nil
}

// Me is the caller's own row.
func (f *Fake) Me(_ context.Context, c app.Caller) (app.Member, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[c.Member]
	if !ok {
		return m, fault.Absent()
	}
	return m, nil
}

// May asks the application's own table of rights.
func (f *Fake) May(a tenant.Actor, p app.Permission) bool { return f.rights.May(a, p) }

// Brand of a tenant.
func (f *Fake) Brand(_ context.Context, c app.Caller) (app.Settings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settings[c.Tenant], nil
}

// Settings of a tenant.
func (f *Fake) Settings(ctx context.Context, c app.Caller) (app.Settings, error) {
	return f.Brand(ctx, c)
}

// PutSettings replaces them.
func (f *Fake) PutSettings(_ context.Context, c app.Caller, s app.Settings, pre app.Precondition) (app.Settings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if pre.Version == nil || *pre.Version != f.settings[c.Tenant].Version {
		return s, fault.New(fault.KindConflict, fault.CodeVersionConflict, "The settings have changed since.")
	}
	s.Version++
	f.settings[c.Tenant] = s
	return s, nil
}

// Catalog is the built-in one.
func (f *Fake) Catalog(context.Context) (*catalog.Catalog, error) { return f.cat, nil }

// Quote prices by the real catalogue.
func (f *Fake) Quote(_ context.Context, c app.Caller, items []app.ItemInput, _ money.Currency) (app.Quote, error) {
	q := app.Quote{Currency: "EUR"}
	for i, in := range items {
		snap, faults := f.price(in, fmt.Sprintf("/items/%d", i))
		q.Faults = append(q.Faults, faults...)
		it := app.QuotedItem{Cycle: in.BillingCycle, OK: len(faults) == 0, Lines: snap.Lines, Monthly: snap.Monthly, Due: snap.Due}
		q.Items = append(q.Items, it)
		q.Totals.DueNow += snap.Due
	}
	return q, nil
}

func (f *Fake) price(in app.ItemInput, at string) (order.Snapshot, []fault.Violation) {
	sel := catalog.Selection{Product: in.Product, Plan: in.Plan, Region: in.Region, Cycle: catalog.Cycle(in.BillingCycle), Label: in.Label, Configuration: in.Configuration}
	if faults := f.cat.Check(sel, at); len(faults) > 0 {
		return order.Snapshot{}, faults
	}
	p, err := f.cat.Price(sel)
	if err != nil {
		panic(err)
	}
	monthly, due := p.FirstPeriod(sel.Cycle, nil, "EUR")
	snap := order.Snapshot{Product: p.Product, Plan: p.Plan, Region: p.Region, BillingCycle: string(p.Cycle), Configuration: p.Configuration, Title: p.ProductTitle, Monthly: monthly, Due: due, QuotedAt: f.Now().Format(time.RFC3339)}
	for _, l := range p.Lines {
		snap.Lines = append(snap.Lines, order.PriceLine(l))
	}
	return snap, nil
}

// CreateOrder begins a draft.
func (f *Fake) CreateOrder(_ context.Context, c app.Caller, in app.CreateOrder) (*app.Dossier, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	policy, _ := order.ParsePolicy(in.Policy)
	oid := f.id()
	sum := sha256.Sum256(oid[:])
	o := &order.Order{
		ID: oid, Tenant: c.Tenant, Number: "ORD-" + strings.ToUpper(hex.EncodeToString(sum[:4])), ExternalID: in.ExternalID, Customer: c.Member, State: order.Draft, Policy: policy,
		Currency: f.settings[c.Tenant].Currency, CreatedAt: f.Now(),
	}
	h := &held{d: &app.Dossier{Order: o, Settings: f.settings[c.Tenant], Customer: f.members[c.Member]}}
	if err := f.fill(o, in.Items); err != nil {
		return nil, err
	}
	o.Record(order.Event{Type: order.EvCreated, From: order.Draft})
	f.commit(h, c.Actor)
	f.orders = append([]*held{h}, f.orders...)
	return copied(h), nil
}

func (f *Fake) fill(o *order.Order, items []app.ItemInput) error {
	var list []order.Item
	for i, in := range items {
		snap, faults := f.price(in, fmt.Sprintf("/items/%d", i))
		if len(faults) > 0 {
			return fault.Violated(faults)
		}
		it := order.Item{ID: f.id(), Line: i + 1, State: order.ItemPending, Label: in.Label, Generation: 1, Snapshot: snap, Price: snap.Due}
		if known, err := id.Parse[order.Item](in.ID); err == nil {
			it.ID = known
		}
		list = append(list, it)
	}
	o.Items = list
	o.Due = o.Totals().DueNow
	return nil
}

// on runs a change on an order whose version is as expected, for who may ask for it.
func (f *Fake) on(c app.Caller, need app.Permission, o order.ID, pre app.Precondition, change func(h *held) error) (*app.Dossier, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.rights.May(c.Actor, need) {
		return nil, fault.New(fault.KindForbidden, fault.CodeForbidden, "This needs the permission %s.", need)
	}
	h, err := f.find(c, o)
	if err != nil {
		return nil, err
	}
	if pre.Version != nil && *pre.Version != h.d.Order.Version {
		return nil, fault.New(fault.KindConflict, fault.CodeVersionConflict, "The order is at version %d, not %d. Read it again, then decide.", h.d.Order.Version, *pre.Version)
	}
	if err := change(h); err != nil {
		return nil, err
	}
	f.commit(h, c.Actor)
	return copied(h), nil
}

// EditOrder changes a draft.
func (f *Fake) EditOrder(_ context.Context, c app.Caller, in app.EditOrder) (*app.Dossier, error) {
	return f.on(c, app.WriteOrders, in.Order, in.Precondition, func(h *held) error {
		o := h.d.Order
		if in.Policy != nil {
			o.Policy, _ = order.ParsePolicy(*in.Policy)
		}
		if in.ExternalID != nil {
			o.ExternalID = *in.ExternalID
		}
		if in.Items != nil {
			if err := f.fill(o, *in.Items); err != nil {
				return err
			}
		}
		o.Record(order.Event{Type: order.EvUpdated, From: order.Draft})
		return nil
	})
}

// SubmitOrder freezes a draft.
func (f *Fake) SubmitOrder(_ context.Context, c app.Caller, in app.SubmitOrder) (*app.Dossier, error) {
	return f.on(c, app.WriteOrders, in.Order, in.Precondition, func(h *held) error {
		o := h.d.Order
		if len(o.Items) == 0 {
			return fault.New(fault.KindInvalid, "order-empty", "The order has no items. Add at least one, then submit.")
		}
		expires := f.Now().AddDate(0, 0, 14)
		o.Method, o.ExpiresAt = in.PaymentMethod, &expires
		_, err := o.Fire(order.Submit, "")
		return err
	})
}

// ConfirmPayment records a payment.
func (f *Fake) ConfirmPayment(_ context.Context, c app.Caller, in app.ConfirmPayment) (*app.Dossier, error) {
	return f.on(c, app.ConfirmMoney, in.Order, in.Precondition, func(h *held) error {
		cents, err := money.ParseDecimal(in.Amount.Amount, in.Amount.Currency)
		if err != nil {
			return fault.Violated([]fault.Violation{{Pointer: "/amount/amount", Code: "not-an-amount", Message: "Write the amount as a decimal, such as 20.10."}})
		}
		if _, err := h.d.Order.Pay(order.Payment{ID: f.id(), Provider: "manual", Reference: in.Reference, Method: in.Method, Paid: cents, Currency: in.Amount.Currency, PaidAt: in.PaidAt}); err != nil {
			return err
		}
		_, err = h.d.Order.Fire(order.ConfirmPayment, "")
		return err
	})
}

// RevertPayment sets the payment aside.
func (f *Fake) RevertPayment(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return f.on(c, app.RevertMoney, in.Order, in.Precondition, func(h *held) error {
		if p := h.d.Order.LivePayment(); p != nil {
			p.State = order.PaymentReverted
		}
		_, err := h.d.Order.Fire(order.RevertPayment, in.Reason)
		return err
	})
}

// CancelOrder sends back what can go.
func (f *Fake) CancelOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return f.on(c, app.WriteOrders, in.Order, in.Precondition, func(h *held) error {
		o := h.d.Order
		if _, err := o.Fire(order.Cancel, in.Reason); err != nil {
			return err
		}
		for i := range o.Items {
			if err := o.MoveItem(&o.Items[i], order.Unrecoverable, order.ItemFact{}, in.Reason); err == nil {
				o.RequestRefund(f.id(), &o.Items[i], in.Reason)
			}
		}
		for i := range o.Refunds {
			o.MoveRefund(&o.Refunds[i], order.RefundAccepted, "", f.Now(), in.Reason)
		}
		o.Resettle(in.Reason)
		return nil
	})
}

// RestoreOrder makes a draft of a cancelled order.
func (f *Fake) RestoreOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return f.on(c, app.WriteOrders, in.Order, in.Precondition, func(h *held) error {
		o := h.d.Order
		for i := range o.Items {
			if err := o.MoveItem(&o.Items[i], order.RestoreItem, order.ItemFact{}, in.Reason); err != nil {
				return err
			}
		}
		o.Closing, o.Settlement = order.NotClosing, order.SettlementSettled
		_, err := o.Fire(order.Restore, in.Reason)
		o.Settlement = order.SettlementOpen
		return err
	})
}

// HoldOrder and ReleaseOrder stop and start the checks.
func (f *Fake) HoldOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return f.on(c, app.HoldOrders, in.Order, in.Precondition, func(h *held) error {
		now := f.Now()
		h.d.Order.HeldAt = &now
		h.d.Order.Record(order.Event{Type: order.EvHeld, Reason: in.Reason})
		return nil
	})
}

// ReleaseOrder lets a held order go on.
func (f *Fake) ReleaseOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return f.on(c, app.HoldOrders, in.Order, in.Precondition, func(h *held) error {
		h.d.Order.HeldAt = nil
		h.d.Order.Record(order.Event{Type: order.EvReleased, Reason: in.Reason})
		return nil
	})
}

// Redeliver sends a new delivery at once.
func (f *Fake) Redeliver(_ context.Context, c app.Caller, in app.Redeliver) (*app.Dossier, error) {
	return f.on(c, app.WriteOrders, in.Order, in.Precondition, func(h *held) error {
		sent := 0
		for _, x := range h.d.Deliveries {
			if x.Item == in.Item {
				sent++
			}
		}
		if sent > 3 {
			e := fault.New(fault.KindTooMany, "redelivery-limit", "This item was delivered again three times within an hour.")
			e.After = time.Hour
			return e
		}
		h.d.Order.Record(order.Event{Type: order.EvRedeliveryRequested, Item: &order.ItemFact{Item: *h.d.Order.Find(in.Item)}})
		f.deliver(h, in.Item)
		return nil
	})
}

// ShowPassphrase shows each once.
func (f *Fake) ShowPassphrase(_ context.Context, c app.Caller, o order.ID, d id.Of[app.Delivery]) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.find(c, o)
	if err != nil {
		return "", err
	}
	phrase, ok := f.phrases[d]
	if !ok || h.d.Order.Customer != c.Member {
		return "", fault.Absent()
	}
	delete(f.phrases, d)
	for i := range h.d.Deliveries {
		if h.d.Deliveries[i].ID == d {
			h.d.Deliveries[i].HasPassphrase = false
		}
	}
	return phrase, nil
}

// Order reads one.
func (f *Fake) Order(_ context.Context, c app.Caller, o order.ID) (*app.Dossier, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.find(c, o)
	if err != nil {
		return nil, err
	}
	return copied(h), nil
}

// copied is a dossier that a page can read while others change the original.
func copied(h *held) *app.Dossier {
	d, o := *h.d, *h.d.Order
	d.Deliveries = nil // read by a verb of their own
	o.Items, o.Payments, o.Refunds = slices.Clone(o.Items), slices.Clone(o.Payments), slices.Clone(o.Refunds)
	d.Order, d.Units = &o, slices.Clone(d.Units)
	return &d
}

// Orders lists by state and prefix; the cursor is how many to pass over.
func (f *Fake) Orders(_ context.Context, c app.Caller, q app.OrderFilter) (app.Page[*app.Dossier], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page app.Page[*app.Dossier]
	pass := 0
	_, _ = fmt.Sscan(q.Cursor, &pass)
	seen := 0
	for _, h := range f.orders {
		o := h.d.Order
		if o.Tenant != c.Tenant || c.Role == tenant.Customer && o.Customer != c.Member || !q.Customer.IsZero() && o.Customer != q.Customer ||
			q.State != 0 && o.State != q.State || q.State == 0 && o.State == order.Cancelled && !q.Deleted || !matches(o, q.Query) {
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
}

func matches(o *order.Order, q string) bool {
	ok := strings.HasPrefix(o.Number, strings.ToUpper(q)) || o.ExternalID != "" && strings.HasPrefix(o.ExternalID, q)
	for _, it := range o.Items {
		ok = ok || it.Label != "" && strings.HasPrefix(it.Label, q)
	}
	return ok
}

// OrderEvents pages through an order's events.
func (f *Fake) OrderEvents(_ context.Context, c app.Caller, o order.ID, after, limit int) ([]event.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
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
}

// Deliveries of an order, newest first.
func (f *Fake) Deliveries(_ context.Context, c app.Caller, o order.ID) ([]app.Delivery, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.find(c, o)
	if err != nil {
		return nil, err
	}
	return slices.Clone(h.d.Deliveries), nil
}

// Saga tells what was called for an order, as far as the story wrote it down.
func (f *Fake) Saga(_ context.Context, c app.Caller, o order.ID) (app.SagaRecord, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.find(c, o)
	if err != nil {
		return app.SagaRecord{}, err
	}
	d := copied(h)
	return app.SagaRecord{Order: d.Order, Units: d.Units, Log: h.log}, nil
}

// AllowedActions asks the application's own table.
func (f *Fake) AllowedActions(c app.Caller, d *app.Dossier) []order.Action {
	return f.rights.AllowedActions(c, d)
}

// WorkItems lists those of the story.
func (f *Fake) WorkItems(context.Context, app.Caller, string, int) (app.Page[app.WorkItem], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return app.Page[app.WorkItem]{Data: slices.Clone(f.work)}, nil
}

// FinishWorkItem takes one off.
func (f *Fake) FinishWorkItem(_ context.Context, _ app.Caller, r order.RefundID, _ order.ID, _ string) (*app.Dossier, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.work = slices.DeleteFunc(f.work, func(w app.WorkItem) bool { return w.Refund.ID == r })
	return nil, nil
}

// OrderStats counts what is there.
func (f *Fake) OrderStats(_ context.Context, c app.Caller) (app.OrderStats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := app.OrderStats{AsOf: f.Now(), TimeZone: "UTC", ByState: map[order.State]int{}, Currency: "EUR"}
	paid := 0
	days := map[time.Time]app.DayStats{}
	for _, h := range f.orders {
		o := h.d.Order
		if o.Tenant != c.Tenant {
			continue
		}
		s.Today, s.Week, s.Month = s.Today+1, s.Week+1, s.Month+1
		s.ByState[o.State]++
		d := days[o.CreatedAt.UTC().Truncate(24*time.Hour)]
		d.Orders++
		if p := o.LivePayment(); p != nil {
			paid, d.Paid = paid+1, d.Paid+1
			s.Revenue, d.Revenue = s.Revenue+p.Paid, d.Revenue+p.Paid
		}
		days[o.CreatedAt.UTC().Truncate(24*time.Hour)] = d
	}
	for ago := 1; ago < app.StatsDays; ago++ { // a month before, with a weekend and a day of refunds now and then
		if ago%7 > 1 {
			days[s.AsOf.UTC().Truncate(24*time.Hour).AddDate(0, 0, -ago)] = app.DayStats{Orders: 3 + ago*5%9, Paid: 2 + ago*5%7, Revenue: money.Cents(ago*37%11-2) * 900_00}
		}
	}
	for day, d := range days {
		d.Day = day
		s.Days = append(s.Days, d)
	}
	if paid > 0 {
		s.Average, s.Conversion = s.Revenue/money.Cents(paid), float64(paid)/float64(s.Month)
	}
	return s, nil
}

// Routing is the real matrix, with one consumer behind.
func (f *Fake) Routing(context.Context, app.Caller) (app.Routing, error) {
	var r app.Routing
	for _, t := range order.EventTypes() {
		r.Events = append(r.Events, app.RoutedEvent{Type: t, Consumers: event.Routing[t]})
	}
	for i, c := range event.Consumers() {
		r.Consumers = append(r.Consumers, app.ConsumerStatus{Consumer: string(c), Applied: int64(1042 + i), Duplicates: int64(i), Age: time.Duration(i/4) * 3 * time.Second, Behind: int64(i/4) * 12})
	}
	return r, nil
}

// DeliveryKey of the caller.
func (f *Fake) DeliveryKey(_ context.Context, c app.Caller) (*app.KeyInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pgp[c.Member], nil
}

// PutDeliveryKey takes whatever looks like a public key.
func (f *Fake) PutDeliveryKey(_ context.Context, c app.Caller, armored []byte) (*app.KeyInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(armored) == 0 {
		delete(f.pgp, c.Member)
		return nil, nil
	}
	if !strings.Contains(string(armored), "BEGIN PGP PUBLIC KEY") {
		return nil, fault.New(fault.KindInvalid, "key-unreadable", "This is no OpenPGP public key.")
	}
	expires := f.Now().AddDate(2, 0, 0)
	f.pgp[c.Member] = &app.KeyInfo{Fingerprint: "5d3e9a1c77f0b2468ace13579bdf02468ace1357", UserIDs: []string{f.members[c.Member].Email}, Expires: &expires}
	return f.pgp[c.Member], nil
}

// Waiting is a unit of an item that waits for its next call.
func Waiting(it order.ItemID, try int, next time.Time) fulfil.Unit {
	return fulfil.Unit{ID: fulfil.UnitID(it), Item: it, Kind: fulfil.Provision, State: fulfil.Open, Try: try, NextAt: next}
}
