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

// deadLetterCauses gives the source and the code of a dead letter, by the kind of the failed task. The fallout
// desk groups by the code.
var deadLetterCauses = map[fulfil.Kind]struct{ source, code string }{
	fulfil.Provision: {"step", "step-failed"},
	fulfil.Validate:  {"step", "validation-failed"},
	fulfil.Refund:    {"refund", "refund-failed"},
	fulfil.Checkout:  {"refund", "checkout-failed"},
	fulfil.Deliver:   {"mail", "delivery-failed"},
	fulfil.Notify:    {"mail", "notice-failed"},
	fulfil.Redrive:   {"event", "event-failed"},
}

// compensationExhausted is the code of a compensation that failed.
const compensationExhausted = "compensation-exhausted"

// newDeadLetter returns the dead letter of a failed task. It holds the cause, the class, the number of attempts
// and a hash of the configuration that was asked for, but never a body or a secret.
func (a *App) newDeadLetter(agg *Aggregate, from fulfil.Task, m fulfil.Move, now time.Time) DeadLetter {
	source, code := deadLetterCauses[from.Kind].source, deadLetterCauses[from.Kind].code
	if m.Item == order.CompensationExhausted {
		code = compensationExhausted
	}
	dl := DeadLetter{
		ID: newID[DeadLetter](a), Order: agg.Order.ID, Item: from.Item, Task: from.ID,
		Source: source, Class: m.Result.Class, Code: code, Detail: m.Result.Note,
		Step: stepName(from), Attempts: from.Try + 1, FirstFailedAt: now, At: now,
	}
	var payload []byte
	if it := agg.Order.Find(from.Item); it != nil {
		payload = it.Snapshot.Configuration
	}
	dl.PayloadSHA256 = sha256.Sum256(payload)
	return dl
}

// addDeadLetter adds a dead letter and an incident for the operators. A stuck item or refund has an incident of
// its own, so it gets none here.
func (agg *Aggregate) addDeadLetter(dl DeadLetter) {
	agg.Added.DeadLetters = append(agg.Added.DeadLetters, dl)
	if dl.Code != compensationExhausted && dl.Code != deadLetterCauses[fulfil.Refund].code {
		agg.incident(notice.NewDeadLetter, [16]byte(dl.ID), dl.At)
	}
}

// openDeadLetter returns a dead letter of the order that is open or parked, or nil.
func (agg *Aggregate) openDeadLetter(dl id.Of[DeadLetter]) *DeadLetter {
	for i := range agg.DeadLetters {
		if agg.DeadLetters[i].ID == dl && (agg.DeadLetters[i].State == DeadLetterOpen ||
			agg.DeadLetters[i].State == DeadLetterParked) {
			return &agg.DeadLetters[i]
		}
	}
	return nil
}

// lockStuckTask locks the order of a dead letter and returns it with the stuck task. It is a fault when nothing
// is stuck any more.
func (a *App) lockStuckTask(
	ctx context.Context, tx Tx, c Caller, dl id.Of[DeadLetter],
) (*Aggregate, *DeadLetter, *fulfil.Task, error) {
	agg, err := tx.LockOrder(ctx, order.ID{}, Also{Resources: true, DeadLetter: dl, Signer: c.Member})
	if err != nil {
		return nil, nil, nil, err
	}
	if err := c.requireKey(agg.Settings); err != nil {
		return nil, nil, nil, err
	}
	open, task := agg.openDeadLetter(dl), agg.Task(agg.DeadLetter.Task)
	if open == nil || task == nil || task.State != fulfil.Stuck {
		return nil, nil, nil, notStuck(agg.DeadLetter)
	}
	return agg, open, task, nil
}

// notStuck returns the fault for a decision about a dead letter that has no stuck task.
func notStuck(dl DeadLetter) error {
	e := fault.New(fault.KindConflict, "not-stuck",
		"Nothing is stuck behind this dead letter (any more): there is nothing to try again or to give up.")
	e.Members = map[string]any{"state": dl.State.String()}
	return e
}

// redrive makes a stuck task due now, with all its retries and a new epoch.
func (a *App) redrive(tx Tx, agg *Aggregate, task *fulfil.Task, reason string) error {
	task.State, task.Epoch, task.Sent, task.Try, task.NextAt = fulfil.Queued, task.Epoch+1, false, 0, tx.Now()
	task.Deadline = time.Time{} // the next call sets a new one
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

// closeRedrivenDeadLetters marks the dead letters of a redriven task as redriven. There may be several, because
// the same task may have failed while provisioning and again while compensating. voided is a text for the saga
// log when a signature became void, or "".
func (agg *Aggregate) closeRedrivenDeadLetters(
	task *fulfil.Task, dl id.Of[DeadLetter], reason string, now time.Time,
) (voided string) {
	for i := range agg.DeadLetters {
		if o := &agg.DeadLetters[i]; o.Task == task.ID && (o.ID == dl || o.Code == compensationExhausted) {
			if o.Abandonment.Awaits() {
				voided = "; a signature to abandon it is void"
			}
			o.State, o.Reason, o.ClosedAt, o.Abandonment = DeadLetterRedriven, orElse(reason, "tried again"), &now, Abandonment{}
		}
	}
	return voided
}

// closeDeadLetters closes the dead letters of an item's failed steps, once the item is rolled back.
func (agg *Aggregate) closeDeadLetters(it order.ItemID, now time.Time) {
	for i := range agg.DeadLetters {
		if dl := &agg.DeadLetters[i]; dl.Item == it && dl.Source == "step" && (dl.State == DeadLetterOpen ||
			dl.State == DeadLetterRedriven) {
			dl.State, dl.ClosedAt, dl.Reason = DeadLetterClosed, &now, "the item was rolled back and refunded"
		}
	}
}

// logDecision adds a person's decision to the saga log.
func (agg *Aggregate) logDecision(dl DeadLetter, at time.Time, note string) {
	agg.Added.Log = append(agg.Added.Log, LogEntry{Task: dl.Task, At: at, Step: dl.Step, What: LogDecision, Note: note})
}

// reasonSuffix returns a person's text for the end of a note, or "" when the text is empty.
func reasonSuffix(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
