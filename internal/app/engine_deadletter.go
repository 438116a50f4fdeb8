package app

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
)

// causes name what failed, by the kind of unit: the source of its dead letter, and the code by which the desk
// groups.
var causes = map[fulfil.Kind]struct{ source, code string }{
	fulfil.Provision: {"step", "step-failed"},
	fulfil.Validate:  {"step", "validation-failed"},
	fulfil.Refund:    {"refund", "refund-failed"},
	fulfil.Checkout:  {"refund", "checkout-failed"},
	fulfil.Deliver:   {"mail", "delivery-failed"},
	fulfil.Notify:    {"mail", "notice-failed"},
	fulfil.Redo:      {"event", "event-failed"},
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
		ID: newID[DeadLetter](a), Order: d.Order.ID, Item: from.Item, Unit: from.ID,
		Source: source, Class: m.Result.Class, Code: code, Detail: m.Result.Note,
		Step: stepName(from), Attempts: from.Try + 1, FirstFailedAt: now, At: now,
	}
	var payload []byte
	if it := d.Order.Find(from.Item); it != nil {
		payload = it.Snapshot.Configuration
	}
	l.PayloadSHA256 = sha256.Sum256(payload)
	return l
}

// addLetter puts a dead letter on the desk, and notes it for the operators; a stuck item or refund has a
// notice of its own.
func (d *Dossier) addLetter(l DeadLetter) {
	d.Added.DeadLetters = append(d.Added.DeadLetters, l)
	if l.Code != undoExhausted && l.Code != causes[fulfil.Refund].code {
		d.incident(notice.NewLetter, [16]byte(l.ID), l.At)
	}
}

// openLetter finds a dead letter of the order that is open or parked, or nil.
func (d *Dossier) openLetter(l id.Of[DeadLetter]) *DeadLetter {
	for i := range d.Letters {
		if d.Letters[i].ID == l && (d.Letters[i].State == LetterOpen || d.Letters[i].State == LetterParked) {
			return &d.Letters[i]
		}
	}
	return nil
}

// stuckBehind locks the order of a dead letter and finds the stuck unit behind it.
func (a *App) stuckBehind(
	ctx context.Context, tx Tx, c Caller, l id.Of[DeadLetter],
) (*Dossier, *DeadLetter, *fulfil.Unit, error) {
	d, err := tx.LockOrder(ctx, order.ID{}, Also{Parts: true, Letter: l, Signer: c.Member})
	if err != nil {
		return nil, nil, nil, err
	}
	if err := c.keyDemanded(d.Settings); err != nil {
		return nil, nil, nil, err
	}
	open, u := d.openLetter(l), d.Unit(d.Letter.Unit)
	if open == nil || u == nil || u.State != fulfil.Stuck {
		return nil, nil, nil, notStuck(d.Letter)
	}
	return d, open, u, nil
}

// notStuck refuses a decision about a dead letter with nothing stuck behind it.
func notStuck(l DeadLetter) error {
	e := fault.New(fault.KindConflict, "not-stuck",
		"Nothing is stuck behind this dead letter (any more): there is nothing to try again or to give up.")
	e.Members = map[string]any{"state": l.State.String()}
	return e
}

// redrive makes stuck work due now, with a fresh budget of calls and a new epoch.
func (a *App) redrive(tx Tx, d *Dossier, u *fulfil.Unit, reason string) error {
	u.State, u.Epoch, u.Sent, u.Try, u.NextAt = fulfil.Queued, u.Epoch+1, false, 0, tx.Now()
	u.Deadline = time.Time{} // its next call starts a new one
	if it := d.Order.Find(u.Item); it != nil && it.State == order.ItemStuck {
		return d.Order.MoveItem(it, order.Redrive, order.ItemFact{}, reason)
	}
	if r := d.Order.RefundUnder(u.Payment, u.Item); r != nil && r.State == order.RefundStuck {
		d.Order.MoveRefund(r, order.RefundRequested, "", tx.Now(), reason)
	}
	if u.Kind == fulfil.Deliver {
		d.Order.DeliveryStuck = d.deliveryStuck()
	}
	return nil
}

// closeRedriven takes the dead letters of a unit that is tried again off the desk: the same work may have failed
// on the way there and on the way back. voided says, for the saga record, that a signature is void; else it is "".
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

// closeLetters closes the dead letters of a step that failed, now that its item is gone for good.
func (d *Dossier) closeLetters(it order.ItemID, now time.Time) {
	for i := range d.Letters {
		if l := &d.Letters[i]; l.Item == it && l.Source == "step" && (l.State == LetterOpen || l.State == LetterRedriven) {
			l.State, l.ClosedAt, l.Reason = LetterClosed, &now, "the item was rolled back and refunded"
		}
	}
}

// decide writes a person's decision into the saga record.
func (d *Dossier) decide(l DeadLetter, at time.Time, note string) {
	d.Added.Log = append(d.Added.Log, LogEntry{Unit: l.Unit, At: at, Part: l.Step, What: LogDecision, Note: note})
}

// said puts a person's words behind ours.
func said(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
