package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// newItemBody is an item as a customer configures it. Bounds are of form only; what a product takes is
// the catalogue's matter.
type newItemBody struct {
	Product       string `json:"product" doc:"As in the catalogue." example:"vps" maxLength:"64"`
	Plan          string `json:"plan,omitempty" doc:"Of products that have plans." example:"business" maxLength:"64"`
	Region        string `json:"region" example:"lj-1" maxLength:"64"`
	BillingCycle  string `json:"billing_cycle" doc:"monthly or annual; annual is twelve months less 20 %." example:"monthly" maxLength:"16"`
	Label         string `json:"label,omitempty" doc:"Your own name for it." example:"web-1" maxLength:"63"`
	Configuration object `json:"configuration,omitempty" doc:"As the product's JSON Schema in the catalogue says."`
}

func (b newItemBody) input() app.ItemInput {
	return app.ItemInput{
		Product: b.Product, Plan: b.Plan, Region: b.Region, BillingCycle: b.BillingCycle, Label: b.Label,
		Configuration: json.RawMessage(b.Configuration),
	}
}

func inputsOf(items []newItemBody) []app.ItemInput {
	in := make([]app.ItemInput, len(items))
	for i, b := range items {
		in[i] = b.input()
	}
	return in
}

// keptItemBody is an item of an edited draft: with its id it is the one that was there (D27).
type keptItemBody struct {
	ID            string `json:"id,omitempty" doc:"Keeps an item of the draft; without it the item is a new one." format:"uuid"`
	Product       string `json:"product" doc:"As in the catalogue." example:"vps" maxLength:"64"`
	Plan          string `json:"plan,omitempty" doc:"Of products that have plans." example:"business" maxLength:"64"`
	Region        string `json:"region" example:"lj-1" maxLength:"64"`
	BillingCycle  string `json:"billing_cycle" doc:"monthly or annual; annual is twelve months less 20 %." example:"monthly" maxLength:"16"`
	Label         string `json:"label,omitempty" doc:"Your own name for it." example:"web-1" maxLength:"63"`
	Configuration object `json:"configuration,omitempty" doc:"As the product's JSON Schema in the catalogue says."`
}

func (b keptItemBody) input() app.ItemInput {
	in := newItemBody{
		Product: b.Product, Plan: b.Plan, Region: b.Region, BillingCycle: b.BillingCycle, Label: b.Label,
		Configuration: b.Configuration,
	}.input()
	in.ID = b.ID
	return in
}

type createBody struct {
	ExternalID string        `json:"external_id,omitempty" doc:"Your own reference, unique in your organisation; a second order under it is refused, for ever." example:"po-4711" maxLength:"64"`
	Policy     string        `json:"fulfillment_policy,omitempty" doc:"What one item that cannot be built means for the others: per_item (default) or all_or_nothing." example:"per_item" maxLength:"32"`
	CustomerID string        `json:"customer_id,omitempty" doc:"Whom the order is for; operators only." format:"uuid"`
	Items      []newItemBody `json:"items,omitempty" maxItems:"100" nullable:"false" doc:"May be empty: a draft is the cart."`
}

type editBody struct {
	Version    *int            `json:"version,omitempty" doc:"The version you read; or send If-Match." minimum:"0"`
	ExternalID *string         `json:"external_id,omitempty" maxLength:"64"`
	Policy     *string         `json:"fulfillment_policy,omitempty" maxLength:"32"`
	Items      *[]keptItemBody `json:"items,omitempty" maxItems:"100" nullable:"false" doc:"Replaces the list."`
}

type submitBody struct {
	Version       *int        `json:"version,omitempty" doc:"The version you read; or send If-Match." minimum:"0"`
	ExpectedTotal *amountView `json:"expected_total,omitempty" doc:"What you saw; more than one euro off is refused."`
	PaymentMethod string      `json:"payment_method,omitempty" doc:"Your organisation's setting when not given." maxLength:"32"`
}

type reasonBody struct {
	Version *int   `json:"version,omitempty" doc:"The version you read; or send If-Match." minimum:"0"`
	Reason  string `json:"reason,omitempty" doc:"Kept with the order's history and published with its event: no secrets." maxLength:"500"`
}

type versionBody struct {
	Version *int `json:"version,omitempty" doc:"The version you read; or send If-Match." minimum:"0"`
}

type createInput struct{ Body createBody }

type editInput struct {
	ID   string `path:"id"`
	Body editBody
}

type submitInput struct {
	ID   string `path:"id"`
	Body *submitBody
}

type reasonInput struct {
	ID   string `path:"id"`
	Body *reasonBody
}

type redeliverInput struct {
	ID   string `path:"id"`
	Item string `path:"item"`
	Body *versionBody
}

type orderInput struct {
	ID string `path:"id"`
}

