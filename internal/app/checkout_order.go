package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// CheckoutOrder asks a payment provider that confirms by itself to collect the payment of a submitted order. The
// confirmation arrives through the provider's signed webhook, never as the answer of this call (D28).
func (a *App) CheckoutOrder(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	checkout := func(ctx context.Context, agg *Aggregate, _ *fulfil.Task) (fulfil.Result, resultWriter) {
		o := agg.Order
		p, ok := a.Payments[o.Method]
		if o.State != order.PendingPayment || !ok {
			return fulfil.Result{Class: fault.None, Note: "no payment is awaited"}, writeNothing
		}
		err := p.Checkout(ctx, payment.Checkout{
			Key: taskID.String(), Reference: paymentReference(o), Amount: o.Due, Currency: o.Currency,
		})
		return paymentResult(err, "asked for payment"), func(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error {
			if m.Dead {
				agg.addDeadLetter(a.newDeadLetter(agg, *task, m, tx.Now()))
			}
			return nil
		}
	}
	return a.runSingleCall(ctx, t, taskID, checkout)
}

// paymentReference returns the reference that a payment provider gets. It names the tenant and the order, so a
// webhook can be matched without a look-up.
func paymentReference(o *order.Order) string { return o.Tenant.String() + "." + o.ID.String() }

func parseReference(s string) (tenant.ID, order.ID, error) {
	t, o, ok := strings.Cut(s, ".")
	if !ok {
		return tenant.ID{}, order.ID{}, fmt.Errorf("reference has no order")
	}
	tid, err := id.Parse[tenant.Tenant](t)
	if err != nil {
		return tid, order.ID{}, err
	}
	oid, err := id.Parse[order.Order](o)
	return tid, oid, err
}
