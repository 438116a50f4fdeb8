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

// idOrNull returns the text of an id, or nil for the zero id.
func idOrNull[T any](v id.Of[T]) *string {
	if v.IsZero() {
		return nil
	}
	return orNull(v.String())
}

// workItemView is a refund that a person has to make by hand.
type workItemView struct {
	ID        string     `json:"id" format:"uuid" doc:"The id of the refund."`
	Order     string     `json:"order" format:"uuid"`
	Number    string     `json:"number"`
	Item      string     `json:"item" format:"uuid"`
	Amount    amountView `json:"amount"`
	Reference string     `json:"reference" doc:"The reference of the payment that is refunded."`
	State     string     `json:"state" enum:"requested,accepted,completed,stuck"`
	Since     time.Time  `json:"since"`
}

func viewWorkItem(w app.WorkItem) workItemView {
	r := w.Refund
	return workItemView{
		ID: r.ID.String(), Order: w.Order.String(), Number: w.Number, Item: r.Item.String(),
		Amount: amountOf(r.Cents, r.Currency), Reference: w.Reference, State: r.State.String(), Since: stamp(w.Since),
	}
}

// statsView holds the tenant's figures (D25).
type statsView struct {
	AsOf       time.Time       `json:"as_of" doc:"The time of the figures, which may be up to five minutes old."`
	TimeZone   string          `json:"time_zone" example:"Europe/Ljubljana" doc:"The time zone in which days begin and end."`
	Orders     orderCountsView `json:"orders"`
	ByState    map[string]int  `json:"by_state"`
	Average    amountView      `json:"average_value" doc:"The average value of orders with a confirmed payment."`
	Revenue    amountView      `json:"revenue" doc:"Confirmed payments less refunds."`
	Conversion float64         `json:"conversion" doc:"Orders with a confirmed payment divided by orders created, this month."`
	Days       []dayView       `json:"days" nullable:"false" doc:"The last 30 days, the oldest first. Days on which nothing happened are left out."`
}

// dayView holds the figures of one day: the orders created and the money moved on it.
type dayView struct {
	Day     string     `json:"day" format:"date"`
	Orders  int        `json:"orders"`
	Paid    int        `json:"paid" doc:"How many of these orders have a confirmed payment."`
	Revenue amountView `json:"revenue" doc:"Payments confirmed on this day less refunds on this day."`
}

type orderCountsView struct {
	Today int `json:"today"`
	Week  int `json:"week" doc:"In this ISO week."`
	Month int `json:"month"`
}

