// Package event turns the events that an order has recorded into the bytes that are both the stored
// record and the published event (D17), and says which consumers handle them. It knows no broker;
// package kafka does the transport.
package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Type is the published name of an event.
type Type = order.EventType

// ID identifies an event. It is the CloudEvents id, and the idempotency key of what the event causes.
type ID = id.Of[order.Event]

// MaxData is the maximum size of an event's data in bytes. A record that the broker refuses would block
// the relay for ever. The table checks the same limit.
const MaxData = 64 << 10

// Record is a row of order_event. What is stored is what is published.
type Record struct {
	ID          ID
	Type        Type
	Tenant      tenant.ID
	Order       order.ID
	Seq         int
	At          time.Time
	Actor       string // kind:id, such as member:0190… or system:worker
	Causation   ID     // the event that caused it; zero if a request did
	Correlation ID     // common to related events: app gives all events of an order the order's id
	Traceparent string // W3C, may be empty
	Data        json.RawMessage
}

// Event is a Record as a consumer received it.
type Event struct {
	Record
	Payload   Data
	TopicID   [16]byte // of the topic that it was read from; a rebuilt topic has another id
	Partition int32
	Offset    int64
	LoggedAt  time.Time // by the broker's clock
}

// Stored returns the event of a row of order_event, as a consumer receives it from the topic. It has no
// topic, partition or offset.
func FromRecord(r Record) (Event, error) {
	ev := Event{Record: r}
	if err := json.Unmarshal(r.Data, &ev.Payload); err != nil {
		return Event{}, fmt.Errorf("decode event %d of order %s: %w", r.Seq, r.Order, err)
	}
	return ev, nil
}

// Data is the payload of every type: the order's state, and the item, payment or refund that the event is
// about. It contains no credential, address, name or mail address: row-level security ends at the topic.
type Data struct {
	TenantID   tenant.ID  `json:"tenant_id"`
	OrderID    order.ID   `json:"order_id"`
	Number     string     `json:"number"`
	CustomerID string     `json:"customer_id"`
	Seq        int        `json:"seq"`
	Version    int        `json:"version"`
	From       string     `json:"from"`
	To         string     `json:"to"`
	Outcome    string     `json:"outcome"`
	Settlement string     `json:"settlement"`
	Policy     string     `json:"fulfillment_policy"`
	CreatedAt  time.Time  `json:"created_at"`
	Due        Amount     `json:"due_now"`
	Items      []ItemLine `json:"items"`
	Actor      string     `json:"actor"`
	Reason     string     `json:"reason,omitempty"` // a person's free text; its form says that it is published

	Item    *Item    `json:"item,omitempty"`
	Payment *Payment `json:"payment,omitempty"`
	Refund  *Refund  `json:"refund,omitempty"`
	Faults  []Fault  `json:"faults,omitempty"`
}

// Amount is a decimal string and its currency.
type Amount struct {
	Amount   string         `json:"amount"`
	Currency money.Currency `json:"currency"`
}

// ItemLine is one item's state.
type ItemLine struct {
	ID      order.ItemID `json:"id"`
	Product string       `json:"product"`
	State   string       `json:"state"`
}

// Item is the item an event is about. Its billing terms are set on order.service-delivered: they are all
// that billing needs, so that it does not have to ask back (D26).
type Item struct {
	ID         order.ItemID  `json:"id"`
	Line       int           `json:"line"`
	Product    string        `json:"product"`
	From       string        `json:"from"`
	To         string        `json:"to"`
	Generation int           `json:"generation"`
	Attempt    int           `json:"attempt,omitempty"`
	Billing    *BillingTerms `json:"billing,omitempty"`
}

// BillingTerms are the billing terms of a delivered item.
type BillingTerms struct {
	Product        string          `json:"product"`
	Plan           string          `json:"plan,omitempty"`
	Region         string          `json:"region"`
	Configuration  json.RawMessage `json:"configuration"`
	BillingCycle   string          `json:"billing_cycle"`
	Lines          []Line          `json:"lines"` // per month, in EUR
	FormulaVersion int             `json:"formula_version"`
	Monthly        Amount          `json:"monthly"`
	Due            Amount          `json:"due"` // first period
	PeriodStart    time.Time       `json:"period_start"`
}

// Line is one component of a monthly price, in EUR.
type Line struct {
	Component string `json:"component"`
	Quantity  int64  `json:"quantity"`
	UnitPrice string `json:"unit_price"`
	Amount    string `json:"amount"`
}

