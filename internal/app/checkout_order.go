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

// CheckoutOrder asks a payment provider that confirms by itself for the money of a submitted order.
// The confirmation comes back through its signed webhook, never as this call's answer (D28).
func (a *App) CheckoutOrder(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	return a.single(ctx, t, taskID, func(ctx context.Context, agg *Aggregate, _ *fulfil.Task) (fulfil.Result, apply) {
		o := agg.Order
		p, ok := a.Payments[o.Method]
		if o.State != order.PendingPayment || !ok {
			return fulfil.Result{Class: fault.None, Note: "no payment is awaited"}, noEffect
		}
		err := p.Checkout(ctx, payment.Checkout{
			Key: taskID.String(), Reference: reference(o), Amount: o.Due, Currency: o.Currency,
		})
		return paymentResult(err, "asked for payment"), func(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error {
			if m.Dead {
				agg.addDeadLetter(a.deadLetter(agg, *task, m, tx.Now()))
			}
			return nil
		}
	})
}

// reference is what we hand to a payment provider: it names tenant and order, so that a webhook needs
// no other way to find them.
func reference(o *order.Order) string { return o.Tenant.String() + "." + o.ID.String() }

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
