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
	return []string{string(event.Provision), string(event.Billing), string(event.Notify), string(WebhookConsumer), string(AnalyticsConsumer)}
}

// ParkEvent sets an event aside that a consumer could not apply: it stands on the desk, its record goes to
// the consumer's dead letter topic, and the consumer's later events of the order wait behind it. All of it
// commits together or not at all.
func (a *App) ParkEvent(ctx context.Context, p Poison) error {
	return a.Store.InTenant(ctx, p.Event.Tenant, With{}, func(tx Tx) error {
		m, err := tx.LockMark(ctx, p.Consumer, p.Event.Order)
		if err != nil {
			return err
		}
		if m.Seq >= p.Event.Seq || m.Parked == p.Event.Seq {
			return ErrDuplicate
		}
		if m.Parked != 0 {
			m.hold(p.Event.Seq)
			tx.PutMark(m)
			return nil
		}
		d, err := tx.LockOrder(ctx, p.Event.Order, Also{})
		if err != nil {
			return err
		}
		m.Parked, m.HeldTo, m.Held, m.Redo = p.Event.Seq, p.Event.Seq, 0, 0
		tx.PutMark(m)
		a.park(d, p, tx.Now())
		tx.Save(d)
		return nil
	})
}

// park writes the dead letter of an event, and the work that waits for a person to try it again.
func (a *App) park(d *Dossier, p Poison, now time.Time) {
	ev := p.Event
	class, detail := causeOf(p.Err)
	l := DeadLetter{
		ID: newID[DeadLetter](a), Order: ev.Order, Source: causes[fulfil.Redo].source, Class: class, Code: causes[fulfil.Redo].code, Detail: detail, Step: p.Consumer,
		Attempts: p.Attempts, PayloadSHA256: sha256.Sum256(ev.Data), State: LetterParked, FirstFailedAt: p.FirstFailedAt, At: now,
		Event: ParkedEvent{Consumer: p.Consumer, ID: ev.ID, Type: ev.Type, Seq: ev.Seq, TopicID: ev.TopicID, Partition: ev.Partition, Offset: ev.Offset, LoggedAt: ev.LoggedAt},
	}
	u := fulfil.Unit{Kind: fulfil.Redo, State: fulfil.Stuck, NextAt: now}
	u.Subject = [16]byte(l.ID)
	a.addUnit(d, u, ev.ID)
	l.Unit = d.Units[len(d.Units)-1].ID
	d.addLetter(l)
	d.Added.Log = append(d.Added.Log, LogEntry{
		Unit: l.Unit, At: now, Part: p.Consumer, What: LogAnswer, Class: class,
		Note: fmt.Sprintf("%s could not apply event %d (%s) in %d calls: %s", p.Consumer, ev.Seq, ev.Type, p.Attempts, detail),
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
