package invariant_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/invariant"
)

const acme = "tenant-acme"

// story builds the facts of an installation step by step, as they would come about, and keeps all rows consistent.
type story struct {
	t   testing.TB
	f   invariant.Facts
	now time.Time
	n   int // the last number in an id
}

func newStory(t testing.TB) *story {
	return &story{t: t, now: time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC), f: invariant.Facts{
		AtRest: true, Topic: &invariant.Topic{}, Mailbox: &invariant.Mailbox{},
		Cloud: &invariant.Cloud{Canaries: []string{"CANARY-"}},
	}}
}

func (s *story) id(kind string) string {
	s.n++
	return fmt.Sprintf("%s-%04d", kind, s.n)
}

func (s *story) pass(d time.Duration) { s.now = s.now.Add(d) }

// saga is one order of the story.
type saga struct {
	*story
	order int // in f.Orders
}

func (s *story) begin(number, policy string, products ...string) *saga {
	g := &saga{story: s, order: len(s.f.Orders)}
	s.f.Orders = append(s.f.Orders, invariant.Order{
		Tenant: acme, ID: "order-" + number, Number: "ORD-" + number, State: "draft", Outcome: "none", Settlement: "open",
		Policy: policy, Version: 1, Currency: "EUR", CreatedAt: s.now, UpdatedAt: s.now,
	})
	for n, p := range products {
		snapshot := fmt.Sprintf(`{"product":%q,"region":"lj-1","billing_cycle":"monthly",`+
			`"configuration":{"b":1,"a":2},"formula_version":1,`+
			`"lines":[{"component":"plan","quantity":1,"unit_price_cents":2010,"amount_cents":2010}],`+
			`"monthly_cents":2010,"due_cents":2010}`, p)
		s.f.Items = append(s.f.Items, invariant.Item{
			Tenant: acme, Order: "order-" + number, ID: fmt.Sprintf("item-%s%d", number, n+1), State: "pending",
			Product: p, Generation: 1, Snapshot: []byte(snapshot), PriceCents: 2010,
		})
		g.row().DueCents += 2010
	}
	g.record("order.created", nil)
	return g
}

func (g *saga) row() *invariant.Order { return &g.f.Orders[g.order] }

func (g *saga) items() []*invariant.Item {
	var all []*invariant.Item
	for i := range g.f.Items {
		if g.f.Items[i].Order == g.row().ID {
			all = append(all, &g.f.Items[i])
		}
	}
	return all
}

func (g *saga) item(n int) *invariant.Item { return g.items()[n-1] }

// consumersOf is D19 by hand, without Audit and the portal's figures, which receive every event.
var consumersOf = map[string]string{
	"order.submitted":            "billing",
	"order.payment-confirmed":    "notify billing provision",
	"order.provisioning-started": "notify",
	"order.fulfilled":            "notify billing",
	"order.cancelled":            "notify billing provision",
	"order.failed":               "notify billing",
	"order.service-delivered":    "billing",
	"billing.refund-requested":   "notify billing",
	"billing.refund-accepted":    "notify billing",
	"billing.refund-completed":   "billing",
	"billing.refund-failed":      "notify billing",
	"order.payment-reverted":     "billing",
	"order.item-stuck":           "notify",
}

