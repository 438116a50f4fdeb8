package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// NotifyCustomer mails one event's news to the customer: what happened, what it means for machines
// and money, what comes next. At least once; the message id is the event's.
func (a *App) NotifyCustomer(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (wait time.Duration, err error) {
	return a.single(ctx, t, unit, a.notify)
}

func (a *App) notify(ctx context.Context, d *Dossier, u *fulfil.Unit) (fulfil.Result, apply) {
	subject, text, ok := news(d, order.EventType(u.Detail))
	if !ok {
		return fulfil.Result{Class: fault.None, Note: "no news for the customer"}, nothing
	}
	err := a.Mailer.SendNotice(ctx, Notice{
		To: d.Customer.Email, MessageID: "notice." + u.Subject.String(), At: a.Clock.Now(),
		Subject: subject, Text: text, Brand: d.Settings.Name,
	})
	res := fulfil.Result{Class: fault.None, Note: "accepted by the mail server"}
	if err != nil {
		res.Class = a.Mailer.Class(err)
		res.Note = "the mail server did not take the notice: " + res.Class.String()
	}
	return res, func(tx Tx, d *Dossier, u *fulfil.Unit, m fulfil.Move) error {
		if m.Dead {
			d.Added.DeadLetters = append(d.Added.DeadLetters, a.letter(d, *u, m, tx.Now()))
		}
		return nil
	}
}

// news is the text for an event; false when the customer hears nothing of it. It names what was
// ordered and what it costs, never how to get in.
func news(d *Dossier, t order.EventType) (subject, text string, ok bool) {
	o := d.Order
	amount := func(c money.Cents) string { return money.Format(c, o.Currency) + " " + string(o.Currency) }
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	switch t {
	case order.EvPaymentConfirmed:
		subject = "Payment received for " + o.Number
		if p := o.LivePayment(); p != nil {
			line("Thank you: we received %s for order %s (reference %s).", amount(p.Paid), o.Number, p.Reference)
		} else {
			line("Thank you: we received your payment for order %s.", o.Number)
		}
		line("Your services are checked now and then built. Nothing is needed from you.")
	case order.EvProvisioningStarted:
		subject = "Work on " + o.Number + " has begun"
		line("Every item of order %s passed its checks and is being built.", o.Number)
	case order.EvFulfilled:
		subject = "Order " + o.Number + " is fulfilled"
		line("Everything that could be delivered of order %s is delivered; its access came in mails of their own.", o.Number)
	case order.EvCancelled:
		subject = "Order " + o.Number + " is cancelled"
		line("Order %s is cancelled. Nothing of it is left running.", o.Number)
	case order.EvFailed:
		subject = "Order " + o.Number + " could not be fulfilled"
		line("We could not build order %s. Nothing of it is left running, and what you paid is on its way back.", o.Number)
		for _, f := range o.Faults {
			line("  %s: %s", f.Pointer, f.Message)
		}
	case order.EvRefundRequested:
		subject = "A refund for " + o.Number
		line("A part of order %s is refunded because its service was not delivered:", o.Number)
	default:
		return "", "", false
	}
	line("")
	for _, it := range o.Items {
		name := it.Snapshot.Title
		if it.Label != "" {
			name = it.Label + " (" + name + ")"
		}
		line("  %d. %s in %s: %s", it.Line, name, it.Snapshot.Region, strings.ReplaceAll(it.State.String(), "_", " "))
		if r := o.RefundOf(it.ID); r != nil {
			line("     refund of %s: %s", amount(r.Cents), r.State)
		}
	}
	return subject, b.String(), true
}
