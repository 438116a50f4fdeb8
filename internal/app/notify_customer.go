package app

import (
	"context"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// AskNotice is the Notify consumer: one mail's worth of work per event that may have news for the customer,
// and a note for the operators where an event is theirs to act on.
func (a *App) AskNotice(ctx context.Context, ev event.Event) error {
	return a.handleEvent(ctx, event.Notify, ev, func(tx Tx, agg *Aggregate) bool {
		if ev.Type != order.EvItemStuck { // the customer's refund goes on beside it
			task := fulfil.Task{Kind: fulfil.Notify, NextAt: tx.Now(), Detail: string(ev.Type)}
			task.Subject = [16]byte(ev.ID)
			a.addTask(agg, task, ev.ID)
		}
		switch ev.Type {
		case order.EvItemStuck:
			agg.incident(notice.ItemStuck, [16]byte(ev.ID), ev.At)
		case order.EvRefundFailed:
			agg.incident(notice.RefundFailed, [16]byte(ev.ID), ev.At)
		default: // nobody has to act
		}
		return true
	})
}

// NotifyCustomer mails one event's news to the customer: what happened, what it means for machines
// and money, what comes next. At least once; the message id is the event's.
func (a *App) NotifyCustomer(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	return a.single(ctx, t, taskID, a.notify)
}

func (a *App) notify(ctx context.Context, agg *Aggregate, task *fulfil.Task) (fulfil.Result, apply) {
	s, err := a.noticeSourceOf(ctx, agg.Order, event.ID(task.Subject))
	if err != nil {
		a.Log.ErrorContext(ctx, "read what a notice is about", "order", agg.Order.ID.String(), "event",
			task.Subject.String(), "error", err)
		return fulfil.Result{Class: fault.Retryable, Note: "the order's events could not be read"}, a.noticed
	}
	n, ok := a.noticeContent(s)
	if !ok {
		return fulfil.Result{Class: fault.None, Note: "no news for the customer: another mail tells it"}, noEffect
	}
	n.Simulated = a.simulated(agg)
	mail, err := notice.ForCustomer(agg.Settings.reader(), n)
	if err != nil {
		a.Log.ErrorContext(ctx, "write a notice", "order", agg.Order.ID.String(), "event",
			task.Subject.String(), "error", err)
		return fulfil.Result{Class: fault.Invalid, Note: "the notice could not be written"}, a.noticed
	}
	err = a.Mailer.SendNotice(ctx, Notice{
		To: agg.Customer.Email, MessageID: "notice." + task.Subject.String(), At: a.Clock.Now(),
		Brand: agg.Settings.Name, Mail: mail,
	})
	res := fulfil.Result{Class: fault.None, Note: "accepted by the mail server"}
	if err != nil {
		res.Class = a.Mailer.Class(err)
		res.Note = "the mail server did not take the notice: " + res.Class.String()
	}
	return res, a.noticed
}

func (a *App) noticed(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error {
	if m.Dead {
		agg.addDeadLetter(a.deadLetter(agg, *task, m, tx.Now()))
	}
	return nil
}

// lifePage is how many events are read at once.
const lifePage = 200

// noticeSourceOf reads an order's events from its creation or its last restore on, up to the end of the change
// that one of them belongs to.
func (a *App) noticeSourceOf(ctx context.Context, o *order.Order, told event.ID) (noticeSource, error) {
	s := noticeSource{o: o, at: -1}
	for after := 0; ; {
		records, err := a.Store.Events(ctx, o.Tenant, o.ID, after, lifePage)
		if err != nil {
			return s, err
		}
		if len(records) == 0 {
			if s.at < 0 {
				err = fmt.Errorf("order %s has no event %s", o.ID, told)
			}
			return s, err
		}
		for _, rec := range records {
			ev, err := event.Stored(rec)
			if err != nil {
				return s, err
			}
			if s.at >= 0 && ev.Payload.Version != s.told().Payload.Version {
				return s, nil
			}
			if ev.Type == order.EvRestored {
				s.life = nil
			}
			if s.life = append(s.life, ev); rec.ID == told {
				s.at = len(s.life) - 1
			}
			after = rec.Seq
		}
	}
}

// language of the tenant's mails.
func (s Settings) language() notice.Language {
	l, _ := notice.LanguageOf(s.Language)
	return l
}

// reader is for whom the tenant's mails are written.
func (s Settings) reader() notice.Reader {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil { // was checked when it was set, by another machine's tables
		zone = time.UTC
	}
	return notice.Reader{
		Language: s.language(), Zone: zone, Brand: notice.Brand{Name: s.Name, Color: s.BrandColor, Contrast: s.BrandContrast},
	}
}
