package app

import (
	"context"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// DeliverCredentials mails an item's credentials to the customer's address on file (D21). With a delivery key on
// file the mail is PGP/MIME; otherwise it has a password-encrypted attachment, whose passphrase the portal shows
// once. The item is delivered once the mail server has accepted the mail. It is sent at least once: after a lost
// answer it is sent again, with a new passphrase. A delivery that fails goes to the fallout desk and never starts
// a compensation (D21).
func (a *App) DeliverCredentials(
	ctx context.Context, t tenant.ID, taskID fulfil.TaskID,
) (wait time.Duration, err error) {
	return a.runSingleCall(ctx, t, taskID, a.sendDelivery)
}

func (a *App) sendDelivery(ctx context.Context, agg *Aggregate, task *fulfil.Task) (fulfil.Result, resultWriter) {
	it := agg.Order.Find(task.Item)
	if it == nil || it.State != order.ItemActive && it.State != order.ItemDelivered {
		return fulfil.Result{Class: fault.None, Note: "nothing to deliver"}, writeNothing
	}
	mail, del, err := a.deliveryMail(ctx, agg, task, it)
	if err != nil {
		a.Log.ErrorContext(ctx, "prepare a delivery", "order", agg.Order.ID.String(), "item", it.ID.String(), "error", err)
		return fulfil.Result{Class: fault.Retryable, Note: "the delivery could not be prepared"}, a.recordDelivery(del)
	}
	err = a.Mailer.SendDelivery(ctx, mail)
	res := fulfil.Result{Class: fault.None, Note: "accepted by the mail server"}
	if err != nil {
		res.Class = a.Mailer.Class(err)
		res.Note = "the mail server did not take the delivery: " + res.Class.String()
	}
	return res, a.recordDelivery(del)
}

func (a *App) deliveryMail(
	ctx context.Context, agg *Aggregate, task *fulfil.Task, it *order.Item,
) (DeliveryMail, Delivery, error) {
	o := agg.Order
	del := Delivery{ID: newID[Delivery](a), Item: it.ID, Recipient: agg.Customer.Email, State: DeliveryFailed}
	why := "delivery"
	if it.State == order.ItemDelivered {
		why = "re-delivery"
	}
	s := Sealing{Tenant: o.Tenant, Order: o.ID, Item: it.ID, Kind: "credential", Generation: it.Generation}
	secret, err := a.Credentials.Open(ctx, s, why, recipientOf(agg.Customer))
	if err != nil {
		return DeliveryMail{}, del, err
	}
	caps, _ := a.capabilities(agg.accountOf(it.ID))
	// One id per task and try, so a mail that is sent twice after a lost answer can be recognised.
	del.MessageID = fmt.Sprintf("delivery.%s.%d", task.ID, task.Try)
	m := DeliveryMail{
		To: del.Recipient, MessageID: del.MessageID, At: a.Clock.Now(), PublicKey: agg.Customer.DeliveryKey, Secret: secret,
		Language: agg.Settings.language(), Brand: agg.Settings.Name, OrderNumber: o.Number, Line: it.Line,
		Title: it.Snapshot.Title, Service: serviceName(it), PortalURL: a.PortalURL, Simulated: caps.Sim,
	}
	if len(m.PublicKey) > 0 {
		return m, del, nil
	}
	if m.Passphrase, err = a.Mailer.NewPassphrase(); err != nil {
		return DeliveryMail{}, del, err
	}
	sealing := Sealing{
		Tenant: o.Tenant, Order: o.ID, Item: it.ID, Kind: "passphrase:" + del.ID.String(), Generation: it.Generation,
	}
	del.PassphraseSealed, err = a.Sealer.Seal(ctx, sealing, []byte(m.Passphrase))
	return m, del, err
}

func serviceName(it *order.Item) string {
	if it.Label != "" {
		return it.Label + " (" + it.Snapshot.Title + ")"
	}
	return it.Snapshot.Title
}

// accountOf returns the account that builds an item, as its task records it, or "" before provisioning.
func (agg *Aggregate) accountOf(it order.ItemID) string {
	if task := agg.ProvisionTask(it); task != nil {
		return task.Queue
	}
	return ""
}

// recipientOf names the recipient in the access log, without personal data.
func recipientOf(m Member) string { return m.ID.String() }

// recordDelivery returns the resultWriter of a delivery.
func (a *App) recordDelivery(del Delivery) resultWriter {
	return func(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error {
		it := agg.Order.Find(task.Item)
		del.At = tx.Now()
		if m.Done {
			del.State = DeliveryAccepted
		}
		if m.Result.Class == fault.Ambiguous {
			del.State = DeliveryAsked // it may have arrived, so its passphrase is kept
		}
		if del.State == DeliveryFailed {
			del.PassphraseSealed = nil
		}
		agg.Added.Deliveries = append(agg.Added.Deliveries, del)
		switch {
		case m.Done:
			agg.closeDeliveryDeadLetters(it.ID, tx.Now())
			agg.Order.DeliveryStuck = agg.deliveryStuck() // another item's may be stuck; this task is closed
			if it.State == order.ItemActive {
				return agg.Order.MoveItem(it, order.Deliver, order.ItemFact{}, "")
			}
		case agg.Order.Closing != order.NotClosing && it.State == order.ItemActive && m.Result.Class != fault.Ambiguous:
			task.State = fulfil.Closed // cancelled while the mail was in flight, and the mail was refused
			a.compensate(agg, it, tx.Now(), "cancelled before it was delivered")
		case m.Dead:
			agg.Order.DeliveryStuck = true
			agg.addDeadLetter(a.newDeadLetter(agg, *task, m, tx.Now()))
		}
		return nil
	}
}

// closeDeliveryDeadLetters closes the dead letters of an item's deliveries, after one was accepted.
func (agg *Aggregate) closeDeliveryDeadLetters(it order.ItemID, now time.Time) {
	for i := range agg.DeadLetters {
		if l := &agg.DeadLetters[i]; l.Code == deadLetterCauses[fulfil.Deliver].code && l.Item == it && l.ClosedAt == nil {
			l.State, l.ClosedAt, l.Reason = DeadLetterClosed, &now, "a later delivery went through"
		}
	}
}
