package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// commit writes one move of a worker: under the order's lock, only when the unit is still at the
// epoch the move was made from (else ErrFenced and nothing is written). What the move means for the
// order is apply's matter; after it the order's state is derived anew, so whichever commit closes the
// last item or refund settles the order.
func (a *App) commit(ctx context.Context, from fulfil.Unit, m fulfil.Move, apply func(tx Tx, d *Dossier, u *fulfil.Unit) error) (*Dossier, error) {
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

func (a *App) logOf(from fulfil.Unit, m fulfil.Move) LogEntry {
	l := LogEntry{Unit: m.Unit.ID, At: m.Result.At, Part: stepName(from), What: LogAnswer, Class: m.Result.Class, Note: m.Result.Note, Took: m.Result.Took}
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
			d.Added.Credentials = append(d.Added.Credentials, SealedCredential{Item: it.ID, Generation: it.Generation, Sealed: m.Result.Sealed})
		}
		it.Detail = ""
		return o.MoveItem(it, order.Ready, order.ItemFact{}, "")
	case order.CallFailed:
		return o.MoveItem(it, order.CallFailed, order.ItemFact{Attempt: u.Try}, note)
	case order.NoCapacity:
		return o.MoveItem(it, order.NoCapacity, order.ItemFact{}, note)
	case order.Unrecoverable:
		if err := o.MoveItem(it, order.Unrecoverable, order.ItemFact{}, note); err != nil {
			return err
		}
		o.RequestRefund(newID[order.Refund](a), it, note)
		if o.Policy == order.AllOrNothing {
			for i := range o.Items { // one unrecoverable item rolls back the whole order (D1)
				if o.Items[i].ID != it.ID {
					a.turnBack(d, &o.Items[i], tx.Now(), "another item of this all-or-nothing order could not be provisioned")
				}
			}
		}
	case order.UndoExhausted:
		return o.MoveItem(it, order.UndoExhausted, order.ItemFact{}, note)
	case order.Undone: // the unit is closed: settle fires undone when the refund was accepted too
	default:
		return fmt.Errorf("no item move %s here", m.Item)
	}
	return nil
}

// journal writes what the move knows of its part: the intent before the call, the id after it.
func (a *App) journal(d *Dossier, from fulfil.Unit, m fulfil.Move) {
	if from.Step >= len(from.Parts) || from.Parts[from.Step] == credentialsStep {
		return
	}
	name, it := from.Parts[from.Step], d.Order.Find(from.Item)
	p := d.part(from.ID, name, it.Generation)
	intent := m.Unit.Sent && !from.Sent
	if p == nil {
		if !intent || from.Undoing {
			if p = d.newestPart(from.ID, name); p == nil {
				return // going back over a part that was never begun
			}
		} else {
			d.Parts = append(d.Parts, fulfil.Part{Unit: from.ID, Part: name, Generation: it.Generation, Phase: fulfil.Intent})
			p = &d.Parts[len(d.Parts)-1]
		}
	}
	if intent && !from.Undoing {
		p.Key = a.keyOf(d.Order, it, name).Name()
		p.CalledAt = d.nextCall(m.Result.At)
		if caps, ok := a.capabilities(from.Queue); ok {
			p.SettleUntil = m.Result.At.Add(a.wait(caps.CallTimeout + caps.Settle))
		}
	}
	if m.Result.Phase != 0 {
		p.Phase = m.Result.Phase
	}
	if r := m.Result.Ref; r != "" && (len(p.Refs) == 0 || p.Refs[0] != r) {
		p.Refs = append([]string{r}, p.Refs...)
	}
	if m.Result.Absent && p.AbsentSince.IsZero() {
		p.AbsentSince = m.Result.At
	}
}

// nextCall is now, or just after the order's latest create where that was later or in the same
// microsecond: the moments of an order's creates keep the order in which they were decided under its
// lock, for they are taken back in reverse.
func (d *Dossier) nextCall(now time.Time) time.Time {
	for _, p := range d.Parts {
		if !p.CalledAt.Before(now) {
			now = p.CalledAt.Add(time.Microsecond)
		}
	}
	return now
}

func (d *Dossier) part(u fulfil.UnitID, name string, generation int) *fulfil.Part {
	for i := range d.Parts {
		if p := &d.Parts[i]; p.Unit == u && p.Part == name && p.Generation == generation {
			return p
		}
	}
	return nil
}

func (d *Dossier) newestPart(u fulfil.UnitID, name string) *fulfil.Part {
	var newest *fulfil.Part
	for i := range d.Parts {
		if p := &d.Parts[i]; p.Unit == u && p.Part == name && (newest == nil || p.Generation > newest.Generation) {
			newest = p
		}
	}
	return newest
}

// causes name what failed, by the kind of unit: the source of its dead letter (database.md) and the
// code by which the desk groups.
var causes = map[fulfil.Kind]struct{ source, code string }{
	fulfil.Provision: {"step", "step-failed"}, fulfil.Validate: {"step", "validation-failed"}, fulfil.Refund: {"refund", "refund-failed"},
	fulfil.Checkout: {"refund", "checkout-failed"}, fulfil.Deliver: {"mail", "delivery-failed"}, fulfil.Notify: {"mail", "notice-failed"},
	fulfil.Redo: {"event", "event-failed"},
}

// undoExhausted is the cause of a clean-up that ended without success.
const undoExhausted = "undo-exhausted"

// letter is the dead letter of a failed unit: cause, class, tries and a hash of what was asked; never
// a body or a secret.
func (a *App) letter(d *Dossier, from fulfil.Unit, m fulfil.Move, now time.Time) DeadLetter {
	source, code := causes[from.Kind].source, causes[from.Kind].code
	if m.Item == order.UndoExhausted {
		code = undoExhausted
	}
	l := DeadLetter{
		ID: newID[DeadLetter](a), Order: d.Order.ID, Item: from.Item, Unit: from.ID, Source: source, Class: m.Result.Class, Code: code,
		Detail: m.Result.Note, Step: stepName(from), Attempts: from.Try + 1, FirstFailedAt: now, At: now,
	}
	var payload []byte
	if it := d.Order.Find(from.Item); it != nil {
		payload = it.Snapshot.Configuration
	}
	l.PayloadSHA256 = sha256.Sum256(payload)
	return l
}

func stepName(u fulfil.Unit) string {
	if u.Step < len(u.Parts) {
		return u.Parts[u.Step]
	}
	return u.Kind.String()
}
