package httpapi

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/order"
)

// orderView is an order as the API shows it. No answer of /v1 contains a credential, which is anything that gives
// access to a customer's service (D21).
type orderView struct {
	ID             string                 `json:"id" format:"uuid"`
	Number         string                 `json:"number" example:"ORD-7K3M9QXZ"`
	ExternalID     *string                `json:"external_id" doc:"Your own reference for the order."`
	CustomerID     string                 `json:"customer_id" format:"uuid"`
	State          string                 `json:"state" enum:"draft,pending_payment,payment_confirmed,validating,provisioning,partially_fulfilled,fulfilled,cancelled,failed"`
	Outcome        string                 `json:"outcome" enum:"none,partial,full" doc:"How much of the order was delivered."`
	Settlement     string                 `json:"settlement" enum:"open,compensating,settled,stuck" doc:"Whether all clean-up and refunds are done."`
	Closing        *string                `json:"closing" enum:"cancel,rejected" doc:"Why the order is being closed, until it is closed; null otherwise."`
	Version        int                    `json:"version"`
	Policy         string                 `json:"fulfillment_policy" enum:"per_item,all_or_nothing"`
	PaymentMethod  *string                `json:"payment_method"`
	Items          []itemView             `json:"items" nullable:"false"`
	Totals         totalsView             `json:"totals"`
	FX             *fxView                `json:"fx" doc:"The exchange rate of the order's prices; null if it is in EUR."`
	Payments       []paymentView          `json:"payments" nullable:"false"`
	Refunds        []refundView           `json:"refunds" nullable:"false"`
	Faults         []httpkit.ProblemFault `json:"faults" nullable:"false" doc:"The faults that validation found."`
	AllowedActions []string               `json:"allowed_actions" nullable:"false" doc:"The actions that you may take now."`
	StartsAt       *time.Time             `json:"starts_at" doc:"When validation begins, during the safety window; null otherwise."`
	HeldAt         *time.Time             `json:"held_at" doc:"When an operator put the order on hold; null if it is not on hold."`
	ExpiresAt      *time.Time             `json:"expires_at" doc:"When the unpaid order is cancelled automatically."`
	CreatedAt      time.Time              `json:"created_at"`
	UpdatedAt      time.Time              `json:"updated_at"`
	DeletedAt      *time.Time             `json:"deleted_at" doc:"When the order was hidden from lists. It can still be read."`
}

// TransformSchema documents the members that may be null.
func (*orderView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "fx")
}

type itemView struct {
	ID            string      `json:"id" format:"uuid"`
	Product       string      `json:"product" example:"vps"`
	Plan          *string     `json:"plan" example:"business"`
	Region        string      `json:"region" example:"lj-1"`
	Label         *string     `json:"label"`
	BillingCycle  string      `json:"billing_cycle" enum:"monthly,annual"`
	Configuration object      `json:"configuration"`
	State         string      `json:"state" enum:"pending,queued,provisioning,active,delivered,retry_wait,waiting_capacity,compensating,rolled_back,cancelled,stuck"`
	Progress      int         `json:"progress" minimum:"0" maximum:"100" doc:"In percent."`
	Detail        *string     `json:"detail" doc:"What is being done, in words."`
	Attempts      int         `json:"attempts" doc:"How many calls were made for the current step, of at most six."`
	NextRetryAt   *time.Time  `json:"next_retry_at" doc:"When the next call is made, if the item waits for it."`
	Price         priceView   `json:"price"`
	Allocation    *amountView `json:"allocation" doc:"The item's share of the payment, which is the exact amount of a refund; null before payment."`
	CancelEffect  string      `json:"cancel_effect" enum:"none,cancelled,rolled_back,kept,already_going,not_cancelable" doc:"What cancelling the order now would do to the item."`
}

// TransformSchema documents the members that may be null.
func (*itemView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "allocation")
}

type paymentView struct {
	ID        string     `json:"id" format:"uuid"`
	State     string     `json:"state" enum:"confirmed,reverted,refunded"`
	Provider  string     `json:"provider" example:"manual"`
	Method    *string    `json:"method" example:"bank_transfer"`
	Reference string     `json:"reference"`
	Amount    amountView `json:"amount" doc:"The amount that was paid."`
	Due       amountView `json:"due" doc:"The amount that was due."`
	PaidAt    time.Time  `json:"paid_at"`
}

type refundView struct {
	ID         string     `json:"id" format:"uuid"`
	PaymentID  string     `json:"payment_id" format:"uuid"`
	ItemID     string     `json:"item_id" format:"uuid"`
	State      string     `json:"state" enum:"requested,accepted,completed,stuck"`
	Amount     amountView `json:"amount"`
	Reference  *string    `json:"reference" doc:"The payment provider's reference, after it has accepted the refund."`
	AcceptedAt *time.Time `json:"accepted_at"`
}

