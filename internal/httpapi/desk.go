package httpapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

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
	return workView{
		ID: r.ID.String(), Order: w.Order.String(), Number: w.Number, Item: r.Item.String(),
		Amount: amountOf(r.Cents, r.Currency), Reference: w.Reference, State: r.State.String(), Since: stamp(w.Since),
	}
}

// statsView are the tenant's figures (D25).
type statsView struct {
	AsOf       time.Time      `json:"as_of" doc:"The figures may be five minutes old."`
	TimeZone   string         `json:"time_zone" example:"Europe/Ljubljana" doc:"Whose days these are."`
	Orders     countsView     `json:"orders"`
	ByState    map[string]int `json:"by_state"`
	Average    amountView     `json:"average_value" doc:"Of orders with a confirmed payment."`
	Revenue    amountView     `json:"revenue" doc:"Captured less refunded."`
	Conversion float64        `json:"conversion" doc:"Orders with a confirmed payment ÷ orders created, this month."`
	Days       []dayView      `json:"days" nullable:"false" doc:"The last 30 days, oldest first; a day on which nothing happened is left out."`
}

// dayView is one day: orders by when they were created, money by when it moved.
type dayView struct {
	Day     string     `json:"day" format:"date"`
	Orders  int        `json:"orders"`
	Paid    int        `json:"paid" doc:"Of these orders, those with a confirmed payment."`
	Revenue amountView `json:"revenue" doc:"Captured less refunded on this day."`
}

type countsView struct {
	Today int `json:"today"`
	Week  int `json:"week" doc:"This ISO week."`
	Month int `json:"month"`
}

func viewStats(st app.OrderStats) statsView {
	v := statsView{
		AsOf: stamp(st.AsOf), TimeZone: st.TimeZone, Days: []dayView{}, Orders: countsView{
			Today: st.Today, Week: st.Week,
			Month: st.Month,
		}, ByState: map[string]int{},
		Average: amountOf(st.Average, st.Currency), Revenue: amountOf(st.Revenue, st.Currency), Conversion: st.Conversion,
	}
	for state, n := range st.ByState {
		v.ByState[state.String()] = n
	}
	for _, d := range st.Days {
		v.Days = append(v.Days, dayView{
			Day: d.Day.Format(time.DateOnly), Orders: d.Orders, Paid: d.Paid, Revenue: amountOf(d.Revenue, st.Currency),
		})
	}
	return v
}

// routingView is the matrix of D19 with each consumer's progress.
type routingView struct {
	Events    []routedView   `json:"events" nullable:"false"`
	Consumers []consumerView `json:"consumers" nullable:"false" doc:"Those of every process, and any that has parked an event."`
}

type routedView struct {
	Type      string   `json:"type" example:"order.created"`
	Consumers []string `json:"consumers" nullable:"false"`
}

type consumerView struct {
	Name       string  `json:"name" example:"audit"`
	Applied    int64   `json:"applied" doc:"Since its processes started, as duplicates, retried and refused."`
	Duplicates int64   `json:"duplicates" doc:"Redelivered, and absorbed."`
	Retried    int64   `json:"retried"`
	Parked     int     `json:"parked" doc:"Events of your organisation that stand on the desk now, because they could not be applied."`
	Held       int     `json:"blocked" doc:"Later events of the same orders, which wait behind them."`
	Refused    int64   `json:"refused" doc:"Records that were not to be believed."`
	Stopped    int     `json:"stopped_partitions" doc:"Standing still behind an event that cannot be applied; of a consumer that parks nothing."`
	LagEvents  int64   `json:"lag_events" doc:"Events not yet done with, at most: a publication may count as one more while it is behind. 0 when caught up."`
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
		v.Consumers[i] = consumerView{
			Name: c.Consumer, Applied: c.Applied, Duplicates: c.Duplicates, Retried: c.Retried, Refused: c.Refused,
			Stopped: c.Stopped, LagEvents: c.Behind, LagSeconds: c.Age.Seconds(),
		}
	}
	for _, p := range r.Parked {
		i := slices.IndexFunc(r.Consumers, func(c app.ConsumerStatus) bool { return c.Name == p.Consumer })
		if i < 0 { // it runs in another process
			i = len(v.Consumers)
			v.Consumers = append(v.Consumers, consumerView{Name: p.Consumer})
		}
		v.Consumers[i].Parked, v.Consumers[i].Held = p.Parked, p.Blocked
	}
	return v
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
	s.deadLetterRoutes()
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/work-items", ID: "list-work-items", Tag: tag,
		Summary: "Refunds to be moved by hand", Who: "operator, auditor",
		Description: "Accepted refunds of payments that came by bank transfer.",
	}, func(ctx context.Context, c app.Caller, in *pageInput) (app.Page[app.WorkItem], error) {
		return s.useCases.WorkItems(ctx, c, in.Cursor, limitOf(in.Limit))
	}, func(_ app.Caller, p app.Page[app.WorkItem]) reply[list[workView]] { return page(p, viewWork) })
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/work-items/{id}/done", ID: "finish-work-item", Tag: tag,
		Summary: "Say that a refund was moved", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "A second time changes nothing. Answers the order.",
	}, s.finishWork, s.showOrder)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/analytics/orders", ID: "get-order-stats", Tag: tag, Summary: "Figures",
		Who:         "operator, auditor",
		Description: "Orders, states, average value, revenue and conversion of your organisation, in its time zone.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.OrderStats, error) {
		return s.useCases.OrderStats(ctx, c)
	}, func(_ app.Caller, st app.OrderStats) reply[statsView] { return plain(viewStats(st)) })
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/routing", ID: "get-routing", Tag: tag, Summary: "Who hears which event",
		Who:         "operator, auditor",
		Description: "The routing matrix, generated from the consumers' own subscriptions, with their progress.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Routing, error) {
		return s.useCases.Routing(ctx, c)
	},
		func(_ app.Caller, r app.Routing) reply[routingView] { return plain(viewRouting(r)) })
}

func (s *server) finishWork(ctx context.Context, c app.Caller, in *doneInput) (*app.Aggregate, error) {
	return s.useCases.FinishWorkItem(ctx, c, idIn[order.Refund](in.ID), idIn[order.Order](in.Body.Order), in.Body.Reason)
}
