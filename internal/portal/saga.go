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

// sagaView is the saga log of an order: each call as a bar on a common time line, and all entries as a table.
type sagaView struct {
	Visit  *session
	O      *order.Order
	Rows   []sagaRow
	Lines  []sagaLine
	Tasks  []sagaTask
	Length string // time from the first call to the end of the last
	Height int
}

// sagaRow is a row of the drawing: one step of one task.
type sagaRow struct {
	Text string
	Y    int
	Bars []sagaBar
}

// sagaBar is one call, in units of the drawing.
type sagaBar struct {
	X, Width int
	Tone     string
	Undo     bool // a call of the compensation: hatched
	Title    string
}

// sagaLine is one entry of the saga log.
type sagaLine struct {
	At               time.Time
	Task, Step, What string
	Class            string
	Tone             tone
	Note             string
	Took             string
	Next             time.Time
}

type sagaTask struct {
	Text, Detail string
	Tone         tone
	State        string
	Next         time.Time
}

// The measures of the drawing. Names are on the left, bars on the right.
const (
	sagaLeft      = 220
	sagaWidth     = 490
	sagaRowHeight = 26
)

func (p *Portal) sagaPage(w http.ResponseWriter, r *http.Request, v *session) error {
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	record, err := p.useCases.Saga(r.Context(), v.Caller, agg.Order.ID)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, sagaPage(p.pageLayout(r, v, "orders", "Saga log of "+agg.Order.Number),
		sagaOf(v, agg.Order, record)))
}

func sagaOf(v *session, o *order.Order, record app.SagaRecord) sagaView {
	view := sagaView{Visit: v, O: o}
	names := map[fulfil.TaskID]string{}
	for _, task := range record.Tasks {
		name := words(task.Kind.String())
		if it := o.Find(task.Item); it != nil {
			name += " " + nameOf(*it)
		}
		names[task.ID] = name
		run := sagaTask{
			Text: name, Detail: task.Detail, State: words(task.State.String()), Tone: taskTone(task), Next: task.NextAt,
		}
		if task.Compensating {
			run.State += ", compensating"
		}
		if !task.Live() {
			run.Next = time.Time{}
		}
		view.Tasks = append(view.Tasks, run)
	}
	first, length := extent(record.Log)
	view.Length = span(length)
	compensating := map[fulfil.TaskID]bool{}
	rowOf := map[string]int{}
	for _, l := range record.Log {
		view.Lines = append(view.Lines, sagaLine{
			At: l.At, Task: names[l.Task], Step: l.Step, What: words(l.What.String()), Class: classText(l),
			Tone: classTone(l.Class), Note: l.Note, Took: tookText(l.Took), Next: l.Next,
		})
		if l.What == app.LogCompensating {
			compensating[l.Task] = true
		}
		if l.What != app.LogAnswer {
			continue
		}
		key := l.Task.String() + l.Step
		i, known := rowOf[key]
		if !known {
			i = len(view.Rows)
			rowOf[key] = i
			view.Rows = append(view.Rows, sagaRow{Text: rowText(names[l.Task], l.Step), Y: i * sagaRowHeight})
		}
		begun := l.At.Add(-l.Took)
		view.Rows[i].Bars = append(view.Rows[i].Bars, sagaBar{
			X: sagaLeft + scaled(begun.Sub(first), length), Width: max(4, scaled(l.Took, length)),
			Tone: classTone(l.Class).Class, Undo: compensating[l.Task],
			Title: fmt.Sprintf("%s %s: %s, %s", names[l.Task], l.Step, classText(l), tookText(l.Took)),
		})
	}
	slices.Reverse(view.Lines)
	view.Height = len(view.Rows)*sagaRowHeight + 8
	return view
}

// maxRowText is the most characters of a row's name in the drawing. The bars' titles and the table have the
// whole name.
const maxRowText = 32

// rowText names a row by its task and its step, where the two differ. When there is no room, the task's name is
// cut and the step is kept whole.
func rowText(task, step string) string {
	if strings.EqualFold(task, step) || strings.HasPrefix(strings.ToLower(task), strings.ToLower(step)+" ") {
		step = ""
	}
	if room := maxRowText - len([]rune(step)) - 1; len([]rune(task)) > room {
		task = string([]rune(task)[:room-1]) + "…"
	}
	return strings.TrimSpace(task + " " + step)
}

// extent returns when the first call began, and the time from then to the end of the last one.
func extent(log []app.LogEntry) (first time.Time, length time.Duration) {
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

func taskTone(task fulfil.Task) tone {
	switch {
	case task.State == fulfil.Stuck:
		return tone{"bad", "alert"}
	case task.State == fulfil.Closed:
		return tone{"calm", "check"}
	case task.Compensating:
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

// classTone is good for what worked, calm for what waits, warn for what is retried, and bad for what was refused.
func classTone(c fault.Class) tone {
	switch c {
	case fault.None, fault.NotFound:
		return tone{"good", "check"}
	case fault.Pending, fault.RateLimited, fault.Suspended, fault.Capacity:
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