func viewStats(st app.OrderStats) statsView {
	v := statsView{
		AsOf: stamp(st.AsOf), TimeZone: st.TimeZone, Days: []dayView{}, ByState: map[string]int{},
		Orders:  orderCountsView{Today: st.Today, Week: st.Week, Month: st.Month},
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

// routingView is the routing matrix (D19) with the progress of each consumer.
type routingView struct {
	Events    []routedEventView `json:"events" nullable:"false"`
	Consumers []consumerView    `json:"consumers" nullable:"false" doc:"The consumers of all processes, and any other that has parked an event."`
}

type routedEventView struct {
	Type      string   `json:"type" example:"order.created"`
	Consumers []string `json:"consumers" nullable:"false"`
}

type consumerView struct {
	Name       string  `json:"name" example:"audit"`
	Applied    int64   `json:"applied" doc:"Events applied since the processes started; duplicates, retried and refused count from then too."`
	Duplicates int64   `json:"duplicates" doc:"Events that were delivered again and had no second effect."`
	Retried    int64   `json:"retried"`
	Parked     int     `json:"parked" doc:"Events of your organisation that could not be applied. Each has a dead letter."`
	Blocked    int     `json:"blocked" doc:"Later events of the same orders, which are blocked behind the parked ones."`
	Refused    int64   `json:"refused" doc:"Records on the topic that were not valid events of ours."`
	Stopped    int     `json:"stopped_partitions" doc:"Partitions that are stopped at an event that cannot be applied. Only consumers that do not park events stop."`
	LagEvents  int64   `json:"lag_events" doc:"An upper bound of the events not processed yet: each publication may add one while the consumer is behind. 0 if the consumer has caught up."`
	LagSeconds float64 `json:"lag_seconds" doc:"The age of the oldest event that was read and is not processed yet."`
}

func viewRouting(r app.Routing) routingView {
	v := routingView{Events: make([]routedEventView, len(r.Events)), Consumers: make([]consumerView, len(r.Consumers))}
	for i, e := range r.Events {
		v.Events[i] = routedEventView{Type: string(e.Type), Consumers: make([]string, len(e.Consumers))}
		for j, c := range e.Consumers {
			v.Events[i].Consumers[j] = string(c)
		}
	}
	for i, c := range r.Consumers {
		v.Consumers[i] = consumerView{
			Name: c.Group, Applied: c.Applied, Duplicates: c.Duplicates, Retried: c.Retried, Refused: c.Refused,
			Stopped: c.Stopped, LagEvents: c.LagEvents, LagSeconds: c.Lag.Seconds(),
		}
	}
	for _, p := range r.Parked {
		i := slices.IndexFunc(r.Consumers, func(c app.ConsumerStatus) bool { return c.Name == p.Consumer })
		if i < 0 { // no process reports this consumer
			i = len(v.Consumers)
			v.Consumers = append(v.Consumers, consumerView{Name: p.Consumer})
		}
		v.Consumers[i].Parked, v.Consumers[i].Blocked = p.Parked, p.Blocked
	}
	return v
}

type pageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 if it is not sent."`
	Cursor string `query:"cursor" maxLength:"512"`
}

type finishWorkItemBody struct {
	Order  string `json:"order" format:"uuid" doc:"The order that the refund belongs to."`
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"A note, such as the reference of the transfer."`
}

type finishWorkItemInput struct {
	ID   string `path:"id"`
	Body finishWorkItemBody
}

func (s *server) operationRoutes() {
	const tag = "operations"
	s.deadLetterRoutes()
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/work-items", ID: "list-work-items", Tag: tag,
		Summary: "List refunds to make by hand", Who: "operator, auditor",
		Description: "The accepted refunds of payments by bank transfer.",
	}, func(ctx context.Context, c app.Caller, in *pageInput) (app.Page[app.WorkItem], error) {
		return s.useCases.WorkItems(ctx, c, in.Cursor, limitOf(in.Limit))
	}, func(_ app.Caller, p app.Page[app.WorkItem]) reply[list[workItemView]] { return page(p, viewWorkItem) })
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/work-items/{id}/done", ID: "finish-work-item", Tag: tag,
		Summary: "Confirm that a refund was made by hand", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "Returns the order. A second confirmation changes nothing.",
	}, s.finishWorkItem, s.showOrder)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/analytics/orders", ID: "get-order-stats", Tag: tag, Summary: "Read the figures",
		Who:         "operator, auditor",
		Description: "The orders, states, average value, revenue and conversion of your organisation, in its time zone.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.OrderStats, error) {
		return s.useCases.OrderStats(ctx, c)
	}, func(_ app.Caller, st app.OrderStats) reply[statsView] { return plain(viewStats(st)) })
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/routing", ID: "get-routing", Tag: tag, Summary: "Read the event routing",
		Who:         "operator, auditor",
		Description: "Which consumers subscribe to which events, and the progress of each consumer.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Routing, error) {
		return s.useCases.Routing(ctx, c)
	}, func(_ app.Caller, r app.Routing) reply[routingView] { return plain(viewRouting(r)) })
}

func (s *server) finishWorkItem(ctx context.Context, c app.Caller, in *finishWorkItemInput) (*app.Aggregate, error) {
	return s.useCases.FinishWorkItem(ctx, c, idIn[order.Refund](in.ID), idIn[order.Order](in.Body.Order), in.Body.Reason)
}
