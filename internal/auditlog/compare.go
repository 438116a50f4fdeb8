package auditlog

import (
	"bytes"
	"cmp"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// SourceEvent is an event as the table order_event holds it, for comparison with its entry in the audit log.
type SourceEvent struct {
	Order      order.ID
	Seq        int
	Event      event.ID
	Type       event.Type
	At         time.Time
	DataSHA256 Hash
}

// Place is the position of an event among its tenant's events: by order, then by number. The zero place comes
// before all others.
type Place struct {
	Order order.ID
	Seq   int
}

// Compare sorts places as the database does.
func (p Place) Compare(q Place) int {
	return cmp.Or(bytes.Compare(p.Order[:], q.Order[:]), cmp.Compare(p.Seq, q.Seq))
}

// Place returns the position of an entry.
func (entry Entry) Place() Place { return Place{entry.Order, entry.Seq} }

// Place returns the position of an event in the table.
func (e SourceEvent) Place() Place { return Place{e.Order, e.Seq} }

// Difference is an event on which the table and the audit log do not agree.
type Difference struct {
	Order order.ID `json:"order_id"`
	Seq   int      `json:"seq"`
	N     int64    `json:"n,omitempty"` // of the entry; 0 when there is none
	What  string   `json:"what"`
}

// String describes the difference in one line.
func (d Difference) String() string {
	return fmt.Sprintf("order %s, seq %d: %s", d.Order, d.Seq, d.What)
}

// Compare lists where two pages differ. Both are sorted by place and cover the same range of places. An event
// from before or later may not have reached the log yet, so its absence is no difference.
func Compare(entries []Entry, events []SourceEvent, before time.Time) []Difference {
	var differences []Difference
	for len(entries) > 0 || len(events) > 0 {
		side := 0
		switch {
		case len(entries) == 0:
			side = 1
		case len(events) == 0:
			side = -1
		default:
			side = entries[0].Place().Compare(events[0].Place())
		}
		switch {
		case side < 0:
			entry := entries[0]
			differences = append(differences, Difference{
				entry.Order, entry.Seq, entry.N, fmt.Sprintf("the audit log has %s, which is not in the table", entry.Type),
			})
		case side > 0:
			if e := events[0]; e.At.Before(before) {
				differences = append(differences, Difference{
					e.Order, e.Seq, 0, fmt.Sprintf("the audit log has no %s of %s", e.Type, e.At.Format(time.RFC3339)),
				})
			}
		default:
			if what := entries[0].differs(events[0]); what != "" {
				differences = append(differences, Difference{entries[0].Order, entries[0].Seq, entries[0].N, what})
			}
		}
		if side <= 0 {
			entries = entries[1:]
		}
		if side >= 0 {
			events = events[1:]
		}
	}
	return differences
}

// differs returns the first difference between an entry and the event in the table; "" when there is none.
func (entry Entry) differs(e SourceEvent) string {
	switch {
	case entry.DataSHA256 != e.DataSHA256:
		return fmt.Sprintf("data: the audit log has hash %s, the table has %s", entry.DataSHA256, e.DataSHA256)
	case entry.Event != e.Event:
		return fmt.Sprintf("event id: the audit log has %s, the table has %s", entry.Event, e.Event)
	case entry.Type != e.Type:
		return fmt.Sprintf("type: the audit log has %s, the table has %s", entry.Type, e.Type)
	case !entry.At.Equal(e.At):
		return fmt.Sprintf("time: the audit log has %s, the table has %s",
			entry.At.Format(time.RFC3339Nano), e.At.Format(time.RFC3339Nano))
	}
	return ""
}