type listInput struct {
	Limit          int    `query:"limit" minimum:"1" maximum:"100" doc:"50 when not given."`
	Cursor         string `query:"cursor" maxLength:"512"`
	State          string `query:"state" enum:"draft,pending_payment,payment_confirmed,validating,provisioning,partially_fulfilled,fulfilled,cancelled,failed"`
	Outcome        string `query:"outcome" enum:"none,partial,full"`
	Settlement     string `query:"settlement" enum:"open,compensating,settled,stuck"`
	Product        string `query:"product" maxLength:"64"`
	CreatedAfter   string `query:"created_after" format:"date-time"`
	CreatedBefore  string `query:"created_before" format:"date-time"`
	Customer       string `query:"customer" format:"uuid" doc:"A member's id; operators only."`
	Reference      string `query:"payment_reference" maxLength:"128"`
	Query          string `query:"q" maxLength:"64" doc:"Beginning of a number, external id or label."`
	IncludeDeleted bool   `query:"include_deleted" doc:"Cancelled orders are hidden unless asked for; state=cancelled asks for them."`
}

func (s *server) orderRoutes() {
	const tag = "orders"
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders", ID: "create-order", Tag: tag, Summary: "Create a draft",
		Who: "customer; an operator may name another customer", Status: http.StatusCreated, Key: true, Errors: []int{409},
		Description: "A draft is the cart: it may be empty, is edited with PATCH and costs nothing until it is submitted. " +
			"Prices are fixed when an item is added or edited.",
	}, func(ctx context.Context, c app.Caller, in *createInput) (*app.Aggregate, error) {
		b := in.Body
		return s.useCases.CreateOrder(ctx, c, app.CreateOrder{
			ExternalID: b.ExternalID, Policy: b.Policy, Customer: b.CustomerID, Items: inputsOf(b.Items),
		})
	}, s.showCreated)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/orders", ID: "list-orders", Tag: tag, Summary: "List orders, newest first",
		Who:         "customer (own orders), auditor",
		Description: "Pages by cursor; there is no total count. The Link header names the next page.",
	}, func(ctx context.Context, c app.Caller, in *listInput) (app.Page[*app.Aggregate], error) {
		f, err := in.filter()
		if err != nil {
			return app.Page[*app.Aggregate]{}, err
		}
		return s.useCases.Orders(ctx, c, f)
	}, func(c app.Caller, p app.Page[*app.Aggregate]) reply[list[orderView]] {
		return page(p, func(agg *app.Aggregate) orderView { return s.viewOrder(c, agg) })
	})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/orders/{id}", ID: "get-order", Tag: tag, Summary: "Read an order",
		Who: "customer (own orders), auditor", Errors: []int{404},
		Description: "The order with its items' progress, what cancelling would do to each, and what you could do now. " +
			"Deleted orders answer too.",
	}, func(ctx context.Context, c app.Caller, in *orderInput) (*app.Aggregate, error) {
		return s.useCases.Order(ctx, c, idIn[order.Order](in.ID))
	}, s.showOrder)
	serve(s, route{
		Method: http.MethodPatch, Path: "/v1/orders/{id}", ID: "edit-order", Tag: tag, Summary: "Edit a draft",
		Who: "customer (own orders)", Key: true, Versioned: true, Errors: []int{404, 409, 428},
		Description: "Needs the version you read, as a member or as If-Match. `items` replaces the list; an item sent with " +
			"its id stays the one it was, and is priced anew only when something about it changed.",
	}, s.editOrder, s.showOrder)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/submit", ID: "submit-order", Tag: tag,
		Summary: "Order what is in the draft", Who: "customer (own orders)", Key: true,
		Versioned: true, Errors: []int{404, 409},
		Description: "Freezes prices and asks for payment. With `expected_total` an order that comes to more than one euro " +
			"more or less is refused.",
	}, s.submitOrder, s.showOrder)
	s.reasoned(route{
		Path: "/v1/orders/{id}/cancel", ID: "cancel-order", Summary: "Cancel an order", Who: "customer (own orders)",
		Description: "Before payment at once; after it with a full refund; while items are being built as a request: what " +
			"is not yet delivered is removed and refunded, what was delivered stays. A second cancel changes nothing.",
	}, s.useCases.CancelOrder)
	s.reasoned(route{
		Path: "/v1/orders/{id}/restore", ID: "restore-order", Summary: "Make a cancelled order a draft again",
		Who:         "customer (own orders)",
		Description: "Of a cancelled and settled order: same id and number, and a new payment is needed.",
	}, s.useCases.RestoreOrder)
	s.reasoned(route{
		Path: "/v1/orders/{id}/hold", ID: "hold-order", Summary: "Hold an order back before it is built", Who: "operator",
		Description: "Of a paid order whose provisioning has not begun.",
	}, s.useCases.HoldOrder)
	s.reasoned(route{
		Path: "/v1/orders/{id}/release", ID: "release-order", Summary: "Let a held order go on", Who: "operator",
		Description: "Validation begins at once.",
	}, s.useCases.ReleaseOrder)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/items/{item}/redeliver", ID: "redeliver-item", Tag: tag,
		Summary: "Send an item's credentials again", Who: "customer (own orders)", Key: true,
		Versioned: true, Errors: []int{404, 409},
		Description: "By encrypted mail, newly encrypted, to the address on file and nowhere else. At most 3 an hour and " +
			"10 a day for an item.",
	}, s.redeliver, s.showOrder)
}