// showOrder renders an order for its caller.
func (s *server) showOrder(c app.Caller, agg *app.Aggregate) reply[orderView] {
	return reply[orderView]{Body: s.viewOrder(c, agg), ETag: httpkit.ETag(agg.Order.Version)}
}

// showCreated renders a new order, with its Location.
func (s *server) showCreated(c app.Caller, agg *app.Aggregate) reply[orderView] {
	r := s.showOrder(c, agg)
	r.Location = "/v1/orders/" + agg.Order.ID.String()
	return r
}

func (s *server) viewOrder(c app.Caller, agg *app.Aggregate) orderView {
	o := agg.Order
	v := orderView{
		ID: o.ID.String(), Number: o.Number, ExternalID: orNull(o.ExternalID), CustomerID: o.Customer.String(),
		State: o.State.String(), Outcome: o.Outcome.String(), Settlement: o.Settlement.String(), Closing: closingOf(o),
		Version: o.Version, Policy: o.Policy.String(), PaymentMethod: orNull(o.Method),
		Totals: totalsOf(o.Totals(), o.Currency), FX: fxOf(o.FX),
		StartsAt: startsAt(agg), HeldAt: stampOr(o.HeldAt), ExpiresAt: stampOr(o.ExpiresAt),
		CreatedAt: stamp(o.CreatedAt), UpdatedAt: stamp(o.UpdatedAt), DeletedAt: stampOr(o.DeletedAt),
		Items: make([]itemView, len(o.Items)), Payments: make([]paymentView, len(o.Payments)),
		Refunds: make([]refundView, len(o.Refunds)), Faults: faultsOf(o.Faults), AllowedActions: []string{},
	}
	for i := range o.Items {
		v.Items[i] = viewItem(agg, &o.Items[i])
	}
	for i, p := range o.Payments {
		v.Payments[i] = paymentView{
			ID: p.ID.String(), State: p.State.String(), Provider: p.Provider, Method: orNull(p.Method), Reference: p.Reference,
			Amount: amountOf(p.Paid, p.Currency), Due: amountOf(p.Due, p.Currency), PaidAt: stamp(p.PaidAt),
		}
	}
	for i, r := range o.Refunds {
		v.Refunds[i] = viewRefund(r)
	}
	for _, a := range s.useCases.AllowedActions(c, agg) {
		v.AllowedActions = append(v.AllowedActions, string(a))
	}
	return v
}

func closingOf(o *order.Order) *string {
	if o.State.Terminal() {
		return nil
	}
	switch o.Closing {
	case order.ClosingCancel:
		return orNull("cancel")
	case order.ClosingRejected:
		return orNull("rejected")
	}
	return nil
}

func faultsOf(found []fault.Violation) []httpkit.ProblemFault {
	out := make([]httpkit.ProblemFault, len(found))
	for i, f := range found {
		out[i] = httpkit.FaultOf(f)
	}
	return out
}

// startsAt returns when validation begins, during the tenant's safety window (D12). Without a window there is
// nothing to show, because validation begins as soon as the payment is confirmed.
func startsAt(agg *app.Aggregate) *time.Time {
	task := agg.ValidateTask()
	if task == nil || agg.Order.State != order.PaymentConfirmed || agg.Order.HeldAt != nil ||
		agg.Settings.SafetyWindow == 0 {
		return nil
	}
	return stampOr(&task.NextAt)
}

func viewItem(agg *app.Aggregate, it *order.Item) itemView {
	s := it.Snapshot
	v := itemView{
		ID: it.ID.String(), Product: s.Product, Plan: orNull(s.Plan), Region: s.Region, Label: orNull(it.Label),
		BillingCycle: s.BillingCycle, Configuration: object(s.Configuration),
		State: it.State.String(), Progress: it.Progress, Detail: orNull(it.Detail),
		Price: priceOf(s.Lines, s.Monthly, it.Price, agg.Order.Currency), CancelEffect: string(agg.Order.CancelEffect(it)),
	}
	if p := agg.Order.LivePayment(); p != nil {
		share := amountOf(p.ShareOf(it.ID), p.Currency)
		v.Allocation = &share
	}
	if task := agg.ProvisionTask(it.ID); task != nil {
		v.Attempts = attempts(task)
		if waits(it, task) {
			v.NextRetryAt = stampOr(&task.NextAt)
		}
	}
	return v
}

// attempts returns how many calls were made for the current step of a task.
func attempts(task *fulfil.Task) int {
	if task.Epoch == 0 {
		return 0
	}
	return task.Try + 1
}

// waits reports whether the item waits for its next call.
func waits(it *order.Item, task *fulfil.Task) bool {
	switch it.State {
	case order.ItemRetryWait, order.ItemWaitingCapacity:
		return task.Live()
	case order.ItemCompensating:
		return task.Live() && task.Try > 0
	}
	return false
}
