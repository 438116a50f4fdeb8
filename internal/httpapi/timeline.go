package httpapi

import (
	"context"
	stdjson "encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// eventView is an event of an order's timeline, in lists and in streams alike.
type eventView struct {
	ID     string    `json:"id" format:"uuid"`
	Seq    int       `json:"seq" doc:"Gapless per order, from 1."`
	Type   string    `json:"type" example:"order.payment-confirmed"`
	At     time.Time `json:"at"`
	Actor  actorView `json:"actor"`
	From   *string   `json:"from" doc:"The order's state before."`
	To     *string   `json:"to" doc:"The order's state after."`
	Reason *string   `json:"reason" doc:"What the person who did it said."`
	Data   object    `json:"data" doc:"What was published, byte for byte."`
}

type actorView struct {
	Kind string `json:"kind" enum:"member,provider,system"`
	ID   string `json:"id" doc:"A member's id, or the name of a payment provider or of the module's part."`
}

// viewEvent renders a stored record. What stands in its data is the record's own.
func viewEvent(r event.Record) eventView {
	kind, who, _ := strings.Cut(r.Actor, ":")
	v := eventView{
		ID: r.ID.String(), Seq: r.Seq, Type: string(r.Type), At: stamp(r.At), Actor: actorView{Kind: kind, ID: who},
		Data: object(r.Data),
	}
	var d event.Data
	if stdjson.Unmarshal(r.Data, &d) == nil {
		v.From, v.To, v.Reason = orNull(d.From), orNull(d.To), orNull(d.Reason)
	}
	return v
}

// sagaView is the record of how an order was built, or taken down: what a Gantt chart is drawn from.
type sagaView struct {
	Tasks []taskRunView `json:"tasks" nullable:"false"`
}

type taskRunView struct {
	ID         string         `json:"id" format:"uuid"`
	Item       *string        `json:"item" format:"uuid" doc:"Null when the work is the whole order's."`
	Kind       string         `json:"kind" enum:"validate,provision,refund,deliver,notify,webhook,redrive,checkout"`
	State      string         `json:"state" enum:"queued,open,stuck,closed"`
	Direction  string         `json:"direction" enum:"do,undo" doc:"Which way it is going now."`
	Generation int            `json:"generation" doc:"Of the item: part of every name at the provider."`
	NextAt     *time.Time     `json:"next_at"`
	Deadline   *time.Time     `json:"deadline"`
	Steps      []stepView     `json:"steps" nullable:"false"`
	Decisions  []decisionView `json:"decisions" nullable:"false" doc:"By a person, or by what became of another item."`
}

type stepView struct {
	Part      string        `json:"step" example:"server"`
	Direction string        `json:"direction" enum:"do,undo"`
	Phase     *string       `json:"phase" doc:"How the resource stands: intent, created, ready, deleting or gone."`
	Attempts  []attemptView `json:"attempts" nullable:"false"`
}

type attemptView struct {
	At      time.Time  `json:"at"`
	TookMS  *int64     `json:"took_ms" doc:"Null while it runs, and when its answer was lost."`
	Class   *string    `json:"class" doc:"What the answer meant; null without one."`
	Message *string    `json:"message" doc:"In our words, never the provider's."`
	NextAt  *time.Time `json:"next_at" doc:"When the next call was set for."`
}

type decisionView struct {
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

func viewSaga(rec app.SagaRecord) sagaView {
	v := sagaView{Tasks: make([]taskRunView, len(rec.Tasks))}
	for i, task := range rec.Tasks {
		v.Tasks[i] = viewRun(rec, task)
	}
	return v
}

func viewRun(rec app.SagaRecord, task fulfil.Task) taskRunView {
	v := taskRunView{
		ID: task.ID.String(), Kind: task.Kind.String(), State: task.State.String(), Direction: direction(task.Compensating),
		Generation: 1, Steps: []stepView{}, Decisions: []decisionView{},
	}
	if !task.Item.IsZero() {
		v.Item = orNull(task.Item.String())
	}
	if rec.Order != nil {
		if it := rec.Order.Find(task.Item); it != nil {
			v.Generation = it.Generation
		}
	}
	if task.Live() {
		v.NextAt, v.Deadline = stampOr(&task.NextAt), stampOr(&task.Deadline)
	}
	v.addLog(rec.Log, task.ID)
	v.addPhases(rec.Resources, task.ID)
	return v
}

func direction(compensating bool) string {
	if compensating {
		return "undo"
	}
	return "do"
}

// addLog lays a task's lines out as steps with their attempts. An intent begins an attempt and the next
// answer of its part ends it; an intent whose answer never came stays without one. Once the task has
// turned back, what follows is undo.
func (v *taskRunView) addLog(log []app.LogEntry, taskID fulfil.TaskID) {
	compensating, open := false, map[int]bool{}
	answer := func(l app.LogEntry) {
		i := v.step(l.Step, direction(compensating))
		at := l.At.Add(-l.Took)
		if open[i] {
			at = v.Steps[i].Attempts[len(v.Steps[i].Attempts)-1].At
			v.Steps[i].Attempts = v.Steps[i].Attempts[:len(v.Steps[i].Attempts)-1]
		}
		open[i] = false
		took := l.Took.Milliseconds()
		v.Steps[i].Attempts = append(v.Steps[i].Attempts, attemptView{
			At: stamp(at), TookMS: &took, Class: orNull(l.Class.String()), Message: orNull(l.Note), NextAt: stampOr(&l.Next),
		})
	}
	for _, l := range log {
		if l.Task != taskID {
			continue
		}
		switch l.What {
		case app.LogCompensating:
			if l.Step != "" && l.Class != fault.None {
				answer(l) // the last call of a step that failed turns its task back
			}
			compensating = true
			v.Decisions = append(v.Decisions, decisionView{At: stamp(l.At), Message: l.Note})
		case app.LogDecision:
			v.Decisions = append(v.Decisions, decisionView{At: stamp(l.At), Message: l.Note})
		case app.LogIntent:
			i := v.step(l.Step, direction(compensating))
			v.Steps[i].Attempts = append(v.Steps[i].Attempts, attemptView{At: stamp(l.At)})
			open[i] = true
		case app.LogAnswer:
			answer(l)
		}
	}
}

// step finds the step of a part in a direction, or begins it.
func (v *taskRunView) step(part, dir string) int {
	for i, s := range v.Steps {
		if s.Part == part && s.Direction == dir {
			return i
		}
	}
	v.Steps = append(v.Steps, stepView{Part: part, Direction: dir, Attempts: []attemptView{}})
	return len(v.Steps) - 1
}

// addPhases says how each resource stands; the newest generation's line is the one that counts.
func (v *taskRunView) addPhases(parts []fulfil.Resource, taskID fulfil.TaskID) {
	for i := range v.Steps {
		newest := 0
		for _, res := range parts {
			if res.Task == taskID && res.Step == v.Steps[i].Part && res.Generation >= newest {
				newest = res.Generation
				v.Steps[i].Phase = orNull(res.Phase.String())
			}
		}
	}
}

type eventsInput struct {
	ID     string `path:"id"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 when not given."`
	Cursor string `query:"cursor" maxLength:"512" doc:"The seq of the last event you have, as next_cursor says it."`
}

// timelinePage is a page of events; it is full when another may follow.
type timelinePage struct {
	records []event.Record
	limit   int
}

func (s *server) timelineRoutes() {
	const tag = "timeline"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/orders/{id}/events", ID: "list-events", Tag: tag,
		Summary: "What happened to an order", Who: "customer (own orders), auditor", Errors: []int{404},
		Description: "The audit timeline, oldest first: every change with who, when, from, to and why.",
	}, s.events, func(_ app.Caller, p timelinePage) reply[list[eventView]] {
		next := app.Page[event.Record]{Data: p.records}
		if n := len(p.records); n == p.limit {
			next.Next = strconv.Itoa(p.records[n-1].Seq)
		}
		return page(next, viewEvent)
	})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/orders/{id}/saga", ID: "get-saga", Tag: tag, Summary: "How an order was built",
		Who: "operator, auditor", Errors: []int{404},
		Description: "Every task with its steps, attempts and compensations.",
	}, func(ctx context.Context, c app.Caller, in *orderInput) (app.SagaRecord, error) {
		return s.useCases.Saga(ctx, c, idIn[order.Order](in.ID))
	}, func(_ app.Caller, rec app.SagaRecord) reply[sagaView] { return plain(viewSaga(rec)) })
	s.streamRoute()
}

func (s *server) events(ctx context.Context, c app.Caller, in *eventsInput) (timelinePage, error) {
	after, ok := parseSeq(in.Cursor)
	if !ok {
		return timelinePage{}, fault.New(fault.KindMalformed, "bad-cursor",
			"This cursor is not from this list. Begin without one.")
	}
	p := timelinePage{limit: limitOf(in.Limit)}
	var err error
	p.records, err = s.useCases.OrderEvents(ctx, c, idIn[order.Order](in.ID), after, p.limit)
	return p, err
}

// parseSeq reads an event's sequence number as a cursor or a Last-Event-ID: digits alone, without
// leading zeros; "" is the beginning.
func parseSeq(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<31-1 || strconv.Itoa(n) != s {
		return 0, false
	}
	return n, true
}
