package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// letterView is work that needs a person.
type letterView struct {
	ID        string     `json:"id" format:"uuid"`
	Cause     string     `json:"cause" example:"undo-exhausted"`
	Source    string     `json:"source" example:"step" doc:"event, step, refund or mail."`
	Class     string     `json:"class" doc:"What the last answer meant."`
	Detail    *string    `json:"detail" doc:"In our words, never a provider's."`
	Order     *string    `json:"order" format:"uuid"`
	Item      *string    `json:"item" format:"uuid"`
	Step      *string    `json:"step"`
	Tries     int        `json:"tries"`
	FirstAt   time.Time  `json:"first_at"`
	LastAt    time.Time  `json:"last_at"`
	Suggested string     `json:"suggested" enum:"redrive,remove-by-hand,nothing" doc:"What to try first."`
	State     string     `json:"state" enum:"open,parked,redriven,abandoned,closed"`
	ClosedAt  *time.Time `json:"closed_at"`
	Reason    *string    `json:"reason" doc:"What the person who closed it said."`
}

func viewLetter(d app.DeadLetter) letterView {
	return letterView{
		ID: d.ID.String(), Cause: d.Code, Source: d.Source, Class: d.Class.String(), Detail: orNull(d.Detail), Order: idOrNull(d.Order), Item: idOrNull(d.Item),
		Step: orNull(d.Step), Tries: d.Attempts, FirstAt: stamp(d.FirstFailedAt), LastAt: stamp(d.At), Suggested: d.Suggested(), State: d.State.String(),
		ClosedAt: stampOr(d.ClosedAt), Reason: orNull(d.Reason),
	}
}

func idOrNull[T any](v id.Of[T]) *string {
	if v.IsZero() {
		return nil
	}
	return orNull(v.String())
}

// workView is a refund that a person moves by hand.
type workView struct {
	ID        string     `json:"id" format:"uuid" doc:"The refund's."`
	Order     string     `json:"order" format:"uuid"`
	Number    string     `json:"number"`
	Item      string     `json:"item" format:"uuid"`
	Amount    amountView `json:"amount"`
	Reference string     `json:"reference" doc:"Of the payment the money came with."`
	State     string     `json:"state" enum:"requested,accepted,completed,stuck"`
	Since     time.Time  `json:"since"`
}

func viewWork(w app.WorkItem) workView {
	r := w.Refund
	return workView{ID: r.ID.String(), Order: w.Order.String(), Number: w.Number, Item: r.Item.String(), Amount: amountOf(r.Cents, r.Currency), Reference: w.Reference, State: r.State.String(), Since: stamp(w.Since)}
}

// statsView are the tenant's figures (D25).
type statsView struct {
	AsOf       time.Time      `json:"as_of" doc:"The figures may be five minutes old."`
	Orders     countsView     `json:"orders"`
	ByState    map[string]int `json:"by_state"`
	Average    amountView     `json:"average_value" doc:"Of orders with a confirmed payment."`
	Revenue    amountView     `json:"revenue" doc:"Captured less refunded."`
	Conversion float64        `json:"conversion" doc:"Orders with a confirmed payment ÷ orders created, this month."`
}

type countsView struct {
	Today int `json:"today"`
	Week  int `json:"week" doc:"This ISO week."`
	Month int `json:"month"`
}

func viewStats(st app.OrderStats) statsView {
	v := statsView{
		AsOf: stamp(st.AsOf), Orders: countsView{Today: st.Today, Week: st.Week, Month: st.Month}, ByState: map[string]int{},
		Average: amountOf(st.Average, st.Currency), Revenue: amountOf(st.Revenue, st.Currency), Conversion: st.Conversion,
	}
	for state, n := range st.ByState {
		v.ByState[state.String()] = n
	}
	return v
}

// routingView is the matrix of D19 with each consumer's progress.
type routingView struct {
	Events    []routedView   `json:"events" nullable:"false"`
	Consumers []consumerView `json:"consumers" nullable:"false" doc:"Those of the process that answered."`
}

type routedView struct {
	Type      string   `json:"type" example:"order.created"`
	Consumers []string `json:"consumers" nullable:"false"`
}

type consumerView struct {
	Name       string  `json:"name" example:"audit"`
	Applied    int64   `json:"applied" doc:"Since the process started, as the other counts."`
	Duplicates int64   `json:"duplicates" doc:"Redelivered, and absorbed."`
	Retried    int64   `json:"retried"`
	Parked     int64   `json:"parked" doc:"Refused and set aside."`
	Stopped    int     `json:"stopped_partitions" doc:"Standing still behind an event that cannot be applied."`
	LagSeconds float64 `json:"lag_seconds" doc:"Age of the oldest event read and not yet done with."`
}

func viewRouting(r app.Routing) routingView {
	v := routingView{Events: make([]routedView, len(r.Events)), Consumers: make([]consumerView, len(r.Consumers))}
	for i, e := range r.Events {
		v.Events[i] = routedView{Type: string(e.Type), Consumers: make([]string, len(e.Consumers))}
		for j, c := range e.Consumers {
			v.Events[i].Consumers[j] = string(c)
		}
	}
	for i, c := range r.Consumers {
		v.Consumers[i] = consumerView{Name: c.Consumer, Applied: c.Applied, Duplicates: c.Duplicates, Retried: c.Retried, Parked: c.Refused, Stopped: c.Stopped, LagSeconds: c.Age.Seconds()}
	}
	return v
}

type lettersInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 when not given."`
	Cursor string `query:"cursor" maxLength:"512"`
	State  string `query:"state" enum:"open,parked,redriven,abandoned,closed"`
	Order  string `query:"order" format:"uuid"`
}

type letterInput struct {
	ID string `path:"id"`
}

type redriveBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Kept with the order's history."`
}

type redriveInput struct {
	ID   string `path:"id"`
	Body *redriveBody
}

type pageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 when not given."`
	Cursor string `query:"cursor" maxLength:"512"`
}

type doneBody struct {
	Order  string `json:"order" format:"uuid" doc:"The order that the refund is of."`
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Such as the transfer's own reference."`
}

type doneInput struct {
	ID   string `path:"id"`
	Body doneBody
}

func (s *server) deskRoutes() {
	const tag = "operations"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/dead-letters", ID: "list-dead-letters", Tag: tag, Summary: "The fallout desk", Who: "operator, auditor",
		Description: "Work that ran out of retries or was refused for good, newest first.",
	}, func(ctx context.Context, c app.Caller, in *lettersInput) (app.Page[app.DeadLetter], error) {
		f, err := in.filter()
		if err != nil {
			return app.Page[app.DeadLetter]{}, err
		}
		return s.verbs.DeadLetters(ctx, c, f)
	}, func(_ app.Caller, p app.Page[app.DeadLetter]) reply[list[letterView]] { return page(p, viewLetter) })
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/dead-letters/{id}", ID: "get-dead-letter", Tag: tag, Summary: "Read a dead letter", Who: "operator, auditor", Errors: []int{404},
		Description: "What failed, how often, and what to try first.",
	}, func(ctx context.Context, c app.Caller, in *letterInput) (app.DeadLetter, error) {
		return s.verbs.DeadLetter(ctx, c, idIn[app.DeadLetter](in.ID))
	}, showLetter)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/redrive", ID: "redrive-dead-letter", Tag: tag, Summary: "Try stuck work again", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "The same step with a fresh budget. An item that was going back goes on going back.",
	}, func(ctx context.Context, c app.Caller, in *redriveInput) (app.DeadLetter, error) {
		return s.verbs.RedriveDeadLetter(ctx, c, idIn[app.DeadLetter](in.ID), orZero(in.Body).Reason)
	}, showLetter)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/work-items", ID: "list-work-items", Tag: tag, Summary: "Refunds to be moved by hand", Who: "operator, auditor",
		Description: "Accepted refunds of payments that came by bank transfer.",
	}, func(ctx context.Context, c app.Caller, in *pageInput) (app.Page[app.WorkItem], error) {
		return s.verbs.WorkItems(ctx, c, in.Cursor, limitOf(in.Limit))
	}, func(_ app.Caller, p app.Page[app.WorkItem]) reply[list[workView]] { return page(p, viewWork) })
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/work-items/{id}/done", ID: "finish-work-item", Tag: tag, Summary: "Say that a refund was moved", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "A second time changes nothing. Answers the order.",
	}, s.finishWork, s.showOrder)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/analytics/orders", ID: "get-order-stats", Tag: tag, Summary: "Figures", Who: "operator, auditor",
		Description: "Orders, states, average value, revenue and conversion of your organisation, in its time zone.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.OrderStats, error) {
		return s.verbs.OrderStats(ctx, c)
	}, func(_ app.Caller, st app.OrderStats) reply[statsView] { return plain(viewStats(st)) })
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/routing", ID: "get-routing", Tag: tag, Summary: "Who hears which event", Who: "operator, auditor",
		Description: "The routing matrix, generated from the consumers' own subscriptions, with their progress.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Routing, error) {
		return s.verbs.Routing(ctx, c)
	},
		func(_ app.Caller, r app.Routing) reply[routingView] { return plain(viewRouting(r)) })
}

func showLetter(_ app.Caller, d app.DeadLetter) reply[letterView] { return plain(viewLetter(d)) }

func (s *server) finishWork(ctx context.Context, c app.Caller, in *doneInput) (*app.Dossier, error) {
	return s.verbs.FinishWorkItem(ctx, c, idIn[order.Refund](in.ID), idIn[order.Order](in.Body.Order), in.Body.Reason)
}

func (in *lettersInput) filter() (app.DeadLetterFilter, error) {
	f := app.DeadLetterFilter{Cursor: in.Cursor, Limit: limitOf(in.Limit)}
	f.State = named(in.State, app.LetterOpen, app.LetterParked, app.LetterRedriven, app.LetterAbandoned, app.LetterClosed)
	if in.Order == "" {
		return f, nil
	}
	var err error
	if f.Order, err = id.Parse[order.Order](in.Order); err != nil {
		return f, badParameter("order", "wrong-format", "This must be an id: a UUID.", "uuid")
	}
	return f, nil
}