// record records an event with the order's present state, publishes it, and lets its consumers apply it.
func (g *saga) record(kind string, extra map[string]any) {
	g.t.Helper()
	g.pass(10 * time.Millisecond)
	o := g.row()
	o.LastSeq++
	lines := []map[string]any{}
	for _, it := range g.items() {
		lines = append(lines, map[string]any{"id": it.ID, "product": it.Product, "state": it.State})
	}
	data := map[string]any{
		"tenant_id": acme, "order_id": o.ID, "seq": o.LastSeq, "from": o.State, "to": o.State, "outcome": o.Outcome,
		"settlement": o.Settlement,
		"due_now":    map[string]any{"amount": fmt.Sprintf("%d.%02d", o.DueCents/100, o.DueCents%100), "currency": "EUR"},
		"items":      lines,
	}
	maps.Copy(data, extra)
	raw, err := json.Marshal(data)
	if err != nil {
		g.t.Fatal(err)
	}
	e := invariant.Event{
		Tenant: acme, Order: o.ID, Seq: o.LastSeq, ID: g.id("event"), Type: kind, Actor: "system:worker", At: g.now,
		Correlation: o.ID, Data: raw,
	}
	g.f.Events = append(g.f.Events, e)
	at := len(g.f.Topic.Records)
	g.f.Topic.Records = append(g.f.Topic.Records, invariant.Record{
		Partition: 3, Offset: int64(at), Key: o.ID, Value: raw,
		Headers: []invariant.Header{
			{Key: "ce_specversion", Value: "1.0"},
			{Key: "ce_id", Value: e.ID},
			{Key: "ce_source", Value: "/orders"},
			{Key: "ce_type", Value: kind},
			{Key: "ce_subject", Value: o.ID},
			{Key: "ce_time", Value: g.now.Format(time.RFC3339Nano)},
			{Key: "ce_dataschema", Value: "/schemas/events/" + kind + "/1.json"},
			{Key: "ce_tenantid", Value: acme},
			{Key: "ce_partitionkey", Value: o.ID},
			{Key: "ce_sequence", Value: fmt.Sprintf("%010d", o.LastSeq)},
			{Key: "ce_correlationid", Value: o.ID},
			{Key: "content-type", Value: "application/json"},
		},
	})
	hash := sha256.Sum256(raw)
	before := make([]byte, 32)
	if n := len(g.f.AuditLog); n > 0 {
		before = g.f.AuditLog[n-1].Chain
	}
	g.f.AuditLog = append(g.f.AuditLog, link(invariant.AuditEntry{
		Tenant: acme, N: int64(at) + 1, Order: o.ID, Seq: o.LastSeq, Event: e.ID, Type: kind, At: g.now,
		SeenAt: g.now.Add(time.Second),
		Hash:   hash[:], Topic: "topic", Partition: 3, Offset: int64(at), Before: before,
	}))
	for _, consumer := range append(strings.Fields(consumersOf[kind]), "portal-analytics") {
		g.checkpoint(consumer, o.LastSeq)
		if consumer == "billing" {
			r := invariant.Receipt{Tenant: acme, Order: o.ID, Seq: o.LastSeq, Event: e.ID, Type: kind, Currency: "EUR"}
			r.Subject, r.Moved = g.moves(kind)
			g.f.Receipts = append(g.f.Receipts, r)
		}
		if consumer == "notify" && kind != "order.item-stuck" {
			g.f.Tasks = append(g.f.Tasks, invariant.Task{
				Tenant: acme, ID: g.id("task"), Order: o.ID, Subject: e.ID, Kind: "notify", State: "closed",
			})
		}
	}
}

// moves returns what an event moves in Billing's ledger: it is about the order's last payment, or the last refund
// that was accepted.
func (g *saga) moves(kind string) (subject string, cents int64) {
	switch kind {
	case "order.payment-confirmed":
		p := g.f.Payments[len(g.f.Payments)-1]
		return p.ID, p.PaidCents
	case "billing.refund-accepted":
		for _, r := range g.f.Refunds {
			taken := slices.ContainsFunc(g.f.Receipts, func(x invariant.Receipt) bool { return x.Subject == r.ID })
			if r.Order == g.row().ID && r.State == "accepted" && !taken {
				return r.ID, -r.Cents
			}
		}
	}
	return "", 0
}

// link returns an entry of the audit log with its hash, by docs/audit.md. Ids are names here and are hashed as they
// are.
func link(w invariant.AuditEntry) invariant.AuditEntry {
	b := bytes.NewBuffer(slices.Clone(w.Before))
	put := func(v any) {
		if name, ok := v.(string); ok {
			v = []byte(name)
		}
		_ = binary.Write(b, binary.BigEndian, uint32(binary.Size(v)))
		_ = binary.Write(b, binary.BigEndian, v)
	}
	for _, v := range []any{
		w.Tenant, w.N, w.Order, int32(w.Seq), w.Event, w.Type, w.At.UnixMicro(), w.SeenAt.UnixMicro(), w.Hash,
		w.Topic, w.Partition, w.Offset,
	} {
		put(v)
	}
	sum := sha256.Sum256(b.Bytes())
	w.Chain = sum[:]
	return w
}

