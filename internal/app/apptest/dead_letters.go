package apptest

import (
	"context"
	"slices"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

type deadLetterID = id.Of[app.DeadLetter]

// AddDeadLetter adds a dead letter of an order. Of and About are filled in when it is read.
func (f *Fake) AddDeadLetter(l app.DeadLetterDetail) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadLetters = append(f.deadLetters, l)
}

// DeadLetters lists the tenant's dead letters, on one page.
func (f *Fake) DeadLetters(_ context.Context, c app.Caller, q app.DeadLetterFilter) (app.Page[app.DeadLetter], error) {
	return read(f, "DeadLetters", c, q, func() (app.Page[app.DeadLetter], error) {
		var page app.Page[app.DeadLetter]
		for i := range f.deadLetters {
			if l := &f.deadLetters[i]; f.owner(l) == c.Tenant && (q.State == nil || *q.State == l.State) {
				page.Data = append(page.Data, l.DeadLetter)
			}
		}
		return page, nil
	})
}

// DeadLetter returns a dead letter as AddDeadLetter added it, with its order.
func (f *Fake) DeadLetter(_ context.Context, c app.Caller, id deadLetterID) (app.DeadLetterDetail, error) {
	return read(f, "DeadLetter", c, id, func() (app.DeadLetterDetail, error) {
		l, err := f.deadLetter(c, id)
		if err != nil {
			return app.DeadLetterDetail{}, err
		}
		d := *l
		entry, err := f.find(c, d.Order)
		if err != nil {
			return app.DeadLetterDetail{}, err
		}
		agg := snapshot(entry)
		d.Of, d.About = agg.Order, agg.Order.Find(d.Item)
		if d.About != nil {
			d.Refund = agg.Order.RefundOf(d.Item)
		}
		if d.Work = agg.Task(d.Task); d.State != app.DeadLetterOpen {
			d.AbandonReasons = nil
		}
		d.First, d.Second = f.member(d.Abandonment.FirstBy), f.member(d.Abandonment.SecondBy)
		return d, nil
	})
}

func (f *Fake) member(m tenant.MemberID) *app.Member {
	if member, ok := f.members[m]; ok {
		return &member
	}
	return nil
}

func (f *Fake) owner(l *app.DeadLetterDetail) tenant.ID {
	for _, entry := range f.orders {
		if entry.agg.Order.ID == l.Order {
			return entry.agg.Order.Tenant
		}
	}
	return tenant.ID{}
}

func (f *Fake) deadLetter(c app.Caller, id deadLetterID) (*app.DeadLetterDetail, error) {
	for i := range f.deadLetters {
		if l := &f.deadLetters[i]; l.ID == id && f.owner(l) == c.Tenant {
			return l, nil
		}
	}
	return nil, fault.Absent()
}

// stuckDeadLetter is deadLetter for one that is still open.
func (f *Fake) stuckDeadLetter(c app.Caller, id deadLetterID) (*app.DeadLetterDetail, error) {
	l, err := f.deadLetter(c, id)
	if err == nil && l.State != app.DeadLetterOpen {
		return nil, fault.New(fault.KindConflict, "not-stuck",
			"Nothing is stuck behind this dead letter (any more): there is nothing to try again or to give up.")
	}
	return l, err
}

// DeadLetterGroups counts the open dead letters.
func (f *Fake) DeadLetterGroups(
	_ context.Context, c app.Caller, q app.DeadLetterFilter,
) ([]app.DeadLetterGroup, error) {
	return read(f, "DeadLetterGroups", c, q, func() ([]app.DeadLetterGroup, error) {
		var groups []app.DeadLetterGroup
		for i := range f.deadLetters {
			l := &f.deadLetters[i]
			if f.owner(l) != c.Tenant || l.State != app.DeadLetterOpen {
				continue
			}
			at := slices.IndexFunc(groups, func(g app.DeadLetterGroup) bool { return g.Cause == l.Code && g.Class == l.Class })
			if at < 0 {
				at = len(groups)
				groups = append(groups, app.DeadLetterGroup{Cause: l.Code, Class: l.Class, Oldest: l.FirstFailedAt, Newest: l.At})
			}
			groups[at].Count++
		}
		return groups, nil
	})
}

// RedriveDeadLetter marks a dead letter as redriven.
func (f *Fake) RedriveDeadLetter(
	_ context.Context, c app.Caller, id deadLetterID, reason string,
) (app.DeadLetter, error) {
	return write(f, "RedriveDeadLetter", c, reason, func() (app.DeadLetter, error) {
		l, err := f.stuckDeadLetter(c, id)
		if err != nil {
			return app.DeadLetter{}, err
		}
		l.State, l.Reason, l.Abandonment = app.DeadLetterRedriven, reason, app.Abandonment{}
		return l.DeadLetter, nil
	})
}

