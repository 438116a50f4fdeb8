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

// AskNotice is the Notify consumer. It adds a task for each event that may need a mail to the customer, and an
// incident for each event on which the operators must act.
func (a *App) AskNotice(ctx context.Context, ev event.Event) error {
	return a.handleEvent(ctx, event.Notify, ev, func(tx Tx, agg *Aggregate) bool {
		if ev.Type != order.EvItemStuck { // it does not concern the customer, whose refund continues
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

// NotifyCustomer mails the customer about an event: what happened, what it means for machines and money, and what
// comes next. The mail is sent at least once; its message id is the event's.
func (a *App) NotifyCustomer(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	return a.runSingleCall(ctx, t, taskID, a.sendNotice)
}

func (a *App) sendNotice(ctx context.Context, agg *Aggregate, task *fulfil.Task) (fulfil.Result, resultWriter) {
	s, err := a.noticeSourceOf(ctx, agg.Order, event.ID(task.Subject))
	if err != nil {
		a.Log.ErrorContext(ctx, "read what a notice is about", "order", agg.Order.ID.String(), "event",
			task.Subject.String(), "error", err)
		return fulfil.Result{Class: fault.Retryable, Note: "the order's events could not be read"}, a.recordNotice
	}
	n, ok := a.noticeContent(s)
	if !ok {
		return fulfil.Result{Class: fault.None, Note: "nothing to send: another mail covers it"}, writeNothing
	}
	n.Simulated = a.simulated(agg)
	mail, err := notice.ForCustomer(agg.Settings.reader(), n)
	if err != nil {
		a.Log.ErrorContext(ctx, "write a notice", "order", agg.Order.ID.String(), "event",
			task.Subject.String(), "error", err)
		return fulfil.Result{Class: fault.Invalid, Note: "the notice could not be written"}, a.recordNotice
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
	return res, a.recordNotice
}

// recordNotice writes the result of a notice: nothing, or a dead letter.
func (a *App) recordNotice(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error {
	if m.Dead {
		agg.addDeadLetter(a.newDeadLetter(agg, *task, m, tx.Now()))
	}
	return nil
}

// eventsPerRead is how many events noticeSourceOf reads at once.
const eventsPerRead = 200

// noticeSourceOf reads an order's events, from its creation or last restore up to the end of the change that the
// event belongs to.
func (a *App) noticeSourceOf(ctx context.Context, o *order.Order, about event.ID) (noticeSource, error) {
	s := noticeSource{o: o, index: -1}
	for after := 0; ; {
		records, err := a.Store.Events(ctx, o.Tenant, o.ID, after, eventsPerRead)
		if err != nil {
			return s, err
		}
		if len(records) == 0 {
			if s.index < 0 {
				err = fmt.Errorf("order %s has no event %s", o.ID, about)
			}
			return s, err
		}
		for _, rec := range records {
			ev, err := event.FromRecord(rec)
			if err != nil {
				return s, err
			}
			if s.index >= 0 && ev.Payload.Version != s.event().Payload.Version {
				return s, nil
			}
			if ev.Type == order.EvRestored {
				s.events = nil
			}
			if s.events = append(s.events, ev); rec.ID == about {
				s.index = len(s.events) - 1
			}
			after = rec.Seq
		}
	}
}

// language returns the language of the tenant's mails.
func (s Settings) language() notice.Language {
	l, _ := notice.LanguageOf(s.Language)
	return l
}

// reader returns the reader for whom the tenant's mails are rendered.
func (s Settings) reader() notice.Reader {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil { // it was valid when it was set, by another machine's time zone database
		zone = time.UTC
	}
	return notice.Reader{
		Language: s.language(), Zone: zone, Brand: notice.Brand{Name: s.Name, Color: s.BrandColor, Contrast: s.BrandContrast},
	}
}
