package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

// Parking lists the consumers that set aside what they cannot apply, by their names in the inbox. The
// witness is none of them: it skips nothing, so an error stops it.
func Parking() []string {
	return []string{
		string(event.Provision), string(event.Billing), string(event.Notify), string(WebhookConsumer),
		string(AnalyticsConsumer),
	}
}

// ParkEvent sets an event aside that a consumer could not apply: it stands on the desk, its record goes to
// the consumer's dead letter topic, and the consumer's later events of the order wait behind it. All of it
// commits together or not at all.
func (a *App) ParkEvent(ctx context.Context, p Poison) error {
	return a.Store.InTenant(ctx, p.Event.Tenant, With{}, func(tx Tx) error {
		cp, err := tx.LockCheckpoint(ctx, p.Consumer, p.Event.Order)
		if err != nil {
			return err
		}
		if cp.Seq >= p.Event.Seq || cp.Parked == p.Event.Seq {
			return ErrDuplicate
		}
		if cp.Parked != 0 {
			cp.block(p.Event.Seq)
			tx.PutCheckpoint(cp)
			return nil
		}
		agg, err := tx.LockOrder(ctx, p.Event.Order, Also{})
		if err != nil {
			return err
		}
		cp.Parked, cp.BlockedTo, cp.Blocked, cp.Redrive = p.Event.Seq, p.Event.Seq, 0, 0
		tx.PutCheckpoint(cp)
		a.park(agg, p, tx.Now())
		tx.Save(agg)
		return nil
	})
}

// park writes the dead letter of an event, and the work that waits for a person to try it again.
func (a *App) park(agg *Aggregate, p Poison, now time.Time) {
	ev := p.Event
	class, detail := causeOf(p.Err)
	l := DeadLetter{
		ID: newID[DeadLetter](a), Order: ev.Order, Source: causes[fulfil.Redrive].source, Class: class,
		Code: causes[fulfil.Redrive].code, Detail: detail, Step: p.Consumer,
		Attempts: p.Attempts, PayloadSHA256: sha256.Sum256(ev.Data), State: DeadLetterParked,
		FirstFailedAt: p.FirstFailedAt, At: now,
		Event: ParkedEvent{
			Consumer: p.Consumer, ID: ev.ID, Type: ev.Type, Seq: ev.Seq, TopicID: ev.TopicID,
			Partition: ev.Partition, Offset: ev.Offset, LoggedAt: ev.LoggedAt,
		},
	}
	task := fulfil.Task{Kind: fulfil.Redrive, State: fulfil.Stuck, NextAt: now}
	task.Subject = [16]byte(l.ID)
	a.addTask(agg, task, ev.ID)
	l.Task = agg.Tasks[len(agg.Tasks)-1].ID
	agg.addDeadLetter(l)
	agg.Added.Log = append(agg.Added.Log, LogEntry{
		Task: l.Task, At: now, Step: p.Consumer, What: LogAnswer, Class: class,
		Note: fmt.Sprintf("%s could not apply event %d (%s) in %d calls: %s", p.Consumer, ev.Seq,
			ev.Type, p.Attempts, detail),
	})
}

// causeOf is what is kept of an effect's error: a fault's own code and words, and of any other nothing but
// that it is ours, for its text may quote what it met.
func causeOf(err error) (fault.Class, string) {
	if f := fault.Of(err); f != nil {
		return fault.Invalid, f.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Retryable, "timeout: it took too long"
	}
	return fault.Retryable, "internal: what went wrong stands in the log of the consumer"
}

// Message is a letter's failure as the dead letter topic has it: a code of a closed set.
func (d DeadLetter) Message() string {
	if d.Event.Consumer == "" {
		return d.Code
	}
	code, _, _ := strings.Cut(d.Detail, ":")
	return code
}
