package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// DeadLetters lists what needs a person, newest first.
func (a *App) DeadLetters(ctx context.Context, c Caller, f DeadLetterFilter) (Page[DeadLetter], error) {
	if err := a.may(c.Actor, ReadDesk); err != nil {
		return Page[DeadLetter]{}, err
	}
	return a.Store.DeadLetters(ctx, c.Tenant, f)
}

// RedriveDeadLetter tries stuck work again: same step, fresh budget, a new epoch. It never provisions
// anew: an item that was going back goes on going back (docs/runbook.md).
func (a *App) RedriveDeadLetter(ctx context.Context, c Caller, l id.Of[DeadLetter], reason string) (DeadLetter, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return DeadLetter{}, err
	}
	if faults := textFaults("/reason", reason, maxReason); len(faults) > 0 {
		return DeadLetter{}, fault.Violated(faults)
	}
	return write(ctx, a, c, func(tx Tx) (DeadLetter, error) {
		d, open, u, err := a.stuckBehind(ctx, tx, c, l)
		if err != nil {
			return DeadLetter{}, err
		}
		if err := a.redrive(tx, d, u, reason); err != nil {
			return DeadLetter{}, err
		}
		now, voided := tx.Now(), ""
		if u.Kind == fulfil.Redo { // the letter stays parked until the event was applied
			if open.Abandonment.Awaits() {
				voided = "; a signature to abandon it is void"
			}
			open.Reason, open.Abandonment, open.Event.Redoing = orElse(reason, "tried again"), Abandonment{}, true
			d.decide(*open, now, "tried again by "+event.ActorText(c.Actor)+said(reason)+voided)
			tx.Save(d) // the order has not moved: no version, no event
			return *open, nil
		}
		voided = d.closeRedriven(u, l, reason, now)
		d.decide(*open, now, "tried again by "+event.ActorText(c.Actor)+said(reason)+voided)
		a.settle(d, now, reason)
		return *open, a.save(tx, d, c.cause())
	})
}

// closeRedriven takes a unit's letters off the desk, for it is being tried again: the same work may have
// failed on the way there and on the way back. It tells, for the record, whether that voids a signature.
func (d *Dossier) closeRedriven(u *fulfil.Unit, l id.Of[DeadLetter], reason string, now time.Time) (voided string) {
	for i := range d.Letters {
		if o := &d.Letters[i]; o.Unit == u.ID && (o.ID == l || o.Code == undoExhausted) {
			if o.Abandonment.Awaits() {
				voided = "; a signature to abandon it is void"
			}
			o.State, o.Reason, o.ClosedAt, o.Abandonment = LetterRedriven, orElse(reason, "tried again"), &now, Abandonment{}
		}
	}
	return voided
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (a *App) redrive(tx Tx, d *Dossier, u *fulfil.Unit, reason string) error {
	u.State, u.Epoch, u.Sent, u.Try, u.NextAt = fulfil.Queued, u.Epoch+1, false, 0, tx.Now()
	u.Deadline = time.Time{} // its next call starts a new one
	if it := d.Order.Find(u.Item); it != nil && it.State == order.ItemStuck {
		return d.Order.MoveItem(it, order.Redrive, order.ItemFact{}, reason)
	}
	if r := refundOf(d.Order, u); r != nil && r.State == order.RefundStuck {
		d.Order.MoveRefund(r, order.RefundRequested, "", tx.Now(), reason)
	}
	if u.Kind == fulfil.Deliver {
		d.Order.DeliveryStuck = d.deliveryStuck()
	}
	return nil
}

func (d *Dossier) openLetter(l id.Of[DeadLetter]) *DeadLetter {
	for i := range d.Letters {
		if d.Letters[i].ID == l && (d.Letters[i].State == LetterOpen || d.Letters[i].State == LetterParked) {
			return &d.Letters[i]
		}
	}
	return nil
}

// WorkItems lists the refunds an operator moves by hand.
func (a *App) WorkItems(ctx context.Context, c Caller, cursor string, limit int) (Page[WorkItem], error) {
	if err := a.may(c.Actor, ReadDesk); err != nil {
		return Page[WorkItem]{}, err
	}
	return a.Store.WorkItems(ctx, c.Tenant, cursor, limit)
}

// FinishWorkItem says that the money of a refund was moved by hand. A second time changes nothing. Only
// a payment that came by hand is given back by hand: a gateway says itself when its refund is through
// (D12, D28).
func (a *App) FinishWorkItem(ctx context.Context, c Caller, r order.RefundID, o order.ID, reason string) (*Dossier, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return nil, err
	}
	if faults := textFaults("/reason", reason, maxReason); len(faults) > 0 {
		return nil, fault.Violated(faults)
	}
	return a.onOrder(ctx, c, WorkDesk, o, Precondition{}, Also{}, func(tx Tx, d *Dossier) (bool, error) {
		for i := range d.Order.Refunds {
			ref := &d.Order.Refunds[i]
			if ref.ID != r {
				continue
			}
			if pay := paymentOf(d.Order, ref.Payment); pay == nil || pay.Provider != manualPayments {
				return false, fault.New(fault.KindConflict, "not-by-hand", "The money of this refund is not moved by hand: its payment provider sends it back and says so.")
			}
			if ref.State == order.RefundCompleted {
				return false, nil
			}
			if ref.State != order.RefundAccepted {
				return false, fault.New(fault.KindConflict, fault.CodeIllegalTransition, "This refund is %s; only an accepted one can be marked done.", ref.State)
			}
			d.Order.MoveRefund(ref, order.RefundCompleted, "", tx.Now(), reason)
			return true, nil
		}
		return false, fault.Absent()
	})
}
