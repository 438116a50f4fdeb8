package portal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// sagaView is the work behind an order: each call as a bar on a common time line, and the same as a
// table.
type sagaView struct {
	Visit  *visit
	O      *order.Order
	Rows   []sagaRow
	Lines  []sagaLine
	Units  []sagaUnit
	Length string // from the first call to the last
	Height int
}

// sagaRow is one part of one unit: a row of the drawing.
type sagaRow struct {
	Text string
	Y    int
	Bars []sagaBar
}

// sagaBar is one call, in units of the drawing.
type sagaBar struct {
	X, Width int
	Tone     string
	Back     bool // an undo: hatched
	Title    string
}

// sagaLine is one line of the record.
type sagaLine struct {
	At               time.Time
	Unit, Part, What string
	Class            string
	Tone             tone
	Note             string
	Took             string
	Next             time.Time
}

type sagaUnit struct {
	Text, Detail string
	Tone         tone
	State        string
	Next         time.Time
}

// The drawing: names to the left, bars to the right of them.
const (
	sagaLeft  = 220
	sagaWidth = 490
	sagaRowOf = 26
)

func (p *Portal) sagaPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := p.dossier(r, v)
	if err != nil {
		return err
	}
	record, err := p.useCases.Saga(r.Context(), v.Caller, d.Order.ID)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, sagaPage(p.chrome(r, v, "orders", "Steps of "+d.Order.Number), sagaOf(v, d.Order, record)))
}

func sagaOf(v *visit, o *order.Order, record app.SagaRecord) sagaView {
	view := sagaView{Visit: v, O: o}
	names := map[fulfil.UnitID]string{}
	for _, u := range record.Units {
		name := words(u.Kind.String())
		if it := o.Find(u.Item); it != nil {
			name += " " + nameOf(*it)
		}
		names[u.ID] = name
		unit := sagaUnit{Text: name, Detail: u.Detail, State: words(u.State.String()), Tone: unitTone(u), Next: u.NextAt}
		if u.Undoing {
			unit.State += ", going back"
		}
		if !u.Live() {
			unit.Next = time.Time{}
		}
		view.Units = append(view.Units, unit)
	}
	first, length := stretch(record.Log)
	view.Length = span(length)
	back := map[fulfil.UnitID]bool{}
	at := map[string]int{}
	for _, l := range record.Log {
		view.Lines = append(view.Lines, sagaLine{At: l.At, Unit: names[l.Unit], Part: l.Part, What: words(l.What.String()), Class: classText(l), Tone: classTone(l.Class), Note: l.Note, Took: tookText(l.Took), Next: l.Next})
		if l.What == app.LogTurned {
			back[l.Unit] = true
		}
		if l.What != app.LogAnswer {
			continue
		}
		key := l.Unit.String() + l.Part
		i, known := at[key]
		if !known {
			i = len(view.Rows)
			at[key] = i
			view.Rows = append(view.Rows, sagaRow{Text: rowText(names[l.Unit], l.Part), Y: i * sagaRowOf})
		}
		begun := l.At.Add(-l.Took)
		view.Rows[i].Bars = append(view.Rows[i].Bars, sagaBar{
			X: sagaLeft + scaled(begun.Sub(first), length), Width: max(4, scaled(l.Took, length)), Tone: classTone(l.Class).Class, Back: back[l.Unit],
			Title: fmt.Sprintf("%s %s: %s, %s", names[l.Unit], l.Part, classText(l), tookText(l.Took)),
		})
	}
	slices.Reverse(view.Lines)
	view.Height = len(view.Rows)*sagaRowOf + 8
	return view
}

// maxRowText is how many characters of a row's name the drawing has room for; the bars' titles and the
// table have all of it.
const maxRowText = 32

// rowText names a row: the work and its step, where the two differ. The step is kept, the item's name
// gives way.
func rowText(unit, part string) string {
	if strings.EqualFold(unit, part) || strings.HasPrefix(strings.ToLower(unit), strings.ToLower(part)+" ") {
		part = ""
	}
	if room := maxRowText - len([]rune(part)) - 1; len([]rune(unit)) > room {
		unit = string([]rune(unit)[:room-1]) + "…"
	}
	return strings.TrimSpace(unit + " " + part)
}

// stretch is when the first call began and how long it was to the end of the last.
func stretch(log []app.LogEntry) (first time.Time, length time.Duration) {
	var last time.Time
	for _, l := range log {
		if begun := l.At.Add(-l.Took); first.IsZero() || begun.Before(first) {
			first = begun
		}
		if l.At.After(last) {
			last = l.At
		}
	}
	return first, last.Sub(first)
}

func scaled(d, length time.Duration) int {
	if length <= 0 {
		return 0
	}
	return int(d * sagaWidth / length)
}

func unitTone(u fulfil.Unit) tone {
	switch {
	case u.State == fulfil.Stuck:
		return tone{"bad", "alert"}
	case u.State == fulfil.Closed:
		return tone{"calm", "check"}
	case u.Undoing:
		return tone{"warn", "undo"}
	}
	return tone{"busy", "gear"}
}

func classText(l app.LogEntry) string {
	switch {
	case l.What != app.LogAnswer:
		return ""
	case l.Class == fault.None:
		return "worked"
	}
	return l.Class.String()
}

// classTone: what worked is good, what waits is calm, what will be tried again warns, what is refused
// is bad.
func classTone(c fault.Class) tone {
	switch c {
	case fault.None, fault.NotFound:
		return tone{"good", "check"}
	case fault.Pending, fault.RateLimited, fault.Parked, fault.Capacity:
		return tone{"calm", "clock"}
	case fault.Ambiguous, fault.Retryable:
		return tone{"warn", "undo"}
	}
	return tone{"bad", "alert"}
}

func tookText(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
