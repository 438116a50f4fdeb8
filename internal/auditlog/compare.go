package auditlog

import (
	"bytes"
	"cmp"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// Told is an event as our own table has it, for comparison with what the witness saw.
type SourceEvent struct {
	Order      order.ID
	Seq        int
	Event      event.ID
	Type       event.Type
	At         time.Time
	DataSHA256 Hash
}

// Place is where an event stands among its tenant's, by order and number. The zero place is before all.
type Place struct {
	Order order.ID
	Seq   int
}

// Compare orders places as the database does.
func (p Place) Compare(q Place) int {
	return cmp.Or(bytes.Compare(p.Order[:], q.Order[:]), cmp.Compare(p.Seq, q.Seq))
}

// Place of a link.
func (entry Entry) Place() Place { return Place{entry.Order, entry.Seq} }

// Place of an event in the table.
func (t SourceEvent) Place() Place { return Place{t.Order, t.Seq} }

// Difference is an event on which table and witness do not agree.
type Difference struct {
	Order order.ID `json:"order_id"`
	Seq   int      `json:"seq"`
	N     int64    `json:"n,omitempty"` // of the link; 0 when there is none
	What  string   `json:"what"`
}

// String is the difference in a line.
func (d Difference) String() string {
	return fmt.Sprintf("order %s, seq %d: %s", d.Order, d.Seq, d.What)
}

// Compare lists where two pages differ, both in the order of their places and over the same range of them.
// An event that is not older than before may be on its way still, and is not missed.
func Compare(seen []Entry, told []SourceEvent, before time.Time) []Difference {
	var all []Difference
	for len(seen) > 0 || len(told) > 0 {
		side := 0
		switch {
		case len(seen) == 0:
			side = 1
		case len(told) == 0:
			side = -1
		default:
			side = seen[0].Place().Compare(told[0].Place())
		}
		switch {
		case side < 0:
			entry := seen[0]
			all = append(all, Difference{
				entry.Order, entry.Seq, entry.N, fmt.Sprintf("the witness saw %s, which is not in the table", entry.Type),
			})
		case side > 0:
			if t := told[0]; t.At.Before(before) {
				all = append(all, Difference{
					t.Order, t.Seq, 0, fmt.Sprintf("the witness never saw %s of %s", t.Type, t.At.Format(time.RFC3339)),
				})
			}
		default:
			if what := seen[0].unlike(told[0]); what != "" {
				all = append(all, Difference{seen[0].Order, seen[0].Seq, seen[0].N, what})
			}
		}
		if side <= 0 {
			seen = seen[1:]
		}
		if side >= 0 {
			told = told[1:]
		}
	}
	return all
}

// unlike says in what a link and the table's event differ; "" when in nothing.
func (entry Entry) unlike(t SourceEvent) string {
	switch {
	case entry.DataSHA256 != t.DataSHA256:
		return fmt.Sprintf("data: the witness saw hash %s, the table has %s", entry.DataSHA256, t.DataSHA256)
	case entry.Event != t.Event:
		return fmt.Sprintf("event id: the witness saw %s, the table has %s", entry.Event, t.Event)
	case entry.Type != t.Type:
		return fmt.Sprintf("type: the witness saw %s, the table has %s", entry.Type, t.Type)
	case !entry.At.Equal(t.At):
		return fmt.Sprintf("time: the witness saw %s, the table has %s", entry.At.Format(time.RFC3339Nano),
			t.At.Format(time.RFC3339Nano))
	}
	return ""
}