// reasoned registers one of the use cases that take an order and a reason.
func (s *server) reasoned(rt route, verb func(context.Context, app.Caller, app.Reasoned) (*app.Aggregate, error)) {
	rt.Method, rt.Tag, rt.Key, rt.Versioned, rt.Errors = http.MethodPost, "orders", true, true, []int{404, 409}
	serve(s, rt, func(ctx context.Context, c app.Caller, in *reasonInput) (*app.Aggregate, error) {
		b := orZero(in.Body)
		return verb(ctx, c, app.Reasoned{
			Order: idIn[order.Order](in.ID), Precondition: requestFrom(ctx).precondition(b.Version), Reason: b.Reason,
		})
	}, s.showOrder)
}

func (s *server) editOrder(ctx context.Context, c app.Caller, in *editInput) (*app.Aggregate, error) {
	b := in.Body
	edit := app.EditOrder{
		Order: idIn[order.Order](in.ID), Precondition: requestFrom(ctx).precondition(b.Version), ExternalID: b.ExternalID,
		Policy: b.Policy,
	}
	if b.Items != nil {
		items := make([]app.ItemInput, len(*b.Items))
		for i, it := range *b.Items {
			items[i] = it.input()
		}
		edit.Items = &items
	}
	return s.useCases.EditOrder(ctx, c, edit)
}

func (s *server) submitOrder(ctx context.Context, c app.Caller, in *submitInput) (*app.Aggregate, error) {
	b := orZero(in.Body)
	submit := app.SubmitOrder{
		Order: idIn[order.Order](in.ID), Precondition: requestFrom(ctx).precondition(b.Version),
		PaymentMethod: b.PaymentMethod,
	}
	if b.ExpectedTotal != nil {
		total := b.ExpectedTotal.event()
		submit.ExpectedTotal = &total
	}
	return s.useCases.SubmitOrder(ctx, c, submit)
}

func (s *server) redeliver(ctx context.Context, c app.Caller, in *redeliverInput) (*app.Aggregate, error) {
	return s.useCases.Redeliver(ctx, c, app.Redeliver{
		Order: idIn[order.Order](in.ID), Item: idIn[order.Item](in.Item),
		Precondition: requestFrom(ctx).precondition(orZero(in.Body).Version),
	})
}

// idIn reads the id that a path names. What is no id names nothing: it becomes the id that no row has,
// so that rights are asked first and the answer is that for what is absent or another tenant's.
func idIn[T any](s string) id.Of[T] {
	v, err := id.Parse[T](s)
	if err != nil {
		return id.Of[T]{}
	}
	return v
}

// orZero is what an absent body says.
func orZero[T any](body *T) T {
	if body == nil {
		var zero T
		return zero
	}
	return *body
}

// filter reads the query. The library has checked lists of values and lengths.
func (in *listInput) filter() (app.OrderFilter, error) {
	f := app.OrderFilter{
		Product: in.Product, Reference: in.Reference, Query: in.Query, Cursor: in.Cursor, Limit: limitOf(in.Limit),
	}
	f.State, _ = order.ParseState(in.State)
	f.Outcome = named(in.Outcome, order.OutcomeNone, order.OutcomePartial, order.OutcomeFull)
	f.Settlement = named(in.Settlement, order.SettlementOpen, order.SettlementCompensating, order.SettlementSettled,
		order.SettlementStuck)
	f.Deleted = in.IncludeDeleted || f.State == order.Cancelled
	var err error
	if f.CreatedAfter, err = timeParameter("created_after", in.CreatedAfter); err != nil {
		return f, err
	}
	if f.CreatedAfter.Unix() <= 0 {
		f.CreatedAfter = time.Time{} // ids carry times from 1970 on: before that it is no bound
	}
	if f.CreatedBefore, err = timeParameter("created_before", in.CreatedBefore); err != nil {
		return f, err
	}
	if in.Customer == "" {
		return f, nil
	}
	if f.Customer, err = id.Parse[tenant.Member](in.Customer); err != nil {
		return f, badParameter("customer", "This must be an id: a UUID.", "uuid")
	}
	return f, nil
}

// named finds the value of a name, or nil when none was asked for.
func named[T interface{ String() string }](name string, values ...T) *T {
	for _, v := range values {
		if name != "" && v.String() == name {
			return &v
		}
	}
	return nil
}

func timeParameter(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, badParameter(name, "Write the time as in RFC 3339, such as 2026-01-31T12:00:00Z.", "date-time")
	}
	return t, nil
}
