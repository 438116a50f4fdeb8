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

// KeepReceipt is the Billing consumer. It stores a receipt of every event, in the transaction of its checkpoint, so
// the ledger alone shows what was received and refunded. It makes a refund due, or the checkout of a payment
// provider that confirms by itself (D20).
//
// When an order is cancelled or has failed, it checks that no paid money is left (D4): captured minus refunded equals
// the allocations of live items, and there are none. If not, it stores a finding and an incident for the operators.
// It never moves money.
func (a *App) KeepReceipt(ctx context.Context, ev event.Event) error {
	r, err := receiptOf(ev)
	if err != nil {
		return err
	}
	var unbalanced *money.Cents
	position := &InboxPosition{Consumer: string(event.Billing), Order: ev.Order, Seq: ev.Seq}
	err = a.Store.InTenant(ctx, ev.Tenant, With{Inbox: position}, func(tx Tx) error {
		unbalanced = nil
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
				unbalanced = &left
				agg.Added.Findings = append(agg.Added.Findings, BillingFinding{Seq: ev.Seq, Event: ev.ID, Balance: left})
				agg.incident(notice.ReceiptsDiffer, [16]byte(ev.ID), ev.At)
			}
		}
		agg.Added.Receipts = append(agg.Added.Receipts, r)
		if !a.dropFallbackWait(agg, ev, tx.Now(), fulfil.Refund) {
			a.dropFallbackWait(agg, ev, tx.Now(), fulfil.Checkout)
		}
		tx.Save(agg)
		return nil
	})
	if err == nil && unbalanced != nil {
		a.Log.ErrorContext(ctx, "the ledger of an order that ended does not balance: compare its payments and refunds",
			"tenant", ev.Tenant.String(), "order", ev.Order.String(), "event", ev.ID.String(), "left", int64(*unbalanced))
	}
	return err
}

// balanced reports whether captured minus refunded equals the allocations of live items, for each payment that was
// not reverted (D11).
func balanced(o *order.Order) bool {
	for _, pay := range o.Payments {
		if pay.State == order.PaymentReverted {
			continue
		}
		left, live := pay.Paid, money.Cents(0)
		for _, share := range pay.Allocations {
			if r := o.RefundUnder(pay.ID, share.Item); r != nil && r.State.Accepted() {
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

// receiptOf returns the receipt of an event. A payment counts as received until it is reverted. A refund counts once
// it is accepted, unless it fails later.
func receiptOf(ev event.Event) (Receipt, error) {
	r := Receipt{Seq: ev.Seq, Event: ev.ID, Type: ev.Type, At: ev.At, Amount: ev.Payload.Due}
	sign := int64(0)
	pay, refund := ev.Payload.Payment, ev.Payload.Refund
	switch {
	case ev.Type == order.EvPaymentConfirmed && pay != nil, ev.Type == order.EvPaymentReverted && pay != nil:
		r.Amount, r.Subject = pay.Amount, [16]byte(pay.ID)
		if ev.Type == order.EvPaymentConfirmed {
			sign = 1
		}
	case refund != nil:
		r.Amount, r.Subject, r.Item = refund.Amount, [16]byte(refund.ID), refund.ItemID
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
	r.Cents, r.Balance = cents, sign*int64(cents)
	return r, nil
}
