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

// DeliverCredentials mails one item's access to its customer's address on file: as PGP/MIME when a key
// is on file, else as a password-encrypted attachment whose passphrase the portal shows once (D21).
// The item is delivered when the mail server accepted it. A failing delivery rolls nothing back: it
// ends on the fallout desk (D21). At least once: a lost answer is mailed again, with a new passphrase.
func (a *App) DeliverCredentials(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (wait time.Duration, err error) {
	return a.single(ctx, t, unit, a.deliver)
}

func (a *App) deliver(ctx context.Context, d *Dossier, u *fulfil.Unit) (fulfil.Result, apply) {
	it := d.Order.Find(u.Item)
	if it == nil || it.State != order.ItemActive && it.State != order.ItemDelivered {
		return fulfil.Result{Class: fault.None, Note: "nothing to deliver"}, noEffect
	}
	mail, del, err := a.deliveryMail(ctx, d, u, it)
	if err != nil {
		a.Log.ErrorContext(ctx, "prepare a delivery", "order", d.Order.ID.String(), "item", it.ID.String(), "error", err)
		return fulfil.Result{Class: fault.Retryable, Note: "the delivery could not be prepared"}, a.delivered(del)
	}
	err = a.Mailer.SendDelivery(ctx, mail)
	res := fulfil.Result{Class: fault.None, Note: "accepted by the mail server"}
	if err != nil {
		res.Class = a.Mailer.Class(err)
		res.Note = "the mail server did not take the delivery: " + res.Class.String()
	}
	return res, a.delivered(del)
}

func (a *App) deliveryMail(ctx context.Context, d *Dossier, u *fulfil.Unit, it *order.Item) (DeliveryMail, Delivery, error) {
	o := d.Order
	del := Delivery{ID: newID[Delivery](a), Item: it.ID, Recipient: d.Customer.Email, State: DeliveryFailed}
	why := "delivery"
	if it.State == order.ItemDelivered {
		why = "re-delivery"
	}
	s := Sealing{Tenant: o.Tenant, Order: o.ID, Item: it.ID, Kind: "credential", Generation: it.Generation}
	secret, err := a.Credentials.Open(ctx, s, why, recipientOf(d.Customer))
	if err != nil {
		return DeliveryMail{}, del, err
	}
	caps, _ := a.capabilities(d.queueOf(it.ID))
	// One address per attempt of one unit: a mail sent twice after a lost answer can be recognised.
	del.MessageID = fmt.Sprintf("delivery.%s.%d", u.ID, u.Try)
	m := DeliveryMail{To: del.Recipient, MessageID: del.MessageID, At: a.Clock.Now(), PublicKey: d.Customer.DeliveryKey, Secret: secret, Language: d.Settings.language(), Brand: d.Settings.Name, OrderNumber: o.Number, Line: it.Line, Title: it.Snapshot.Title, Service: serviceName(it), PortalURL: a.PortalURL, Simulated: caps.Sim}
	if len(m.PublicKey) > 0 {
		return m, del, nil
	}
	if m.Passphrase, err = a.Mailer.NewPassphrase(); err != nil {
		return DeliveryMail{}, del, err
	}
	sealing := Sealing{Tenant: o.Tenant, Order: o.ID, Item: it.ID, Kind: "passphrase:" + del.ID.String(), Generation: it.Generation}
	del.PassphraseSealed, err = a.Sealer.Seal(ctx, sealing, []byte(m.Passphrase))
	return m, del, err
}

func serviceName(it *order.Item) string {
	if it.Label != "" {
		return it.Label + " (" + it.Snapshot.Title + ")"
	}
	return it.Snapshot.Title
}

func (d *Dossier) queueOf(it order.ItemID) string {
	if u := d.ProvisionUnit(it); u != nil {
		return u.Queue
	}
	return ""
}

// recipientOf names a recipient in the access log without being a secret.
func recipientOf(m Member) string { return m.ID.String() }

// delivered writes what became of a delivery.
func (a *App) delivered(del Delivery) apply {
	return func(tx Tx, d *Dossier, u *fulfil.Unit, m fulfil.Move) error {
		it := d.Order.Find(u.Item)
		del.At = tx.Now()
		if m.Done {
			del.State = DeliveryAccepted
		}
		if m.Result.Class == fault.Ambiguous {
			del.State = DeliveryAsked // it may have arrived: its passphrase stays
		}
		if del.State == DeliveryFailed {
			del.PassphraseSealed = nil
		}
		d.Added.Deliveries = append(d.Added.Deliveries, del)
		switch {
		case m.Done:
			d.closeDeliveryLetters(it.ID, tx.Now())
			d.Order.DeliveryStuck = d.deliveryStuck() // of another item: this unit is over
			if it.State == order.ItemActive {
				return d.Order.MoveItem(it, order.Deliver, order.ItemFact{}, "")
			}
		case d.Order.Closing != order.NotClosing && it.State == order.ItemActive && m.Result.Class != fault.Ambiguous:
			u.State = fulfil.Closed // cancelled while its mail was under way, and the mail was refused
			a.turnBack(d, it, tx.Now(), "cancelled before it was delivered")
		case m.Dead:
			d.Order.DeliveryStuck = true
			d.addLetter(a.letter(d, *u, m, tx.Now()))
		}
		return nil
	}
}

// closeDeliveryLetters closes what stands on the desk about an item's deliveries: a later one went
// through.
func (d *Dossier) closeDeliveryLetters(it order.ItemID, now time.Time) {
	for i := range d.Letters {
		if l := &d.Letters[i]; l.Code == causes[fulfil.Deliver].code && l.Item == it && l.ClosedAt == nil {
			l.State, l.ClosedAt, l.Reason = LetterClosed, &now, "a later delivery went through"
		}
	}
}
