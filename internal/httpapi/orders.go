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

// newItemBody is an item as a customer configures it. The schema checks only its form; the catalogue checks
// whether the product accepts it.
type newItemBody struct {
	Product       string `json:"product" doc:"The id of a product in the catalogue." example:"vps" maxLength:"64"`
	Plan          string `json:"plan,omitempty" doc:"The plan, for products that have plans." example:"business" maxLength:"64"`
	Region        string `json:"region" example:"lj-1" maxLength:"64"`
	BillingCycle  string `json:"billing_cycle" doc:"monthly or annual. A year costs twelve months less 20 %." example:"monthly" maxLength:"16"`
	Label         string `json:"label,omitempty" doc:"Your own name for the item." example:"web-1" maxLength:"63"`
	Configuration object `json:"configuration,omitempty" doc:"It must match the product's JSON Schema in the catalogue."`
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

// editedItemBody is an item of an edited draft. An item with an id keeps the one of the draft that has this id (D27).
type editedItemBody struct {
	ID            string `json:"id,omitempty" doc:"The item of the draft to keep. Without it the item is new." format:"uuid"`
	Product       string `json:"product" doc:"The id of a product in the catalogue." example:"vps" maxLength:"64"`
	Plan          string `json:"plan,omitempty" doc:"The plan, for products that have plans." example:"business" maxLength:"64"`
	Region        string `json:"region" example:"lj-1" maxLength:"64"`
	BillingCycle  string `json:"billing_cycle" doc:"monthly or annual. A year costs twelve months less 20 %." example:"monthly" maxLength:"16"`
	Label         string `json:"label,omitempty" doc:"Your own name for the item." example:"web-1" maxLength:"63"`
	Configuration object `json:"configuration,omitempty" doc:"It must match the product's JSON Schema in the catalogue."`
}

func (b editedItemBody) input() app.ItemInput {
	in := newItemBody{
		Product: b.Product, Plan: b.Plan, Region: b.Region, BillingCycle: b.BillingCycle, Label: b.Label,
		Configuration: b.Configuration,
	}.input()
	in.ID = b.ID
	return in
}

type createOrderBody struct {
	ExternalID string        `json:"external_id,omitempty" doc:"Your own reference for the order, unique in your organisation. A second order with it is always refused." example:"po-4711" maxLength:"64"`
	Policy     string        `json:"fulfillment_policy,omitempty" doc:"What happens to the other items if one cannot be provisioned: per_item (the default) or all_or_nothing." example:"per_item" maxLength:"32"`
	CustomerID string        `json:"customer_id,omitempty" doc:"The member that the order is for. Only operators may send it." format:"uuid"`
	Items      []newItemBody `json:"items,omitempty" maxItems:"100" nullable:"false" doc:"It may be empty, because a draft is a cart."`
}

type editOrderBody struct {
	Version    *int              `json:"version,omitempty" doc:"The version that you read. You may send If-Match instead." minimum:"0"`
	ExternalID *string           `json:"external_id,omitempty" maxLength:"64"`
	Policy     *string           `json:"fulfillment_policy,omitempty" maxLength:"32"`
	Items      *[]editedItemBody `json:"items,omitempty" maxItems:"100" nullable:"false" doc:"Replaces all items."`
}

type submitOrderBody struct {
	Version       *int        `json:"version,omitempty" doc:"The version that you read. You may send If-Match instead." minimum:"0"`
	ExpectedTotal *amountView `json:"expected_total,omitempty" doc:"The total that you saw. A difference of more than one euro is refused."`
	PaymentMethod string      `json:"payment_method,omitempty" doc:"Your organisation's setting if it is not sent." maxLength:"32"`
}

type reasonedBody struct {
	Version *int   `json:"version,omitempty" doc:"The version that you read. You may send If-Match instead." minimum:"0"`
	Reason  string `json:"reason,omitempty" doc:"Stored in the order's history and published with the event, so it must contain no secrets." maxLength:"500"`
}

type versionBody struct {
	Version *int `json:"version,omitempty" doc:"The version that you read. You may send If-Match instead." minimum:"0"`
}

type createOrderInput struct{ Body createOrderBody }

type editOrderInput struct {
	ID   string `path:"id"`
	Body editOrderBody
}

type submitOrderInput struct {
	ID   string `path:"id"`
	Body *submitOrderBody
}

type reasonedInput struct {
	ID   string `path:"id"`
	Body *reasonedBody
}

type redeliverInput struct {
	ID   string `path:"id"`
	Item string `path:"item"`
	Body *versionBody
}

type orderInput struct {
	ID string `path:"id"`
}

type listOrdersInput struct {
	Limit          int    `query:"limit" minimum:"1" maximum:"100" doc:"50 if it is not sent."`
	Cursor         string `query:"cursor" maxLength:"512"`
	State          string `query:"state" enum:"draft,pending_payment,payment_confirmed,validating,provisioning,partially_fulfilled,fulfilled,cancelled,failed"`
	Outcome        string `query:"outcome" enum:"none,partial,full"`
	Settlement     string `query:"settlement" enum:"open,compensating,settled,stuck"`
	Product        string `query:"product" maxLength:"64"`
	CreatedAfter   string `query:"created_after" format:"date-time"`
	CreatedBefore  string `query:"created_before" format:"date-time"`
	Customer       string `query:"customer" format:"uuid" doc:"A member's id. Only operators may send it."`
	Reference      string `query:"payment_reference" maxLength:"128"`
	Query          string `query:"q" maxLength:"64" doc:"The beginning of an order number, an external id or a label."`
	IncludeDeleted bool   `query:"include_deleted" doc:"Cancelled orders are hidden unless this is true or state is cancelled."`
}

func (s *server) orderRoutes() {
	const tag = "orders"
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders", ID: "create-order", Tag: tag, Summary: "Create a draft",
		Who: "customer; an operator may name another customer", Status: http.StatusCreated, Key: true, Errors: []int{409},
		Description: "A draft is a cart. It may be empty, is edited with PATCH, and costs nothing until it is submitted. " +
			"The price of an item is fixed when the item is added or edited.",
	}, func(ctx context.Context, c app.Caller, in *createOrderInput) (*app.Aggregate, error) {
		b := in.Body
		return s.useCases.CreateOrder(ctx, c, app.CreateOrder{
			ExternalID: b.ExternalID, Policy: b.Policy, Customer: b.CustomerID, Items: inputsOf(b.Items),
		})
	}, s.showCreated)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/orders", ID: "list-orders", Tag: tag, Summary: "List orders, newest first",
		Who:         "customer (own orders), auditor",
		Description: "The list is paged by cursor and has no total count. The Link header names the next page.",
	}, func(ctx context.Context, c app.Caller, in *listOrdersInput) (app.Page[*app.Aggregate], error) {
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
		Description: "The order with the progress of its items, what cancelling would do to each, and the actions that " +
			"you may take now. Orders that are hidden from lists can be read too.",
	}, func(ctx context.Context, c app.Caller, in *orderInput) (*app.Aggregate, error) {
		return s.useCases.Order(ctx, c, idIn[order.Order](in.ID))
	}, s.showOrder)
	serve(s, route{
		Method: http.MethodPatch, Path: "/v1/orders/{id}", ID: "edit-order", Tag: tag, Summary: "Edit a draft",
		Who: "customer (own orders)", Key: true, Versioned: true, Errors: []int{404, 409, 428},
		Description: "Needs the version that you read, as a member or as If-Match. `items` replaces all items. An item " +
			"that is sent with its id is kept, and gets a new price only if it has changed.",
	}, s.editOrder, s.showOrder)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/submit", ID: "submit-order", Tag: tag,
		Summary: "Submit a draft", Who: "customer (own orders)", Key: true,
		Versioned: true, Errors: []int{404, 409},
		Description: "Fixes the prices and asks for payment. With `expected_total`, an order whose total differs from it " +
			"by more than one euro is refused.",
	}, s.submitOrder, s.showOrder)
	s.reasoned(route{
		Path: "/v1/orders/{id}/cancel", ID: "cancel-order", Summary: "Cancel an order", Who: "customer (own orders)",
		Description: "Before payment, the order is cancelled at once; after it, with a full refund. While items are being " +
			"provisioned, cancelling is a request: items that are not delivered yet are removed and refunded, and " +
			"delivered items stay. Cancelling a second time changes nothing.",
	}, s.useCases.CancelOrder)
	s.reasoned(route{
		Path: "/v1/orders/{id}/restore", ID: "restore-order", Summary: "Make a cancelled order a draft again",
		Who:         "customer (own orders)",
		Description: "The order must be cancelled and settled. It keeps its id and number, and needs a new payment.",
	}, s.useCases.RestoreOrder)
	s.reasoned(route{
		Path: "/v1/orders/{id}/hold", ID: "hold-order", Summary: "Put an order on hold", Who: "operator",
		Description: "The order must be paid, and its provisioning must not have begun.",
	}, s.useCases.HoldOrder)
	s.reasoned(route{
		Path: "/v1/orders/{id}/release", ID: "release-order", Summary: "Release an order that is on hold", Who: "operator",
		Description: "Validation begins at once.",
	}, s.useCases.ReleaseOrder)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/items/{item}/redeliver", ID: "redeliver-item", Tag: tag,
		Summary: "Send an item's credentials again", Who: "customer (own orders)", Key: true,
		Versioned: true, Errors: []int{404, 409},
		Description: "They are encrypted again and mailed to the customer's stored address only. At most 3 times an hour " +
			"and 10 times a day for each item.",
	}, s.redeliver, s.showOrder)
}

