package app

import (
	"context"
	"fmt"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
)

// KeepReceipt is the Billing consumer. Of every event it hears it keeps a receipt, in the transaction of
// its mark, so that the ledger alone says what was received and given back. It pulls a refund, or the
// checkout of a payment provider that confirms by itself, to now (D20). Of an order that was cancelled or
// has failed it checks that nothing of what was paid is left (D4): captured - refunded = allocations of live
// items, of which there are none. Where that is not so it raises an alarm and starts nothing.
func (a *App) KeepReceipt(ctx context.Context, ev event.Event) error {
	r, err := receiptOf(ev)
	if err != nil {
		return err
	}
	var wrong *money.Cents
	position := &InboxPosition{Consumer: string(event.Billing), Order: ev.Order, Seq: ev.Seq}
	err = a.Store.InTenant(ctx, ev.Tenant, With{Inbox: position}, func(tx Tx) error {
		wrong = nil
		agg, err := tx.LockOrder(ctx, ev.Order, Also{})
		if err != nil {
			return err
		}
		if ev.Type == order.EvCancelled || ev.Type == order.EvFailed {
			left, err := tx.Ledger(ctx, ev.Order)
			if err != nil {
				return err
			}
			if left != 0 || !balanced(agg.Order) {
				wrong = &left
				agg.Added.Findings = append(agg.Added.Findings, BillingFinding{Seq: ev.Seq, Event: ev.ID, Left: left})
				agg.incident(notice.BooksDiffer, [16]byte(ev.ID), ev.At)
			}
		}
		agg.Added.Receipts = append(agg.Added.Receipts, r)
		if !a.pull(agg, ev, tx.Now(), fulfil.Refund) {
			a.pull(agg, ev, tx.Now(), fulfil.Checkout)
		}
		tx.Save(agg)
		return nil
	})
	if err == nil && wrong != nil {
		a.Log.ErrorContext(ctx, "the books of an order that ended do not agree: compare its payments and refunds", "tenant",
			ev.Tenant.String(), "order", ev.Order.String(), "event", ev.ID.String(), "left", int64(*wrong))
	}
	return err
}

// balanced reports whether captured - refunded = allocations of live items, over all payments that were not
// reverted (D11).
func balanced(o *order.Order) bool {
	for _, p := range o.Payments {
		if p.State == order.PaymentReverted {
			continue
		}
		left, live := p.Paid, money.Cents(0)
		for _, share := range p.Allocations {
			if r := o.RefundUnder(p.ID, share.Item); r != nil && r.State.Accepted() {
				left -= r.Cents
			} else {
				live += share.Cents
			}
		}
		if left != live {
			return false
		}
	}
	return true
}

// receiptOf reads what an event says of money. A payment stands as received until it is reverted, a refund
// as given back once it is accepted, unless it fails after all.
func receiptOf(ev event.Event) (Receipt, error) {
	r := Receipt{Seq: ev.Seq, Event: ev.ID, Type: ev.Type, At: ev.At, Amount: ev.Payload.Due}
	sign := int64(0)
	p, back := ev.Payload.Payment, ev.Payload.Refund
	switch {
	case ev.Type == order.EvPaymentConfirmed && p != nil, ev.Type == order.EvPaymentReverted && p != nil:
		r.Amount, r.Subject = p.Amount, [16]byte(p.ID)
		if ev.Type == order.EvPaymentConfirmed {
			sign = 1
		}
	case back != nil:
		r.Amount, r.Subject, r.Item = back.Amount, [16]byte(back.ID), back.ItemID
		if ev.Type == order.EvRefundAccepted || ev.Type == order.EvRefundCompleted {
			sign = -1
		}
	case ev.Payload.Item != nil:
		if r.Item = ev.Payload.Item.ID; ev.Payload.Item.Billing != nil {
			r.Amount = ev.Payload.Item.Billing.Due
		}
	}
	cents, err := money.ParseDecimal(r.Amount.Amount, r.Amount.Currency)
	if err != nil {
		return Receipt{}, fmt.Errorf("read the amount of event %d (%s) of order %s: %w", ev.Seq, ev.Type, ev.Order, err)
	}
	r.Cents, r.Stands = cents, sign*int64(cents)
	return r, nil
}
