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

// Suggestion is what an operator should do first.
type Suggestion string

// The suggestions.
const (
	SuggestNothing   Suggestion = "nothing"        // it is over
	SuggestWait      Suggestion = "wait"           // it closes by itself
	SuggestRedrive   Suggestion = "redrive"        // the fault may be over
	SuggestRemove    Suggestion = "remove-by-hand" // then try again, or abandon with proof
	SuggestPayByHand Suggestion = "refund-by-hand" // then abandon as refunded_by_hand
	SuggestAddress   Suggestion = "mend-address"   // then deliver again
	SuggestSecond    Suggestion = "second-person"  // an abandonment awaits its second signature
)

// DeadLetters lists what needs a person, newest first.
func (a *App) DeadLetters(ctx context.Context, c Caller, f DeadLetterFilter) (Page[DeadLetter], error) {
	if err := a.may(c.Actor, ReadDesk); err != nil {
		return Page[DeadLetter]{}, err
	}
	return a.Store.DeadLetters(ctx, c.Tenant, f)
}

// Suggested is what to do first about a dead letter.
func (d DeadLetter) Suggested() Suggestion {
	refused := d.Class == fault.Invalid || d.Class == fault.Forbidden || d.Class == fault.Protected ||
		d.Class == fault.Quota
	switch {
	case d.State != DeadLetterOpen && d.State != DeadLetterParked:
		return SuggestNothing
	case d.Abandonment.Awaits():
		return SuggestSecond
	case d.Event.Redriving:
		return SuggestWait // it is being tried again, and closes when that succeeds
	case d.Code == "step-failed":
		return SuggestWait // its item goes back; what hangs on the way has a letter of its own
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

// DeadLetterGroup is how many dead letters have one cause and class.
type DeadLetterGroup struct {
	Cause  string
	Class  fault.Class
	Count  int
	Oldest time.Time // first failure of the oldest
	Newest time.Time // last failure of the newest
}

// Suggested is what to do first about the open letters of the group.
func (g DeadLetterGroup) Suggested() Suggestion {
	source := "step"
	for _, c := range causes {
		if c.code == g.Cause {
			source = c.source
		}
	}
	return DeadLetter{Code: g.Cause, Class: g.Class, Source: source}.Suggested()
}

// DeadLetterDetail is a dead letter with all that a person needs to decide about it.
type DeadLetterDetail struct {
	DeadLetter
	Of     *order.Order
	About  *order.Item       // nil when the work is the whole order's
	Work   *fulfil.Task      // nil when there is none
	Refund *order.Refund     // of the item, nil when none was asked for
	Calls  []LogEntry        // answers of the step, turnings and decisions, oldest first; the last 100
	Left   []fulfil.Resource // not confirmed gone at the provider: its ids, never its addresses (D21)
	Allows []AbandonReason   // on which the stuck work may be given up; none when nothing is stuck
	Last   *LogEntry         // the provider's last answer, in our words
	First  *Member           // who signed to abandon it first; nil when nobody did, or they have left
	Second *Member           // and second
}

// shownCalls is how many lines of a step that was called very often are shown: the last ones.
const shownCalls = 100

// DeadLetter reads one with all about it.
func (a *App) DeadLetter(ctx context.Context, c Caller, l id.Of[DeadLetter]) (DeadLetterDetail, error) {
	if err := a.may(c.Actor, ReadDesk); err != nil {
		return DeadLetterDetail{}, err
	}
	letter, err := a.Store.DeadLetter(ctx, c.Tenant, l)
	if err != nil {
		return DeadLetterDetail{}, err
	}
	rec, err := a.Store.Saga(ctx, c.Tenant, letter.Order)
	if err != nil {
		return DeadLetterDetail{}, err
	}
	v := detailOf(letter, rec)
	if v.First, err = a.present(ctx, c.Tenant, letter.Abandonment.FirstBy); err != nil {
		return DeadLetterDetail{}, err
	}
	v.Second, err = a.present(ctx, c.Tenant, letter.Abandonment.SecondBy)
	return v, err
}

// present reads a member; nil when there is none of the id, or they have left.
func (a *App) present(ctx context.Context, t tenant.ID, m tenant.MemberID) (*Member, error) {
	if m.IsZero() {
		return nil, nil
	}
	member, err := a.Store.Member(ctx, t, m)
	if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
		return nil, nil
	}
	return &member, err
}

func detailOf(l DeadLetter, rec SagaRecord) DeadLetterDetail {
	v := DeadLetterDetail{DeadLetter: l, Of: rec.Order, About: rec.Order.Find(l.Item)}
	for i := range rec.Tasks {
		if rec.Tasks[i].ID == l.Task {
			v.Work = &rec.Tasks[i]
		}
	}
	if v.About != nil {
		v.Refund = rec.Order.RefundOf(l.Item)
	}
	if v.Work != nil && v.Work.State == fulfil.Stuck && (l.State == DeadLetterOpen || l.State == DeadLetterParked) {
		v.Allows = abandonReasons[v.Work.Kind]
	}
	for i := range rec.Log {
		e := &rec.Log[i]
		if e.Task != l.Task || e.What == LogIntent || e.What == LogAnswer && e.Step != l.Step &&
			l.Source != causes[fulfil.Redrive].source {
			continue
		}
		v.Calls = append(v.Calls, *e)
		if e.What != LogDecision {
			v.Last = e
		}
	}
	v.Calls = v.Calls[max(0, len(v.Calls)-shownCalls):]
	for _, res := range rec.Resources {
		if v.Work != nil && v.Work.Kind == fulfil.Provision && res.Task == l.Task && res.Phase != fulfil.Gone {
			v.Left = append(v.Left, res)
		}
	}
	return v
}

// DeadLetterGroups counts dead letters by cause and class; open ones when the filter names no state.
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
