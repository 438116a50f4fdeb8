package app

import (
	"context"
	"fmt"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// commit writes one move of a worker under the order's lock. It returns ErrFenced, and writes nothing, when
// the unit is no longer at the epoch that the move was made from. apply writes what the move means for the
// order; then the order's state is derived again, so that the commit that closes the last item or refund
// settles the order.
func (a *App) commit(
	ctx context.Context, from fulfil.Unit, m fulfil.Move, apply func(tx Tx, d *Dossier, u *fulfil.Unit) error,
) (*Dossier, error) {
	unlock, err := a.orders.Lock(ctx, m.Unit.Order)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var done *Dossier
	err = a.Store.InTenant(ctx, m.Unit.Tenant, With{}, func(tx Tx) error {
		d, err := tx.LockOrder(ctx, m.Unit.Order, Also{Parts: true})
		if err != nil {
			return err
		}
		u := d.Unit(m.Unit.ID)
		if u == nil || u.Epoch != m.Unit.Epoch-1 || !u.Live() {
			return ErrFenced
		}
		*u = m.Unit
		d.Added.Log = append(d.Added.Log, a.logOf(from, m))
		before := d.Order.LastSeq
		if err := apply(tx, d, u); err != nil {
			return err
		}
		a.settle(d, tx.Now(), m.Result.Note)
		by := causedBy(d, m.Unit)
		if d.Order.LastSeq != before {
			err = a.save(tx, d, by)
		} else {
			tx.Save(d) // progress only: no new version, no event
		}
		done = d
		return err
	})
	return done, err
}

// logOf is the line of the saga record that a move leaves.
func (a *App) logOf(from fulfil.Unit, m fulfil.Move) LogEntry {
	l := LogEntry{
		Unit: m.Unit.ID, At: m.Result.At, Part: stepName(from), What: LogAnswer, Class: m.Result.Class,
		Note: m.Result.Note, Took: m.Result.Took,
	}
	if m.Unit.Sent && !from.Sent {
		l.What = LogIntent
	}
	if m.Item == order.Unrecoverable {
		l.What = LogTurned
	}
	if m.Unit.Live() && m.Unit.NextAt.After(m.Result.At) {
		l.Next = m.Unit.NextAt
	}
	return l
}

// causedBy is the cause of what a unit's work records.
func causedBy(d *Dossier, u fulfil.Unit) event.Cause {
	return event.Cause{Actor: tenant.System(d.Order.Tenant, "worker"), Event: u.Cause}
}

// commitProvision writes a move of an item's provisioning.
func (a *App) commitProvision(ctx context.Context, from fulfil.Unit, m fulfil.Move) (*Dossier, error) {
	return a.commit(ctx, from, m, func(tx Tx, d *Dossier, u *fulfil.Unit) error {
		it := d.Order.Find(u.Item)
		if it == nil {
			return fmt.Errorf("unit %s has no item", u.ID)
		}
		if m.Result.Judged {
			d.believe(from, m.Result.Ref)
		} else {
			a.journal(d, from, m)
		}
		if u.Progress > it.Progress && !u.Undoing {
			it.Progress = min(u.Progress, 99) // 100 is kept for active
		}
		if it.Detail = u.Detail; u.Undoing {
			it.Detail = "removing what was built"
		}
		if m.Corpse {
			it.Generation++
		}
		if m.Dead {
			d.addLetter(a.letter(d, from, m, tx.Now()))
		}
		return a.moveItem(tx, d, it, u, m)
	})
}

// moveItem moves the item as the result of its unit says.
func (a *App) moveItem(tx Tx, d *Dossier, it *order.Item, u *fulfil.Unit, m fulfil.Move) error {
	o, note := d.Order, m.Result.Note
	switch m.Item {
	case 0:
	case order.Start:
		if it.State == order.ItemQueued || it.State == order.ItemRetryWait || it.State == order.ItemWaitingCapacity {
			return o.MoveItem(it, order.Start, order.ItemFact{}, "")
		}
	case order.Ready:
		if len(m.Result.Sealed) > 0 {
			d.Added.Credentials = append(d.Added.Credentials,
				SealedCredential{Item: it.ID, Generation: it.Generation, Sealed: m.Result.Sealed})
		}
		it.Detail = ""
		return o.MoveItem(it, order.Ready, order.ItemFact{}, "")
	case order.CallFailed:
		return o.MoveItem(it, order.CallFailed, order.ItemFact{Attempt: u.Try}, note)
	case order.NoCapacity:
		return o.MoveItem(it, order.NoCapacity, order.ItemFact{}, note)
	case order.Unrecoverable:
		return a.giveUpItem(d, it, tx.Now(), note)
	case order.UndoExhausted:
		return o.MoveItem(it, order.UndoExhausted, order.ItemFact{}, note)
	case order.Undone: // the unit is closed: settle fires undone when the refund was accepted too
	default:
		return fmt.Errorf("no item move %s here", m.Item)
	}
	return nil
}
