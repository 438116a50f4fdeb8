package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Suggestion is what an operator should do first about a dead letter.
type Suggestion string

// The suggestions.
const (
	SuggestNothing   Suggestion = "nothing"        // it is closed
	SuggestWait      Suggestion = "wait"           // it closes by itself
	SuggestRedrive   Suggestion = "redrive"        // the fault may be over
	SuggestRemove    Suggestion = "remove-by-hand" // then redrive, or abandon with proof
	SuggestPayByHand Suggestion = "refund-by-hand" // then abandon as refunded_by_hand
	SuggestAddress   Suggestion = "mend-address"   // then redeliver
	SuggestSecond    Suggestion = "second-person"  // an abandonment awaits its second signature
)

// DeadLetters lists dead letters, newest first.
func (a *App) DeadLetters(ctx context.Context, c Caller, f DeadLetterFilter) (Page[DeadLetter], error) {
	if err := a.may(c.Actor, ReadDesk); err != nil {
		return Page[DeadLetter]{}, err
	}
	return a.Store.DeadLetters(ctx, c.Tenant, f)
}

// Suggested returns what to do first about the dead letter.
func (d DeadLetter) Suggested() Suggestion {
	refused := d.Class == fault.Invalid || d.Class == fault.Forbidden || d.Class == fault.Protected ||
		d.Class == fault.Quota
	switch {
	case d.State != DeadLetterOpen && d.State != DeadLetterParked:
		return SuggestNothing
	case d.Abandonment.Awaits():
		return SuggestSecond
	case d.Event.Redriving:
		return SuggestWait // a redrive is under way; it closes when that succeeds
	case d.Code == "step-failed":
		return SuggestWait // its item is compensating; if that fails there is another dead letter
	case d.Source == "step" && refused:
		return SuggestRemove
	case d.Code == "refund-failed" && refused:
		return SuggestPayByHand
	case d.Source == "mail" && refused:
		return SuggestAddress
	default:
		return SuggestRedrive
	}
}

// DeadLetterGroup counts the dead letters with the same cause and class.
type DeadLetterGroup struct {
	Cause  string
	Class  fault.Class
	Count  int
	Oldest time.Time // first failure of the oldest
	Newest time.Time // last failure of the newest
}

// Suggested returns what to do first about the open dead letters of the group.
func (g DeadLetterGroup) Suggested() Suggestion {
	source := "step"
	for _, c := range deadLetterCauses {
		if c.code == g.Cause {
			source = c.source
		}
	}
	return DeadLetter{Code: g.Cause, Class: g.Class, Source: source}.Suggested()
}

// DeadLetterDetail is a dead letter with all that a person needs to decide about it.
type DeadLetterDetail struct {
	DeadLetter
	Of             *order.Order
	About          *order.Item       // nil when the work is for the whole order
	Work           *fulfil.Task      // nil when there is none
	Refund         *order.Refund     // of the item; nil when none was requested
	Calls          []LogEntry        // answers of the step, compensations and decisions, oldest first; the last 100
	Remaining      []fulfil.Resource // not confirmed gone at the provider; with their ids, never with addresses (D21)
	AbandonReasons []AbandonReason   // for which the stuck work may be abandoned; none when nothing is stuck
	LastAnswer     *LogEntry         // the provider's last answer, in our words
	First          *Member           // the first signer of the abandonment; nil for none, or when that member has left
	Second         *Member           // the second signer
}

// shownCalls is the number of log entries that DeadLetterDetail.Calls holds at most: the last ones.
const shownCalls = 100

// DeadLetter returns a dead letter with its details.
func (a *App) DeadLetter(ctx context.Context, c Caller, dl id.Of[DeadLetter]) (DeadLetterDetail, error) {
	if err := a.may(c.Actor, ReadDesk); err != nil {
		return DeadLetterDetail{}, err
	}
	deadLetter, err := a.Store.DeadLetter(ctx, c.Tenant, dl)
	if err != nil {
		return DeadLetterDetail{}, err
	}
	rec, err := a.Store.Saga(ctx, c.Tenant, deadLetter.Order)
	if err != nil {
		return DeadLetterDetail{}, err
	}
	v := detailOf(deadLetter, rec)
	if v.First, err = a.memberIfPresent(ctx, c.Tenant, deadLetter.Abandonment.FirstBy); err != nil {
		return DeadLetterDetail{}, err
	}
	v.Second, err = a.memberIfPresent(ctx, c.Tenant, deadLetter.Abandonment.SecondBy)
	return v, err
}

// memberIfPresent reads a member. It returns nil when m is zero or the member has left.
func (a *App) memberIfPresent(ctx context.Context, t tenant.ID, m tenant.MemberID) (*Member, error) {
	if m.IsZero() {
		return nil, nil
	}
	member, err := a.Store.Member(ctx, t, m)
	if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
		return nil, nil
	}
	return &member, err
}

func detailOf(dl DeadLetter, rec SagaRecord) DeadLetterDetail {
	v := DeadLetterDetail{DeadLetter: dl, Of: rec.Order, About: rec.Order.Find(dl.Item)}
	for i := range rec.Tasks {
		if rec.Tasks[i].ID == dl.Task {
			v.Work = &rec.Tasks[i]
		}
	}
	if v.About != nil {
		v.Refund = rec.Order.RefundOf(dl.Item)
	}
	if v.Work != nil && v.Work.State == fulfil.Stuck && (dl.State == DeadLetterOpen || dl.State == DeadLetterParked) {
		v.AbandonReasons = abandonReasons[v.Work.Kind]
	}
	for i := range rec.Log {
		e := &rec.Log[i]
		if e.Task != dl.Task || e.What == LogIntent || e.What == LogAnswer && e.Step != dl.Step &&
			dl.Source != deadLetterCauses[fulfil.Redrive].source {
			continue
		}
		v.Calls = append(v.Calls, *e)
		if e.What != LogDecision {
			v.LastAnswer = e
		}
	}
	v.Calls = v.Calls[max(0, len(v.Calls)-shownCalls):]
	for _, res := range rec.Resources {
		if v.Work != nil && v.Work.Kind == fulfil.Provision && res.Task == dl.Task && res.Phase != fulfil.Gone {
			v.Remaining = append(v.Remaining, res)
		}
	}
	return v
}

// DeadLetterGroups counts dead letters by cause and class. Without a state in the filter it counts open ones.
func (a *App) DeadLetterGroups(ctx context.Context, c Caller, f DeadLetterFilter) ([]DeadLetterGroup, error) {
	if err := a.may(c.Actor, ReadDesk); err != nil {
		return nil, err
	}
	if f.State == nil {
		open := DeadLetterOpen
		f.State = &open
	}
	return a.Store.DeadLetterGroups(ctx, c.Tenant, f)
}
