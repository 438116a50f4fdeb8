package invariant

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// index holds the facts by the ids that the rules look them up by. Every list has a fixed order, so that the same
// facts always cause the same violations.
type index struct {
	*Facts
	orders        map[string]*Order
	items         map[string]*Item
	itemsOf       map[string][]*Item // of an order, without the removed ones
	events        map[string][]decodedEvent
	eventByID     map[string]*Event
	outbox        map[string]bool // by eventKey, or by a dead letter's id
	paymentsOf    map[string][]*Payment
	allocations   map[string][]*Allocation // of a payment
	refundsOf     map[string][]*Refund     // of an order
	receiptsOf    map[string][]*Receipt    // of an order
	tasksOf       map[string][]*Task       // of an order
	tasks         map[string]*Task
	journalOf     map[string][]*JournalEntry // of a task
	deadLettersOf map[string][]*DeadLetter
	recordsOf     map[string][]*Record // of an order, by partition and offset
	liveOf        map[string][]*Resource
	calls         map[string][]*Call // of an item, in order
}

// decodedEvent is an event with its data. decodeErr says why the data could not be decoded.
type decodedEvent struct {
	*Event
	payload
	decodeErr error
}

// payload holds the members of an event's data that the rules use, by the published schema.
type payload struct {
	TenantID string     `json:"tenant_id"`
	OrderID  string     `json:"order_id"`
	Number   int        `json:"seq"`
	From     string     `json:"from"`
	To       string     `json:"to"`
	Due      amount     `json:"due_now"`
	Items    []itemLine `json:"items"`
	Item     *itemFact  `json:"item"`
	Refund   *struct {
		Item  string `json:"item_id"`
		State string `json:"state"`
	} `json:"refund"`
}

type amount struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// minor returns the amount in minor units, whatever the currency's decimals: "20.10" is 2010.
func (a amount) minor() (int64, bool) {
	n, err := strconv.ParseInt(strings.Replace(a.Amount, ".", "", 1), 10, 64)
	return n, err == nil
}

type itemLine struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

type itemFact struct {
	ID      string   `json:"id"`
	From    string   `json:"from"`
	To      string   `json:"to"`
	Billing *billing `json:"billing"`
}

func newIndex(f *Facts) *index {
	x := &index{
		Facts: f, orders: map[string]*Order{}, items: map[string]*Item{}, itemsOf: map[string][]*Item{},
		events:    map[string][]decodedEvent{},
		eventByID: map[string]*Event{}, outbox: map[string]bool{}, paymentsOf: map[string][]*Payment{},
		allocations: map[string][]*Allocation{},
		refundsOf:   map[string][]*Refund{}, receiptsOf: map[string][]*Receipt{}, tasksOf: map[string][]*Task{},
		tasks: map[string]*Task{}, journalOf: map[string][]*JournalEntry{},
		deadLettersOf: map[string][]*DeadLetter{}, recordsOf: map[string][]*Record{}, liveOf: map[string][]*Resource{},
		calls: map[string][]*Call{},
	}
	for i := range f.Orders {
		x.orders[f.Orders[i].ID] = &f.Orders[i]
	}
	for i := range f.Items {
		it := &f.Items[i]
		x.items[it.ID] = it
		if !it.Removed {
			x.itemsOf[it.Order] = append(x.itemsOf[it.Order], it)
		}
	}
	x.indexEvents()
	x.indexMoney()
	x.indexWork()
	if f.Topic != nil {
		for i := range f.Topic.Records {
			r := &f.Topic.Records[i]
			x.recordsOf[r.header("ce_subject")] = append(x.recordsOf[r.header("ce_subject")], r)
		}
		for _, rs := range x.recordsOf {
			slices.SortFunc(rs, func(a, b *Record) int {
				return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
			})
		}
	}
	if f.Cloud != nil {
		for i := range f.Cloud.Live {
			r := &f.Cloud.Live[i]
			x.liveOf[r.item()] = append(x.liveOf[r.item()], r)
		}
		for i := range f.Cloud.Log {
			c := &f.Cloud.Log[i]
			x.calls[c.Item] = append(x.calls[c.Item], c)
		}
	}
	return x
}