func (g *saga) checkpoint(consumer string, seq int) {
	for i := range g.f.Checkpoints {
		if m := &g.f.Checkpoints[i]; m.Order == g.row().ID && m.Consumer == consumer {
			m.Seq = seq
			return
		}
	}
	g.f.Checkpoints = append(g.f.Checkpoints, invariant.Checkpoint{
		Tenant: acme, Order: g.row().ID, Consumer: consumer, Seq: seq,
	})
}

// move moves the order to a state.
func (g *saga) move(kind, to string) {
	from := g.row().State
	g.row().State = to
	g.record(kind, map[string]any{"from": from})
}

// moveItem moves an item to a state.
func (g *saga) moveItem(it *invariant.Item, kind, to string) {
	from := it.State
	it.State = to
	fact := map[string]any{"id": it.ID, "product": it.Product, "from": from, "to": to}
	if kind == "order.service-delivered" {
		fact["billing"] = map[string]any{
			"product": it.Product, "region": "lj-1", "billing_cycle": "monthly", "configuration": map[string]int{"a": 2, "b": 1},
			"formula_version": 1,
			"lines":           []map[string]any{{"component": "plan", "quantity": 1, "unit_price": "20.10", "amount": "20.10"}},
			"monthly":         map[string]string{"amount": "20.10", "currency": "EUR"},
			"due":             map[string]string{"amount": "20.10", "currency": "EUR"},
		}
	}
	g.record(kind, map[string]any{"item": fact})
}

// pay moves a draft to payment_confirmed. Each item's share is its price.
func (g *saga) pay() {
	o := g.row()
	g.move("order.submitted", "pending_payment")
	p := invariant.Payment{
		Tenant: acme, ID: g.id("payment"), Order: o.ID, State: "confirmed", Provider: "manual", Reference: g.id("bank"),
		DueCents: o.DueCents, PaidCents: o.DueCents, Currency: "EUR", PaidAt: g.now,
	}
	g.f.Payments = append(g.f.Payments, p)
	for _, it := range g.items() {
		g.f.Allocations = append(g.f.Allocations, invariant.Allocation{Tenant: acme, Payment: p.ID, Item: it.ID, Cents: 2010})
	}
	g.f.Tasks = append(g.f.Tasks, invariant.Task{
		Tenant: acme, ID: g.id("task"), Order: o.ID, Payment: p.ID, Kind: "validate", State: "closed",
	})
	g.move("order.payment-confirmed", "payment_confirmed")
}

// start moves a paid order to provisioning.
func (g *saga) start() {
	g.move("order.validating", "validating")
	for _, it := range g.items() {
		it.State = "queued"
		g.f.Tasks = append(g.f.Tasks, invariant.Task{
			Tenant: acme, ID: g.id("task"), Order: it.Order, Item: it.ID, Kind: "provision", State: "open", NextAt: g.now,
		})
	}
	g.move("order.provisioning-started", "provisioning")
}

func (g *saga) task(it *invariant.Item, kind string) *invariant.Task {
	for i := len(g.f.Tasks) - 1; i >= 0; i-- {
		if u := &g.f.Tasks[i]; u.Kind == kind && u.Item == it.ID {
			return u
		}
	}
	g.t.Fatalf("no task %s of %s", kind, it.ID)
	return nil
}

func (g *saga) call(it *invariant.Item, operation, step, result string, ids ...string) {
	g.pass(20 * time.Millisecond)
	g.f.Cloud.Log = append(g.f.Cloud.Log, invariant.Call{
		At: g.now, Operation: operation, Key: keyOf(it, step), Result: result, Effect: len(ids) > 0, IDs: ids,
		Tenant: acme, Order: it.Order, Item: it.ID, Step: step, Generation: fmt.Sprint(it.Generation),
	})
}

func keyOf(it *invariant.Item, step string) string {
	return fmt.Sprintf("pf-%s-%s-%d", it.ID, step, it.Generation)
}