// RedriveDeadLetters marks the open dead letters of a cause and class as redriven.
func (f *Fake) RedriveDeadLetters(
	_ context.Context, c app.Caller, in app.RedriveDeadLetters,
) (app.RedriveReport, error) {
	return write(f, "RedriveDeadLetters", c, in, func() (app.RedriveReport, error) {
		var report app.RedriveReport
		for i := range f.deadLetters {
			l := &f.deadLetters[i]
			selected := l.Code == in.Cause && in.Class != nil && l.Class == *in.Class
			if f.owner(l) != c.Tenant || l.State != app.DeadLetterOpen || !selected {
				continue
			}
			l.State, l.Reason = app.DeadLetterRedriven, in.Reason
			report.DeadLetters = append(report.DeadLetters, app.Redriven{
				DeadLetter: l.ID, Order: l.Order, Outcome: app.RedriveDone,
			})
		}
		return report, nil
	})
}

// AdoptDeadLetter accepts every assertion about a step whose resource is left.
func (f *Fake) AdoptDeadLetter(_ context.Context, c app.Caller, in app.AdoptDeadLetter) (app.DeadLetter, error) {
	return write(f, "AdoptDeadLetter", c, in, func() (app.DeadLetter, error) {
		l, err := f.stuckDeadLetter(c, in.DeadLetter)
		if err != nil {
			return app.DeadLetter{}, err
		}
		if !slices.ContainsFunc(l.Remaining, func(res fulfil.Resource) bool { return res.Step == in.Step }) || in.Ref == "" {
			return app.DeadLetter{}, fault.Violated([]fault.Violation{
				{Pointer: "/part", Code: "not-allowed", Message: "This is no part of the item that may still be there."},
			})
		}
		l.State, l.Reason = app.DeadLetterRedriven, in.Reason
		return l.DeadLetter, nil
	})
}

// AbandonDeadLetter requires the signatures of two people.
func (f *Fake) AbandonDeadLetter(_ context.Context, c app.Caller, in app.AbandonDeadLetter) (app.DeadLetter, error) {
	return write(f, "AbandonDeadLetter", c, in, func() (app.DeadLetter, error) {
		l, err := f.stuckDeadLetter(c, in.DeadLetter)
		if err != nil {
			return app.DeadLetter{}, err
		}
		if err := f.sign(l, c, in); err != nil {
			return app.DeadLetter{}, err
		}
		return l.DeadLetter, nil
	})
}

// sign adds the first signature to a dead letter, or the second one, which abandons it.
func (f *Fake) sign(l *app.DeadLetterDetail, c app.Caller, in app.AbandonDeadLetter) error {
	now, a := f.Now(), &l.Abandonment
	switch {
	case !slices.Contains(l.AbandonReasons, in.AbandonReason):
		return fault.Violated([]fault.Violation{{Pointer: "/reason", Code: "not-allowed", Message: "Say on what grounds."}})
	case !a.Awaits() && in.Proof == "":
		return fault.Violated([]fault.Violation{
			{Pointer: "/proof", Code: "required", Message: "Say what proves it: a ticket, a protocol, a transfer's reference."},
		})
	case !a.Awaits():
		*a = app.Abandonment{
			AbandonReason: in.AbandonReason, Text: in.Text, Proof: in.Proof, FirstBy: c.Member, FirstAt: &now,
		}
	case a.FirstBy == c.Member:
		return fault.New(fault.KindConflict, "second-person-required",
			"You signed this first; another key of yours does not make you two. Ask another operator to sign.")
	case a.AbandonReason != in.AbandonReason:
		return fault.New(fault.KindConflict, "grounds-differ",
			"The first signature says %s. Sign the same, or have the first one withdrawn.", a.AbandonReason)
	default:
		a.SecondBy, l.State, l.ClosedAt, l.Reason = c.Member, app.DeadLetterAbandoned, &now, string(a.AbandonReason)
	}
	return nil
}

// WithdrawAbandonment removes the caller's own first signature.
func (f *Fake) WithdrawAbandonment(_ context.Context, c app.Caller, id deadLetterID) (app.DeadLetter, error) {
	return write(f, "WithdrawAbandonment", c, id, func() (app.DeadLetter, error) {
		l, err := f.stuckDeadLetter(c, id)
		if err != nil {
			return app.DeadLetter{}, err
		}
		if l.Abandonment.FirstBy != c.Member {
			return app.DeadLetter{}, fault.New(fault.KindConflict, "not-your-signature",
				"Somebody else signed this. Who does not agree tries it again (redrive), which voids the signature.")
		}
		l.Abandonment = app.Abandonment{}
		return l.DeadLetter, nil
	})
}
