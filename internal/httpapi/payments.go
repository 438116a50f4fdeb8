package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
)

type confirmBody struct {
	Version   *int       `json:"version,omitempty" doc:"The version you read; or send If-Match." minimum:"0"`
	Reference string     `json:"reference" doc:"The payment's own; recorded for ever, and the same one a second time changes nothing." minLength:"1" maxLength:"128"`
	Amount    amountView `json:"amount" doc:"What was really paid; up to one euro off what is due is accepted."`
	PaidAt    *time.Time `json:"paid_at,omitempty" doc:"Now when not given."`
	Method    string     `json:"method,omitempty" example:"bank_transfer" maxLength:"40"`
}

type confirmInput struct {
	ID   string `path:"id"`
	Body confirmBody
}

type revertBody struct {
	Version *int   `json:"version,omitempty" doc:"The version you read; or send If-Match." minimum:"0"`
	Reason  string `json:"reason" doc:"Kept with the payment's history and published with its event: no secrets." minLength:"1" maxLength:"500"`
}

type revertInput struct {
	ID   string `path:"id"`
	Body revertBody
}

func (s *server) moneyRoutes() {
	const tag = "payments"
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/payment/confirm", ID: "confirm-payment", Tag: tag,
		Summary: "Say that the money is in", Who: "operator, or a key scoped to payments:confirm", Key: true,
		Versioned: true, Errors: []int{404, 409},
		Description: "Records the payment, allocates it to the items to the cent and lets the order be built.",
	}, func(ctx context.Context, c app.Caller, in *confirmInput) (*app.Aggregate, error) {
		b := in.Body
		return s.useCases.ConfirmPayment(ctx, c, app.ConfirmPayment{
			Order: idIn[order.Order](in.ID), Precondition: requestFrom(ctx).precondition(b.Version), Reference: b.Reference,
			Amount: b.Amount.event(), PaidAt: orZero(b.PaidAt), Method: b.Method,
		})
	}, s.showOrder)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/payment/revert", ID: "revert-payment", Tag: tag,
		Summary: "Take a confirmation back", Who: "operator", Key: true, Versioned: true, Errors: []int{404, 409},
		Description: "Before provisioning has begun, and never after. The order asks for payment again.",
	}, func(ctx context.Context, c app.Caller, in *revertInput) (*app.Aggregate, error) {
		return s.useCases.RevertPayment(ctx, c, app.Reasoned{
			Order: idIn[order.Order](in.ID), Precondition: requestFrom(ctx).precondition(in.Body.Version),
			Reason: in.Body.Reason,
		})
	}, s.showOrder)
}