// create creates the resource of one step.
func (g *saga) create(it *invariant.Item, step string) {
	if it.State != "provisioning" {
		g.moveItem(it, "order.item-provisioning", "provisioning")
	}
	id := g.id(step)
	g.f.Log = append(g.f.Log, invariant.LogLine{
		Tenant: acme, Order: it.Order, Task: g.task(it, "provision").ID, At: g.now, Step: step, What: "intent",
	})
	g.call(it, "look", step, "absent")
	g.call(it, "create", step, "created", id)
	g.f.Journal = append(g.f.Journal, invariant.JournalEntry{
		Tenant: acme, Task: g.task(it, "provision").ID, Step: step, Generation: it.Generation, Key: keyOf(it, step),
		Phase: "ready", Refs: []string{id},
	})
	g.f.Cloud.Live = append(g.f.Cloud.Live, invariant.Resource{
		ID: id, Name: keyOf(it, step), Kind: step, Phase: "ready",
		Labels: map[string]string{
			"pf-inst": "test", "pf-item": it.ID, "pf-step": step, "pf-gen": fmt.Sprint(it.Generation), "item": it.ID,
			"order": it.Order, "tenant": acme,
		},
	})
}

// refuse fails one call of a step and waits for the retry.
func (g *saga) refuse(it *invariant.Item, step string, retry int) {
	if it.State != "provisioning" {
		g.moveItem(it, "order.item-provisioning", "provisioning")
	}
	g.call(it, "look", step, "absent")
	g.call(it, "create", step, "maintenance")
	if retry > 5 {
		return
	}
	g.moveItem(it, "order.item-retrying", "retry_wait")
	g.pass([]time.Duration{2, 4, 8, 16, 30}[retry-1] * time.Second)
}

// deliver makes the item active and delivered.
func (g *saga) deliver(it *invariant.Item) {
	g.f.Cloud.Secrets = append(g.f.Cloud.Secrets, invariant.Secret{
		Item: it.ID,
		Document: []byte(`{"kind":"vps","region":"lj-1","username":"root","password":"CANARY-` + it.ID +
			`-ABCDEFGH","ip_address":"198.18.7.` + fmt.Sprint(g.n%200) + `"}`),
	})
	g.f.Credentials = append(g.f.Credentials, invariant.Credential{
		Tenant: acme, Item: it.ID, Generation: it.Generation, Sealed: true,
	})
	g.task(it, "provision").State = "closed"
	g.moveItem(it, "order.item-active", "active")
	d := invariant.Delivery{
		Tenant: acme, ID: g.id("delivery"), Item: it.ID, MessageID: "delivery." + g.id("mail"), State: "accepted",
	}
	g.f.Deliveries = append(g.f.Deliveries, d)
	g.f.Tasks = append(g.f.Tasks, invariant.Task{
		Tenant: acme, ID: g.id("task"), Order: it.Order, Item: it.ID, Kind: "deliver", State: "closed",
	})
	raw := "Message-ID: <" + d.MessageID + "@platforma.test>\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: " +
		"base64\r\n\r\naGVsbG8=\r\n"
	g.f.Mailbox.Mails = append(g.f.Mailbox.Mails, invariant.Mail{
		MessageID: "<" + d.MessageID + "@platforma.test>", Raw: []byte(raw),
	})
	if g.row().Policy == "per_item" && g.row().State == "provisioning" && len(g.items()) > 1 {
		g.move("order.partially-fulfilled", "partially_fulfilled")
	}
	g.moveItem(it, "order.service-delivered", "delivered")
}

// requestRefund requests the refund of an item.
func (g *saga) requestRefund(it *invariant.Item) {
	var live invariant.Payment
	for _, p := range g.f.Payments {
		if p.Order == it.Order && p.State == "confirmed" {
			live = p
		}
	}
	r := invariant.Refund{
		Tenant: acme, ID: g.id("refund"), Order: it.Order, Payment: live.ID, Item: it.ID, State: "requested",
		Cents: 2010, Currency: "EUR",
	}
	g.f.Refunds = append(g.f.Refunds, r)
	g.f.Tasks = append(g.f.Tasks, invariant.Task{
		Tenant: acme, ID: g.id("task"), Order: it.Order, Item: it.ID, Payment: live.ID, Kind: "refund", State: "closed",
	})
	g.row().Settlement = "compensating"
	g.record("billing.refund-requested", map[string]any{"refund": map[string]any{"item_id": it.ID, "state": "requested"}})
}

