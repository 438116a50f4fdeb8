package app

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// settle derives the order's state after items or refunds moved, by the rules of order.Settle. A cancelled order
// is hidden from lists (D9).
func (a *App) settle(agg *Aggregate, now time.Time, reason string) {
	a.finishCompensated(agg, now, reason)
	agg.Order.Resettle(reason)
	if agg.Order.State == order.Cancelled && agg.Order.DeletedAt == nil {
		agg.Order.DeletedAt = &now
	}
}

// finishCompensated ends the compensation of every item whose resources are confirmed gone and whose refund is
// accepted, whichever happened last (ADR 0011).
func (a *App) finishCompensated(agg *Aggregate, now time.Time, reason string) {
	for i := range agg.Order.Items {
		it := &agg.Order.Items[i]
		if it.State != order.ItemCompensating {
			continue
		}
		task := agg.ProvisionTask(it.ID)
		r := agg.Order.RefundOf(it.ID)
		if task == nil || task.State != fulfil.Closed || r == nil || !r.State.Accepted() {
			continue
		}
		if err := agg.Order.MoveItem(it, order.Compensated, order.ItemFact{}, reason); err == nil {
			agg.Added.Destroyed = append(agg.Added.Destroyed, it.ID)
			agg.closeDeadLetters(it.ID, now)
		}
	}
}