// reasoned registers a route for a use case that takes an order and a reason.
func (s *server) reasoned(
	rt route, useCase func(context.Context, app.Caller, app.Reasoned) (*app.Aggregate, error),
) {
	rt.Method, rt.Tag, rt.Key, rt.Versioned, rt.Errors = http.MethodPost, "orders", true, true, []int{404, 409}
	serve(s, rt, func(ctx context.Context, c app.Caller, in *reasonedInput) (*app.Aggregate, error) {
		b := orZero(in.Body)
		return useCase(ctx, c, app.Reasoned{
			Order: idIn[order.Order](in.ID), Precondition: requestFrom(ctx).precondition(b.Version), Reason: b.Reason,
		})
	}, s.showOrder)
}

func (s *server) editOrder(ctx context.Context, c app.Caller, in *editOrderInput) (*app.Aggregate, error) {
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

func (s *server) submitOrder(ctx context.Context, c app.Caller, in *submitOrderInput) (*app.Aggregate, error) {
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

// idIn returns the id in a path. A text that is not an id becomes the zero id, which no row has. So the use case
// checks the permission first, and the answer is the same as for what is absent or another tenant's.
func idIn[T any](s string) id.Of[T] {
	v, err := id.Parse[T](s)
	if err != nil {
		return id.Of[T]{}
	}
	return v
}

// orZero returns a body, or the zero value if there is none.
func orZero[T any](body *T) T {
	if body == nil {
		var zero T
		return zero
	}
	return *body
}

// filter returns the filter of the query. The library has checked enumerations and lengths.
func (in *listOrdersInput) filter() (app.OrderFilter, error) {
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
		f.CreatedAfter = time.Time{} // an id carries a time from 1970 on, so an earlier time is no bound
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

// named returns the value that has a name, or nil if there is no such value.
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