// acceptRefund has the payment provider accept the refund of an item.
func (g *saga) acceptRefund(it *invariant.Item) {
	for i := range g.f.Refunds {
		if r := &g.f.Refunds[i]; r.Item == it.ID && r.State == "requested" {
			r.State, r.AcceptedAt = "accepted", g.now
		}
	}
	g.record("billing.refund-accepted", map[string]any{"refund": map[string]any{"item_id": it.ID, "state": "accepted"}})
}

// compensate begins an item's compensation, with a dead letter if a step failed.
func (g *saga) compensate(it *invariant.Item, failed string) {
	g.moveItem(it, "order.item-compensating", "compensating")
	if failed != "" {
		g.deadLetter(it, failed, "step-failed")
	}
	g.requestRefund(it)
}

func (g *saga) deadLetter(it *invariant.Item, step, code string) {
	hash := sha256.Sum256([]byte("configuration"))
	d := invariant.DeadLetter{
		Tenant: acme, ID: g.id("letter"), Order: it.Order, Item: it.ID, Task: g.task(it, "provision").ID, Source: "step",
		Class: "retryable", Code: code, Step: step, Attempts: 6, Hash: hash[:], State: "open", At: g.now,
	}
	g.f.DeadLetters = append(g.f.DeadLetters, d)
	g.f.Topic.DeadLetters = append(g.f.Topic.DeadLetters, invariant.Record{
		Key: it.Order, Value: []byte(`{"id":"` + d.ID + `"}`),
	})
}

// removeAll deletes the item's resources, the last created first.
func (g *saga) removeAll(it *invariant.Item) {
	var steps []string
	for i := range g.f.Journal {
		if p := &g.f.Journal[i]; p.Task == g.task(it, "provision").ID {
			p.Phase = "gone"
			steps = append(steps, p.Step)
		}
	}
	for _, step := range slices.Backward(steps) {
		g.call(it, "delete", step, "accepted", "gone")
	}
	g.f.Cloud.Live = slices.DeleteFunc(g.f.Cloud.Live, func(r invariant.Resource) bool {
		return r.Labels["pf-item"] == it.ID
	})
	g.task(it, "provision").State = "closed"
}

func (g *saga) rolledBack(it *invariant.Item) {
	g.moveItem(it, "order.item-rolled-back", "rolled_back")
	for i := range g.f.DeadLetters {
		if d := &g.f.DeadLetters[i]; d.Item == it.ID {
			d.State, d.ClosedAt, d.Reason = "closed", g.now, "rolled back and refunded"
		}
	}
}

func (g *saga) end(kind, state, outcome string) {
	g.row().Outcome, g.row().Settlement = outcome, "settled"
	g.move(kind, state)
}

