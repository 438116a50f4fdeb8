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

// causes name what failed, by the kind of task: the source of its dead letter, and the code by which the desk
// groups.
var causes = map[fulfil.Kind]struct{ source, code string }{
	fulfil.Provision: {"step", "step-failed"},
	fulfil.Validate:  {"step", "validation-failed"},
	fulfil.Refund:    {"refund", "refund-failed"},
	fulfil.Checkout:  {"refund", "checkout-failed"},
	fulfil.Deliver:   {"mail", "delivery-failed"},
	fulfil.Notify:    {"mail", "notice-failed"},
	fulfil.Redrive:   {"event", "event-failed"},
}

// compensationExhausted is the cause of a clean-up that ended without success.
const compensationExhausted = "compensation-exhausted"

// letter is the dead letter of a failed task: cause, class, tries and a hash of what was asked; never
// a body or a secret.
func (a *App) deadLetter(agg *Aggregate, from fulfil.Task, m fulfil.Move, now time.Time) DeadLetter {
	source, code := causes[from.Kind].source, causes[from.Kind].code
	if m.Item == order.CompensationExhausted {
		code = compensationExhausted
	}
	l := DeadLetter{
		ID: newID[DeadLetter](a), Order: agg.Order.ID, Item: from.Item, Task: from.ID,
		Source: source, Class: m.Result.Class, Code: code, Detail: m.Result.Note,
		Step: stepName(from), Attempts: from.Try + 1, FirstFailedAt: now, At: now,
	}
	var payload []byte
	if it := agg.Order.Find(from.Item); it != nil {
		payload = it.Snapshot.Configuration
	}
	l.PayloadSHA256 = sha256.Sum256(payload)
	return l
}

// addDeadLetter puts a dead letter on the desk, and notes it for the operators; a stuck item or refund has a
// notice of its own.
func (agg *Aggregate) addDeadLetter(l DeadLetter) {
	agg.Added.DeadLetters = append(agg.Added.DeadLetters, l)
	if l.Code != compensationExhausted && l.Code != causes[fulfil.Refund].code {
		agg.incident(notice.NewDeadLetter, [16]byte(l.ID), l.At)
	}
}

// openDeadLetter finds a dead letter of the order that is open or parked, or nil.
func (agg *Aggregate) openDeadLetter(l id.Of[DeadLetter]) *DeadLetter {
	for i := range agg.DeadLetters {
		if agg.DeadLetters[i].ID == l && (agg.DeadLetters[i].State == DeadLetterOpen ||
			agg.DeadLetters[i].State == DeadLetterParked) {
			return &agg.DeadLetters[i]
		}
	}
	return nil
}

// stuckBehind locks the order of a dead letter and finds the stuck task behind it.
func (a *App) stuckBehind(
	ctx context.Context, tx Tx, c Caller, l id.Of[DeadLetter],
) (*Aggregate, *DeadLetter, *fulfil.Task, error) {
	agg, err := tx.LockOrder(ctx, order.ID{}, Also{Resources: true, DeadLetter: l, Signer: c.Member})
	if err != nil {
		return nil, nil, nil, err
	}
	if err := c.keyDemanded(agg.Settings); err != nil {
		return nil, nil, nil, err
	}
	open, task := agg.openDeadLetter(l), agg.Task(agg.DeadLetter.Task)
	if open == nil || task == nil || task.State != fulfil.Stuck {
		return nil, nil, nil, notStuck(agg.DeadLetter)
	}
	return agg, open, task, nil
}

// notStuck refuses a decision about a dead letter with nothing stuck behind it.
func notStuck(l DeadLetter) error {
	e := fault.New(fault.KindConflict, "not-stuck",
		"Nothing is stuck behind this dead letter (any more): there is nothing to try again or to give up.")
	e.Members = map[string]any{"state": l.State.String()}
	return e
}

// redrive makes stuck work due now, with a fresh budget of calls and a new epoch.
func (a *App) redrive(tx Tx, agg *Aggregate, task *fulfil.Task, reason string) error {
	task.State, task.Epoch, task.Sent, task.Try, task.NextAt = fulfil.Queued, task.Epoch+1, false, 0, tx.Now()
	task.Deadline = time.Time{} // its next call starts a new one
	if it := agg.Order.Find(task.Item); it != nil && it.State == order.ItemStuck {
		return agg.Order.MoveItem(it, order.Redrive, order.ItemFact{}, reason)
	}
	if r := agg.Order.RefundUnder(task.Payment, task.Item); r != nil && r.State == order.RefundStuck {
		agg.Order.MoveRefund(r, order.RefundRequested, "", tx.Now(), reason)
	}
	if task.Kind == fulfil.Deliver {
		agg.Order.DeliveryStuck = agg.deliveryStuck()
	}
	return nil
}

// closeRedriven takes the dead letters of a task that is tried again off the desk: the same work may have failed
// on the way there and on the way back. voided says, for the saga record, that a signature is void; else it is "".
func (agg *Aggregate) closeRedriven(
	task *fulfil.Task, l id.Of[DeadLetter], reason string, now time.Time,
) (voided string) {
	for i := range agg.DeadLetters {
		if o := &agg.DeadLetters[i]; o.Task == task.ID && (o.ID == l || o.Code == compensationExhausted) {
			if o.Abandonment.Awaits() {
				voided = "; a signature to abandon it is void"
			}
			o.State, o.Reason, o.ClosedAt, o.Abandonment = DeadLetterRedriven, orElse(reason, "tried again"), &now, Abandonment{}
		}
	}
	return voided
}

// closeDeadLetters closes the dead letters of a step that failed, now that its item is gone for good.
func (agg *Aggregate) closeDeadLetters(it order.ItemID, now time.Time) {
	for i := range agg.DeadLetters {
		if l := &agg.DeadLetters[i]; l.Item == it && l.Source == "step" && (l.State == DeadLetterOpen ||
			l.State == DeadLetterRedriven) {
			l.State, l.ClosedAt, l.Reason = DeadLetterClosed, &now, "the item was rolled back and refunded"
		}
	}
}

// decide writes a person's decision into the saga record.
func (agg *Aggregate) decide(l DeadLetter, at time.Time, note string) {
	agg.Added.Log = append(agg.Added.Log, LogEntry{Task: l.Task, At: at, Step: l.Step, What: LogDecision, Note: note})
}

// said puts a person's words behind ours.
func said(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
