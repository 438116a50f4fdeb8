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

// Parking lists the consumers that park the events that they cannot apply, by their names in the inbox. The Audit
// consumer is not one of them: it must skip nothing, so an error stops it.
func Parking() []string {
	return []string{
		string(event.Provision), string(event.Billing), string(event.Notify), string(WebhookConsumer),
		string(AnalyticsConsumer),
	}
}

// ParkEvent parks an event that a consumer could not apply. The event gets a dead letter on the fallout desk and on
// the consumer's dead letter topic, and the consumer's later events of the order are blocked behind it. All of this
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

// park adds the dead letter of an event, and the stuck task that a person can redrive.
func (a *App) park(agg *Aggregate, p Poison, now time.Time) {
	ev := p.Event
	class, detail := causeOf(p.Err)
	dl := DeadLetter{
		ID: newID[DeadLetter](a), Order: ev.Order, Source: deadLetterCauses[fulfil.Redrive].source, Class: class,
		Code: deadLetterCauses[fulfil.Redrive].code, Detail: detail, Step: p.Consumer,
		Attempts: p.Attempts, PayloadSHA256: sha256.Sum256(ev.Data), State: DeadLetterParked,
		FirstFailedAt: p.FirstFailedAt, At: now,
		Event: ParkedEvent{
			Consumer: p.Consumer, ID: ev.ID, Type: ev.Type, Seq: ev.Seq, TopicID: ev.TopicID,
			Partition: ev.Partition, Offset: ev.Offset, LoggedAt: ev.LoggedAt,
		},
	}
	task := fulfil.Task{Kind: fulfil.Redrive, State: fulfil.Stuck, NextAt: now}
	task.Subject = [16]byte(dl.ID)
	a.addTask(agg, task, ev.ID)
	dl.Task = agg.Tasks[len(agg.Tasks)-1].ID
	agg.addDeadLetter(dl)
	agg.Added.Log = append(agg.Added.Log, LogEntry{
		Task: dl.Task, At: now, Step: p.Consumer, What: LogAnswer, Class: class,
		Note: fmt.Sprintf("%s could not apply event %d (%s) in %d calls: %s", p.Consumer, ev.Seq,
			ev.Type, p.Attempts, detail),
	})
}

// causeOf returns what a dead letter stores of an effect's error: the code and text of a fault. The text of any
// other error may quote data, so it is not stored.
func causeOf(err error) (fault.Class, string) {
	if f := fault.Of(err); f != nil {
		return fault.Invalid, f.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Retryable, "timeout: it took too long"
	}
	return fault.Retryable, "internal: the consumer's log has the error"
}

// Message returns the code of the failure, from a closed set, for the dead letter topic.
func (d DeadLetter) Message() string {
	if d.Event.Consumer == "" {
		return d.Code
	}
	code, _, _ := strings.Cut(d.Detail, ":")
	return code
}
