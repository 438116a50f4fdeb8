package portal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// record is an event with its decoded payload.
type record struct {
	event.Record
	Payload event.Data
}

// maxEvents is the most events of a timeline. An order with a hundred items and every retry of D5 has far fewer.
const maxEvents = 2000

// eventsSince returns the known events and those that the order has recorded since. It reads nothing when there
// are none.
func (p *Portal) eventsSince(r *http.Request, v *session, o *order.Order, known []record) ([]record, error) {
	const batch = 100
	events, after := known, 0
	if len(known) > 0 {
		after = known[len(known)-1].Seq
	}
	for after < o.LastSeq && len(events) < maxEvents {
		page, err := p.useCases.OrderEvents(r.Context(), v.Caller, o.ID, after, batch)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			rec := record{Record: e}
			if err := json.Unmarshal(e.Data, &rec.Payload); err != nil {
				return nil, fmt.Errorf("read event %s: %w", e.ID, err)
			}
			events = append(events, rec)
			after = e.Seq
		}
		if len(page) < batch {
			break
		}
	}
	return events, nil
}

// entry is one line of the timeline.
type entry struct {
	Seq    int
	At     time.Time
	Title  string
	Text   string // the item, refund or payment that the event is about
	Who    string
	Reason string
	ID     string
	Tone   tone
	Type   string
}

// entriesOf returns the lines of the events, newest first.
func entriesOf(v *session, agg *app.Aggregate, events []record) []entry {
	list := make([]entry, 0, len(events))
	for _, e := range slices.Backward(events) {
		what := eventTexts[e.Type]
		list = append(list, entry{
			Seq: e.Seq, At: e.At, Title: eventTitle(e), Text: eventDetail(agg, e), Who: whoText(v, agg, e.Actor),
			Reason: e.Payload.Reason, ID: e.ID.String(), Tone: what.Tone, Type: string(e.Type),
		})
	}
	return list
}

type eventText struct {
	Title string
	Tone  tone
}

var eventTexts = map[order.EventType]eventText{
	order.EvCreated:             {"Draft begun", tone{"calm", "pen"}},
	order.EvUpdated:             {"Draft changed", tone{"calm", "pen"}},
	order.EvSubmitted:           {"Ordered; prices are frozen", tone{"busy", "dot"}},
	order.EvPaymentConfirmed:    {"Payment confirmed", tone{"good", "coin"}},
	order.EvPaymentReverted:     {"Payment set aside", tone{"warn", "undo"}},
	order.EvValidating:          {"Checks begun", tone{"busy", "gear"}},
	order.EvProvisioningStarted: {"Checks passed, building begins", tone{"busy", "gear"}},
	order.EvPartiallyFulfilled:  {"Part of the order is ready", tone{"busy", "check"}},
	order.EvFulfilled:           {"Order fulfilled", tone{"good", "check"}},
	order.EvCancelRequested:     {"Cancellation requested", tone{"warn", "undo"}},
	order.EvCancelled:           {"Order cancelled", tone{"calm", "cross"}},
	order.EvFailed:              {"Order failed", tone{"bad", "cross"}},
	order.EvRestored:            {"Restored as a draft", tone{"calm", "pen"}},
	order.EvHeld:                {"Held by an operator", tone{"warn", "pause"}},
	order.EvReleased:            {"Hold released", tone{"busy", "dot"}},
	order.EvItemProvisioning:    {"Building", tone{"busy", "gear"}},
	order.EvItemRetrying:        {"A call failed and will be tried again", tone{"warn", "clock"}},
	order.EvItemWaiting:         {"No capacity now, waiting", tone{"warn", "pause"}},
	order.EvItemActive:          {"Ready", tone{"good", "check"}},
	order.EvItemCompensating:    {"Being removed and refunded", tone{"warn", "undo"}},
	order.EvItemRolledBack:      {"Removed and refunded", tone{"calm", "undo"}},
	order.EvItemCancelled:       {"Item cancelled before it was built", tone{"calm", "cross"}},
	order.EvItemStuck:           {"Removal needs a person", tone{"bad", "alert"}},
	order.EvServiceDelivered:    {"Delivered, encrypted", tone{"good", "mail"}},
	order.EvRedeliveryRequested: {"New delivery requested", tone{"busy", "mail"}},
	order.EvRefundRequested:     {"Refund requested", tone{"warn", "coin"}},
	order.EvRefundAccepted:      {"Refund accepted", tone{"good", "coin"}},
	order.EvRefundCompleted:     {"Refund completed", tone{"good", "coin"}},
	order.EvRefundFailed:        {"Refund needs a person", tone{"bad", "alert"}},
}

func eventTitle(e record) string {
	if t, ok := eventTexts[e.Type]; ok {
		return t.Title
	}
	return words(strings.TrimPrefix(string(e.Type), "order."))
}

// eventDetail returns which item, refund or payment an event is about.
func eventDetail(agg *app.Aggregate, e record) string {
	var parts []string
	if it := e.Payload.Item; it != nil {
		name := words(it.Product)
		if known := agg.Order.Find(it.ID); known != nil {
			name = nameOf(*known)
		}
		parts = append(parts, name)
		if it.Attempt > 0 {
			parts = append(parts, fmt.Sprintf("call %d of %d", it.Attempt, maxCalls))
		}
	}
	switch {
	case e.Payload.Refund != nil:
		parts = append(parts, eventAmount(e.Payload.Refund.Amount))
	case e.Payload.Payment != nil && e.Payload.Item == nil:
		parts = append(parts, eventAmount(e.Payload.Payment.Amount), "reference "+e.Payload.Payment.Reference)
	}
	return strings.Join(parts, ", ")
}

// eventAmount formats an amount of an event. One that cannot be parsed is shown as it is.
func eventAmount(a event.Amount) string {
	c, err := money.ParseDecimal(a.Amount, a.Currency)
	if err != nil {
		return a.Amount + " " + string(a.Currency)
	}
	return amount(c, a.Currency)
}

// whoText names who did something, as the reader knows them.
func whoText(v *session, agg *app.Aggregate, actor string) string {
	kind, name, _ := strings.Cut(actor, ":")
	switch kind {
	case "member":
		switch name {
		case v.Member.String():
			return "you"
		case agg.Customer.ID.String():
			return agg.Customer.Email
		}
		return "member " + short(name)
	case "provider":
		return "payment provider " + name
	}
	if v.isCustomer() { // which process it was helps operators only
		return "the system"
	}
	return "the system (" + name + ")"
}
