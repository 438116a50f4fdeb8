package app

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// settle derives the order's state after items or refunds moved (order.Settle has the rules). A cancelled
// order is hidden from lists from then on (D9).
func (a *App) settle(d *Dossier, now time.Time, reason string) {
	a.finishUndone(d, now, reason)
	d.Order.Resettle(reason)
	if d.Order.State == order.Cancelled && d.Order.DeletedAt == nil {
		d.Order.DeletedAt = &now
	}
}

// finishUndone fires undone for every item whose clean-up is confirmed and whose refund was accepted,
// whichever came second (ADR 0011).
func (a *App) finishUndone(d *Dossier, now time.Time, reason string) {
	for i := range d.Order.Items {
		it := &d.Order.Items[i]
		if it.State != order.ItemCompensating {
			continue
		}
		u := d.ProvisionUnit(it.ID)
		r := d.Order.RefundOf(it.ID)
		if u == nil || u.State != fulfil.Closed || r == nil || !r.State.Accepted() {
			continue
		}
		if err := d.Order.MoveItem(it, order.Undone, order.ItemFact{}, reason); err == nil {
			d.Added.Destroyed = append(d.Added.Destroyed, it.ID)
			d.closeLetters(it.ID, now)
		}
	}
}