// healthy returns the facts of an installation without a violation, with orders in all kinds of states: A fulfilled,
// after a retry; B fulfilled in part; C cancelled before anything was built; D a draft; E failed, all or nothing;
// F stuck; G restored; H in progress.
func healthy(t testing.TB) invariant.Facts {
	t.Helper()
	s := newStory(t)

	a := s.begin("A", "per_item", "vps", "vps")
	a.pay()
	a.start()
	a.create(a.item(1), "port")
	a.refuse(a.item(1), "server", 1)
	a.create(a.item(1), "server")
	a.create(a.item(2), "port")
	a.create(a.item(2), "server")
	a.deliver(a.item(1))
	a.deliver(a.item(2))
	a.end("order.fulfilled", "fulfilled", "full")

	b := s.begin("B", "per_item", "vps", "database")
	b.pay()
	b.start()
	b.create(b.item(1), "port")
	b.create(b.item(1), "server")
	b.deliver(b.item(1))
	b.create(b.item(2), "volume")
	for retry := 1; retry <= 6; retry++ {
		b.refuse(b.item(2), "instance", retry)
	}
	b.compensate(b.item(2), "instance")
	b.call(b.item(2), "delete", "instance", "absent")
	b.removeAll(b.item(2))
	b.acceptRefund(b.item(2))
	b.rolledBack(b.item(2))
	b.end("order.fulfilled", "fulfilled", "partial")

	c := s.begin("C", "per_item", "vps")
	c.pay()
	c.row().Closing = "cancel"
	c.record("order.cancel-requested", nil)
	c.moveItem(c.item(1), "order.item-cancelled", "cancelled")
	c.requestRefund(c.item(1))
	c.acceptRefund(c.item(1))
	c.end("order.cancelled", "cancelled", "none")

	s.begin("D", "per_item", "vps")

	e := s.begin("E", "all_or_nothing", "vps", "vps")
	e.pay()
	e.start()
	e.create(e.item(1), "port")
	e.create(e.item(2), "port")
	e.create(e.item(1), "server")
	e.call(e.item(2), "look", "server", "absent")
	e.call(e.item(2), "create", "server", "quota_exceeded")
	e.compensate(e.item(2), "server")
	e.compensate(e.item(1), "")
	e.call(e.item(2), "delete", "server", "absent")
	e.call(e.item(1), "delete", "server", "accepted", "gone")
	e.removeAll(e.item(2))
	e.removeAll(e.item(1))
	e.acceptRefund(e.item(1))
	e.acceptRefund(e.item(2))
	e.rolledBack(e.item(1))
	e.rolledBack(e.item(2))
	e.end("order.failed", "failed", "none")

	f := s.begin("F", "per_item", "vps")
	f.pay()
	f.start()
	f.create(f.item(1), "port")
	f.compensate(f.item(1), "server")
	for range 6 {
		f.call(f.item(1), "delete", "port", "locked")
		f.pass(30 * time.Second)
	}
	f.acceptRefund(f.item(1))
	f.moveItem(f.item(1), "order.item-stuck", "stuck")
	f.deadLetter(f.item(1), "port", "compensation-exhausted")
	f.task(f.item(1), "provision").State = "stuck"
	f.row().Settlement = "stuck"

	g := s.begin("G", "per_item", "vps")
	g.pay()
	g.record("order.cancel-requested", nil)
	g.moveItem(g.item(1), "order.item-cancelled", "cancelled")
	g.requestRefund(g.item(1))
	g.acceptRefund(g.item(1))
	g.end("order.cancelled", "cancelled", "none")
	g.item(1).State, g.item(1).Generation = "pending", 2
	g.row().Settlement = "open"
	for i := range s.f.Payments {
		if s.f.Payments[i].Order == "order-G" {
			s.f.Payments[i].State = "refunded"
		}
	}
	g.move("order.restored", "draft")

	h := s.begin("H", "per_item", "vps")
	h.pay()
	h.start()
	h.create(h.item(1), "port")

	s.f.At = s.now.Add(time.Hour)
	s.f.Answers = []invariant.Answer{
		{Tenant: acme, Key: "key-1", Status: 201, Body: []byte(`{"id":"order-A","number":"ORD-A"}`)},
	}
	s.f.Replays = []invariant.Replay{{Key: "key-1", First: []byte("one"), Again: []byte("one")}}
	s.f.Grants = []invariant.Grant{
		{Login: "platforma_relay", Table: "outbox", Privilege: "DELETE"},
		{Login: "platforma_api", Table: "orders", Privilege: "UPDATE"},
	}
	s.f.Earlier = map[string]int{"orders": 7}
	s.f.Rollups = []invariant.Rollup{{Tenant: acme, Zone: "Asia/Kathmandu"}}
	day := func(state string, a invariant.Amounts) invariant.Day {
		return invariant.Day{Tenant: acme, Day: "2026-01-15", State: state, Currency: "EUR", Amounts: a}
	}
	s.f.Days = []invariant.Day{
		day("draft", invariant.Amounts{2, 1, 2010}), // D, and G, which was paid once
		day("provisioning", invariant.Amounts{2, 2, 4020}),
		day("fulfilled", invariant.Amounts{2, 2, 8040}),
		day("cancelled", invariant.Amounts{1, 1, 2010}),
		day("failed", invariant.Amounts{1, 1, 4020}),
		day("pending_payment", invariant.Amounts{}), // emptied: orders were in this state before
		day("", invariant.Amounts{10 * 2010, 6 * 2010}),
	}
	return s.f
}