func (x *index) indexEvents() {
	for i := range x.Events {
		e := &x.Events[i]
		h := decodedEvent{Event: e}
		h.decodeErr = json.Unmarshal(e.Data, &h.payload)
		x.events[e.Order] = append(x.events[e.Order], h)
		x.eventByID[e.ID] = e
	}
	for _, es := range x.events {
		slices.SortFunc(es, func(a, b decodedEvent) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	for _, o := range x.Outbox {
		if o.DeadLetter != "" {
			x.outbox[o.DeadLetter] = true
			continue
		}
		x.outbox[eventKey(o.Order, o.Seq)] = true
	}
}

func (x *index) indexMoney() {
	for i := range x.Payments {
		p := &x.Payments[i]
		x.paymentsOf[p.Order] = append(x.paymentsOf[p.Order], p)
	}
	for i := range x.Allocations {
		a := &x.Allocations[i]
		x.allocations[a.Payment] = append(x.allocations[a.Payment], a)
	}
	for i := range x.Refunds {
		r := &x.Refunds[i]
		x.refundsOf[r.Order] = append(x.refundsOf[r.Order], r)
	}
	for i := range x.Receipts {
		r := &x.Receipts[i]
		x.receiptsOf[r.Order] = append(x.receiptsOf[r.Order], r)
	}
}

func (x *index) indexWork() {
	for i := range x.Tasks {
		u := &x.Tasks[i]
		x.tasks[u.ID] = u
		x.tasksOf[u.Order] = append(x.tasksOf[u.Order], u)
	}
	for i := range x.Journal {
		p := &x.Journal[i]
		x.journalOf[p.Task] = append(x.journalOf[p.Task], p)
	}
	for i := range x.DeadLetters {
		d := &x.DeadLetters[i]
		x.deadLettersOf[d.Order] = append(x.deadLettersOf[d.Order], d)
	}
}

// eventKey names an event by its order and number.
func eventKey(order string, seq int) string { return order + "/" + strconv.Itoa(seq) }

// atRest reports whether an order is at rest.
func (x *index) atRest(o *Order) bool { return x.AtRest || o.AtRest }

// orderAtRest is atRest by id. An unknown order is at rest if everything is.
func (x *index) orderAtRest(order string) bool {
	if o := x.orders[order]; o != nil {
		return x.atRest(o)
	}
	return x.AtRest
}

// newestTask returns the item's newest task of a kind, or nil. Task ids rise with time.
func (x *index) newestTask(it *Item, kind string) *Task {
	var found *Task
	for _, u := range x.tasksOf[it.Order] {
		if u.Kind == kind && u.Item == it.ID && (found == nil || u.ID > found.ID) {
			found = u
		}
	}
	return found
}

// hasLiveTask reports whether the item has a live task of a kind.
func (x *index) hasLiveTask(it *Item, kind string) bool {
	return slices.ContainsFunc(x.tasksOf[it.Order], func(u *Task) bool {
		return u.Kind == kind && u.Item == it.ID && u.live()
	})
}

// livePayment returns the order's confirmed payment, or nil if nothing was paid, or the payment was reverted or
// refunded.
func (x *index) livePayment(order string) *Payment {
	var found *Payment
	for _, p := range x.paymentsOf[order] {
		if p.State == "confirmed" {
			found = p
		}
	}
	return found
}

// refund returns the refund of an item's share of a payment, or nil.
func (x *index) refund(p *Payment, item string) *Refund {
	for _, r := range x.refundsOf[p.Order] {
		if r.Payment == p.ID && r.Item == item {
			return r
		}
	}
	return nil
}

// restores returns the times at which the order was restored. Each begins a new fulfilment.
func (x *index) restores(order string) []time.Time {
	var at []time.Time
	for _, e := range x.events[order] {
		if e.Type == "order.restored" {
			at = append(at, e.At)
		}
	}
	return at
}

// fulfilmentOf returns the number of the fulfilment that a time belongs to, from 0.
func fulfilmentOf(restores []time.Time, at time.Time) int {
	n := 0
	for _, l := range restores {
		if !l.After(at) {
			n++
		}
	}
	return n
}

// item returns the item's id in a resource's labels.
func (r *Resource) item() string {
	if id := r.Labels["pf-item"]; id != "" {
		return id
	}
	return r.Labels["item"]
}

// sameJSON reports whether two documents are equal, apart from white space and the order of members.
func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b))
	}
	m, errM := json.Marshal(x)
	n, errN := json.Marshal(y)
	return errM == nil && errN == nil && bytes.Equal(m, n)
}