// Payment is the payment an event is about.
type Payment struct {
	ID        order.PaymentID `json:"id"`
	Provider  string          `json:"provider"`
	Reference string          `json:"reference"`
	Method    string          `json:"method"`
	Amount    Amount          `json:"amount"`
	Due       Amount          `json:"due"`
	PaidAt    time.Time       `json:"paid_at"`
}

// Refund is the refund an event is about.
type Refund struct {
	ID        order.RefundID  `json:"id"`
	PaymentID order.PaymentID `json:"payment_id"`
	ItemID    order.ItemID    `json:"item_id"`
	Amount    Amount          `json:"amount"`
	State     string          `json:"state"`
}

// Fault is an error in a configuration that the validation found (D13).
type Fault struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Cause is who or what changed an order.
type Cause struct {
	Actor       tenant.Actor
	Event       ID // the event that caused the change; zero for a request
	Correlation ID
	Traceparent string
}

// ActorText formats an actor for an event: its kind, a colon, and its id or name.
func ActorText(a tenant.Actor) string {
	if a.Kind == tenant.KindMember {
		return a.Kind + ":" + a.Member.String()
	}
	return a.Kind + ":" + a.Name
}

// Of makes the record of an event. The order must be in the state in which it will be committed; now is
// the time of the transaction.
func NewRecord(o *order.Order, e order.Event, by Cause, ev ID, now time.Time) (Record, error) {
	d := Data{
		TenantID: o.Tenant, OrderID: o.ID, Number: o.Number, CustomerID: o.Customer.String(), Seq: e.Seq, Version: o.Version,
		From: e.From.String(), To: e.To.String(), Outcome: e.Outcome.String(), Settlement: e.Settlement.String(),
		Policy: o.Policy.String(), CreatedAt: o.CreatedAt, Due: amount(o.Due, o.Currency),
		Items: make([]ItemLine, len(e.Items)),
		Actor: ActorText(by.Actor), Reason: e.Reason,
	}
	for i, it := range e.Items {
		d.Items[i] = ItemLine{ID: it.ID, Product: it.Product, State: it.State.String()}
	}
	if f := e.Item; f != nil {
		d.Item = &Item{
			ID: f.Item.ID, Line: f.Item.Line, Product: f.Item.Snapshot.Product, From: f.From.String(), To: f.To.String(),
			Generation: f.Item.Generation, Attempt: f.Attempt,
		}
		if e.Type == order.EvServiceDelivered {
			d.Item.Billing = billing(f.Item, o.Currency, now)
		}
	}
	if p := e.Payment; p != nil {
		d.Payment = &Payment{
			ID: p.ID, Provider: p.Provider, Reference: p.Reference, Method: p.Method, Amount: amount(p.Paid, p.Currency),
			Due: amount(p.Due, p.Currency), PaidAt: p.PaidAt,
		}
	}
	if r := e.Refund; r != nil {
		d.Refund = &Refund{
			ID: r.ID, PaymentID: r.Payment, ItemID: r.Item, Amount: amount(r.Cents, r.Currency), State: r.State.String(),
		}
	}
	if e.Type == order.EvFailed {
		d.Faults = faults(o.Faults)
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return Record{}, fmt.Errorf("encode event %s: %w", e.Type, err)
	}
	if len(raw) > MaxData {
		return Record{}, fmt.Errorf("event %s of order %s has %d bytes, the limit is %d", e.Type, o.ID, len(raw), MaxData)
	}
	return Record{
		ID: ev, Type: e.Type, Tenant: o.Tenant, Order: o.ID, Seq: e.Seq, At: now, Actor: d.Actor, Causation: by.Event,
		Correlation: by.Correlation, Traceparent: by.Traceparent, Data: raw,
	}, nil
}

func billing(it order.Item, cur money.Currency, now time.Time) *BillingTerms {
	s := it.Snapshot
	b := &BillingTerms{
		Product: s.Product, Plan: s.Plan, Region: s.Region, Configuration: s.Configuration,
		BillingCycle: s.BillingCycle, FormulaVersion: s.FormulaVersion,
		Monthly: amount(s.Monthly, cur), Due: amount(s.Due, cur), PeriodStart: now,
	}
	for _, l := range s.Lines {
		b.Lines = append(b.Lines, Line{
			Component: l.Component, Quantity: l.Quantity, UnitPrice: money.Format(l.UnitPrice, "EUR"),
			Amount: money.Format(l.Amount, "EUR"),
		})
	}
	return b
}

func faults(v []fault.Violation) []Fault {
	var fs []Fault
	for _, f := range v {
		fs = append(fs, Fault{Pointer: f.Pointer, Code: f.Code, Message: f.Message})
	}
	return fs
}

func amount(c money.Cents, cur money.Currency) Amount {
	return Amount{Amount: money.Format(c, cur), Currency: cur}
}
