package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
)

type confirmPaymentBody struct {
	Version   *int       `json:"version,omitempty" doc:"The version that you read. You may send If-Match instead." minimum:"0"`
	Reference string     `json:"reference" doc:"The reference of the payment. It is stored for ever; sending the same one again changes nothing." minLength:"1" maxLength:"128"`
	Amount    amountView `json:"amount" doc:"The amount that was paid. A difference of up to one euro from the amount due is accepted."`
	PaidAt    *time.Time `json:"paid_at,omitempty" doc:"The current time if it is not sent."`
	Method    string     `json:"method,omitempty" example:"bank_transfer" maxLength:"40"`
}

type confirmPaymentInput struct {
	ID   string `path:"id"`
	Body confirmPaymentBody
}

type revertPaymentBody struct {
	Version *int   `json:"version,omitempty" doc:"The version that you read. You may send If-Match instead." minimum:"0"`
	Reason  string `json:"reason" doc:"Stored in the payment's history and published with the event, so it must contain no secrets." minLength:"1" maxLength:"500"`
}

type revertPaymentInput struct {
	ID   string `path:"id"`
	Body revertPaymentBody
}

func (s *server) paymentRoutes() {
	const tag = "payments"
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/payment/confirm", ID: "confirm-payment", Tag: tag,
		Summary: "Confirm a payment", Who: "operator, or a key with the scope payments:confirm", Key: true,
		Versioned: true, Errors: []int{404, 409},
		Description: "Records the payment, allocates it to the items to the cent, and starts validation and provisioning.",
	}, func(ctx context.Context, c app.Caller, in *confirmPaymentInput) (*app.Aggregate, error) {
		b := in.Body
		return s.useCases.ConfirmPayment(ctx, c, app.ConfirmPayment{
			Order: idIn[order.Order](in.ID), Precondition: requestFrom(ctx).precondition(b.Version), Reference: b.Reference,
			Amount: b.Amount.event(), PaidAt: orZero(b.PaidAt), Method: b.Method,
		})
	}, s.showOrder)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/payment/revert", ID: "revert-payment", Tag: tag,
		Summary: "Revert a payment", Who: "operator", Key: true, Versioned: true, Errors: []int{404, 409},
		Description: "Only before provisioning has begun. The order then waits for payment again.",
	}, func(ctx context.Context, c app.Caller, in *revertPaymentInput) (*app.Aggregate, error) {
		return s.useCases.RevertPayment(ctx, c, app.Reasoned{
			Order: idIn[order.Order](in.ID), Precondition: requestFrom(ctx).precondition(in.Body.Version),
			Reason: in.Body.Reason,
		})
	}, s.showOrder)
}
