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

// eventView is an event of an order's timeline, in lists and in streams.
type eventView struct {
	ID     string    `json:"id" format:"uuid"`
	Seq    int       `json:"seq" doc:"The number of the event in its order: 1, 2, 3 and so on, without gaps."`
	Type   string    `json:"type" example:"order.payment-confirmed"`
	At     time.Time `json:"at"`
	Actor  actorView `json:"actor"`
	From   *string   `json:"from" doc:"The order's state before the event."`
	To     *string   `json:"to" doc:"The order's state after the event."`
	Reason *string   `json:"reason" doc:"The reason that the person gave."`
	Data   object    `json:"data" doc:"The data as it was published, byte for byte."`
}

type actorView struct {
	Kind string `json:"kind" enum:"member,provider,system"`
	ID   string `json:"id" doc:"A member's id, or the name of a payment provider or of a part of the system."`
}

// viewEvent renders a stored record. The data are those of the record, unchanged.
func viewEvent(r event.Record) eventView {
	kind, actor, _ := strings.Cut(r.Actor, ":")
	v := eventView{
		ID: r.ID.String(), Seq: r.Seq, Type: string(r.Type), At: stamp(r.At), Actor: actorView{Kind: kind, ID: actor},
		Data: object(r.Data),
	}
	var d event.Data
	if stdjson.Unmarshal(r.Data, &d) == nil {
		v.From, v.To, v.Reason = orNull(d.From), orNull(d.To), orNull(d.Reason)
	}
	return v
}

// sagaView is the saga log of an order: how it was provisioned and compensated. A Gantt chart can be drawn from it.
type sagaView struct {
	Tasks []taskView `json:"tasks" nullable:"false"`
}

type taskView struct {
	ID         string         `json:"id" format:"uuid"`
	Item       *string        `json:"item" format:"uuid" doc:"Null if the task belongs to the whole order."`
	Kind       string         `json:"kind" enum:"validate,provision,refund,deliver,notify,webhook,redrive,checkout"`
	State      string         `json:"state" enum:"queued,open,stuck,closed"`
	Direction  string         `json:"direction" enum:"do,undo" doc:"undo if the task is compensating, do otherwise."`
	Generation int            `json:"generation" doc:"The item's generation, which is part of every name at the provider."`
	NextAt     *time.Time     `json:"next_at"`
	Deadline   *time.Time     `json:"deadline"`
	Steps      []stepView     `json:"steps" nullable:"false"`
	Decisions  []decisionView `json:"decisions" nullable:"false" doc:"Decisions of a person, or because of another item."`
}

type stepView struct {
	Step      string        `json:"step" example:"server"`
	Direction string        `json:"direction" enum:"do,undo"`
	Phase     *string       `json:"phase" doc:"The phase of the resource: intent, created, ready, deleting or gone."`
	Attempts  []attemptView `json:"attempts" nullable:"false"`
}

type attemptView struct {
	At      time.Time  `json:"at"`
	TookMS  *int64     `json:"took_ms" doc:"Null while the call runs, and if its answer was lost."`
	Class   *string    `json:"class" doc:"The class of the answer; null without an answer."`
	Message *string    `json:"message" doc:"The answer in our words, never the provider's."`
	NextAt  *time.Time `json:"next_at" doc:"The time that was set for the next call."`
}

type decisionView struct {
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

func viewSaga(rec app.SagaRecord) sagaView {
	v := sagaView{Tasks: make([]taskView, len(rec.Tasks))}
	for i, task := range rec.Tasks {
		v.Tasks[i] = viewTask(rec, task)
	}
	return v
}

func viewTask(rec app.SagaRecord, task fulfil.Task) taskView {
	v := taskView{
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

// addLog arranges the entries of a task as steps with their attempts. An intent begins an attempt and the next answer
// of the step ends it. An attempt whose answer was lost has none. After the task has begun to compensate, the
// direction of all that follows is undo.
func (v *taskView) addLog(log []app.LogEntry, taskID fulfil.TaskID) {
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
				answer(l) // the failed call after which the task compensates
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

// step returns the index of a step in a direction. It adds the step if it is missing.
func (v *taskView) step(name, dir string) int {
	for i, s := range v.Steps {
		if s.Step == name && s.Direction == dir {
			return i
		}
	}
	v.Steps = append(v.Steps, stepView{Step: name, Direction: dir, Attempts: []attemptView{}})
	return len(v.Steps) - 1
}

// addPhases sets the phase of each step's resource. The newest generation counts.
func (v *taskView) addPhases(resources []fulfil.Resource, taskID fulfil.TaskID) {
	for i := range v.Steps {
		newest := 0
		for _, res := range resources {
			if res.Task == taskID && res.Step == v.Steps[i].Step && res.Generation >= newest {
				newest = res.Generation
				v.Steps[i].Phase = orNull(res.Phase.String())
			}
		}
	}
}

type eventsInput struct {
	ID     string `path:"id"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 if it is not sent."`
	Cursor string `query:"cursor" maxLength:"512" doc:"The next_cursor of the page before, which is the seq of its last event."`
}

// timelinePage is a page of events. If it is full, another page may follow.
type timelinePage struct {
	records []event.Record
	limit   int
}

func (s *server) timelineRoutes() {
	const tag = "timeline"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/orders/{id}/events", ID: "list-events", Tag: tag,
		Summary: "List the events of an order", Who: "customer (own orders), auditor", Errors: []int{404},
		Description: "The timeline, the oldest event first: who changed what and when, from which state to which, and why.",
	}, s.events, func(_ app.Caller, p timelinePage) reply[list[eventView]] {
		next := app.Page[event.Record]{Data: p.records}
		if n := len(p.records); n == p.limit {
			next.Next = strconv.Itoa(p.records[n-1].Seq)
		}
		return page(next, viewEvent)
	})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/orders/{id}/saga", ID: "get-saga", Tag: tag,
		Summary: "Read the saga log of an order", Who: "operator, auditor", Errors: []int{404},
		Description: "Every task of the order with its steps, their attempts, and compensations.",
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

// parseSeq parses the seq of an event in a cursor or a Last-Event-ID: digits only, without leading zeros. It returns
// 0 for "", which means the beginning.
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
