package portaltest

import (
	"context"
	"slices"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

type letterID = id.Of[app.DeadLetter]

// DeadLetters lists those of the story.
func (f *Fake) DeadLetters(_ context.Context, c app.Caller, q app.DeadLetterFilter) (app.Page[app.DeadLetter], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page app.Page[app.DeadLetter]
	for i := range f.letters {
		if l := &f.letters[i]; f.owner(l) == c.Tenant && (q.State == nil || *q.State == l.State) {
			page.Data = append(page.Data, l.DeadLetter)
		}
	}
	return page, nil
}

// DeadLetter reads one with what the story wrote about it.
func (f *Fake) DeadLetter(_ context.Context, c app.Caller, id letterID) (app.LetterDetail, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.letter(c, id)
	if err != nil {
		return app.LetterDetail{}, err
	}
	d := *l
	h, err := f.find(c, d.Order)
	if err != nil {
		return app.LetterDetail{}, err
	}
	dossier := copied(h)
	d.Of, d.About = dossier.Order, dossier.Order.Find(d.Item)
	if d.About != nil {
		d.Refund = dossier.Order.RefundOf(d.Item)
	}
	if d.Work = dossier.Unit(d.Unit); d.State != app.LetterOpen {
		d.Allows = nil
	}
	d.First, d.Second = f.member(d.Abandonment.FirstBy), f.member(d.Abandonment.SecondBy)
	return d, nil
}

func (f *Fake) member(m tenant.MemberID) *app.Member {
	if who, ok := f.members[m]; ok {
		return &who
	}
	return nil
}

func (f *Fake) owner(l *app.LetterDetail) tenant.ID {
	for _, h := range f.orders {
		if h.d.Order.ID == l.Order {
			return h.d.Order.Tenant
		}
	}
	return tenant.ID{}
}

func (f *Fake) letter(c app.Caller, id letterID) (*app.LetterDetail, error) {
	for i := range f.letters {
		if l := &f.letters[i]; l.ID == id && f.owner(l) == c.Tenant {
			return l, nil
		}
	}
	return nil, fault.Absent()
}

// stuck is letter for what a person may still decide about.
func (f *Fake) stuckLetter(c app.Caller, id letterID) (*app.LetterDetail, error) {
	l, err := f.letter(c, id)
	if err == nil && l.State != app.LetterOpen {
		return nil, fault.New(fault.KindConflict, "not-stuck", "Nothing is stuck behind this dead letter (any more): there is nothing to try again or to give up.")
	}
	return l, err
}

// LetterGroups counts the open ones.
func (f *Fake) LetterGroups(_ context.Context, c app.Caller, _ app.DeadLetterFilter) ([]app.LetterGroup, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var groups []app.LetterGroup
	for i := range f.letters {
		l := &f.letters[i]
		if f.owner(l) != c.Tenant || l.State != app.LetterOpen {
			continue
		}
		at := slices.IndexFunc(groups, func(g app.LetterGroup) bool { return g.Cause == l.Code && g.Class == l.Class })
		if at < 0 {
			at, groups = len(groups), append(groups, app.LetterGroup{Cause: l.Code, Class: l.Class, Oldest: l.FirstFailedAt, Newest: l.At})
		}
		groups[at].Count++
	}
	return groups, nil
}

// RedriveDeadLetter marks one.
func (f *Fake) RedriveDeadLetter(_ context.Context, c app.Caller, id letterID, reason string) (app.DeadLetter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.stuckLetter(c, id)
	if err != nil {
		return app.DeadLetter{}, err
	}
	l.State, l.Reason, l.Abandonment = app.LetterRedriven, reason, app.Abandonment{}
	return l.DeadLetter, nil
}

// RedriveDeadLetters marks the open ones of a cause and class.
func (f *Fake) RedriveDeadLetters(_ context.Context, c app.Caller, in app.RedriveLetters) (app.RedriveReport, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var report app.RedriveReport
	for i := range f.letters {
		if l := &f.letters[i]; f.owner(l) == c.Tenant && l.State == app.LetterOpen && l.Code == in.Cause && in.Class != nil && l.Class == *in.Class {
			l.State, l.Reason = app.LetterRedriven, in.Reason
			report.Letters = append(report.Letters, app.Redriven{Letter: l.ID, Order: l.Order, Outcome: app.RedriveDone})
		}
	}
	return report, nil
}

// AdoptDeadLetter takes every claim about a part that is left.
func (f *Fake) AdoptDeadLetter(_ context.Context, c app.Caller, in app.AdoptLetter) (app.DeadLetter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.stuckLetter(c, in.Letter)
	if err != nil {
		return app.DeadLetter{}, err
	}
	if !slices.ContainsFunc(l.Left, func(p fulfil.Part) bool { return p.Part == in.Part }) || in.Ref == "" {
		return app.DeadLetter{}, fault.Violated([]fault.Violation{{Pointer: "/part", Code: "not-allowed", Message: "This is no part of the item that may still be there."}})
	}
	l.State, l.Reason = app.LetterRedriven, in.Reason
	return l.DeadLetter, nil
}

// AbandonDeadLetter takes two signatures, of two people.
func (f *Fake) AbandonDeadLetter(_ context.Context, c app.Caller, in app.AbandonLetter) (app.DeadLetter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.stuckLetter(c, in.Letter)
	if err != nil {
		return app.DeadLetter{}, err
	}
	now := f.Now()
	a := &l.Abandonment
	switch {
	case !slices.Contains(l.Allows, in.Grounds):
		return app.DeadLetter{}, fault.Violated([]fault.Violation{{Pointer: "/reason", Code: "not-allowed", Message: "Say on what grounds."}})
	case !a.Awaits() && in.Proof == "":
		return app.DeadLetter{}, fault.Violated([]fault.Violation{{Pointer: "/proof", Code: "required", Message: "Say what proves it: a ticket, a protocol, a transfer's reference."}})
	case !a.Awaits():
		*a = app.Abandonment{Grounds: in.Grounds, Text: in.Text, Proof: in.Proof, FirstBy: c.Member, FirstAt: &now}
	case a.FirstBy == c.Member:
		return app.DeadLetter{}, fault.New(fault.KindConflict, "second-person-required", "You signed this first; another key of yours does not make you two. Ask another operator to sign.")
	case a.Grounds != in.Grounds:
		return app.DeadLetter{}, fault.New(fault.KindConflict, "grounds-differ", "The first signature says %s. Sign the same, or have the first one withdrawn.", a.Grounds)
	default:
		a.SecondBy, l.State, l.ClosedAt, l.Reason = c.Member, app.LetterAbandoned, &now, string(a.Grounds)
	}
	return l.DeadLetter, nil
}

// WithdrawAbandonment takes the visitor's own first signature back.
func (f *Fake) WithdrawAbandonment(_ context.Context, c app.Caller, id letterID) (app.DeadLetter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.stuckLetter(c, id)
	if err != nil {
		return app.DeadLetter{}, err
	}
	if l.Abandonment.FirstBy != c.Member {
		return app.DeadLetter{}, fault.New(fault.KindConflict, "not-your-signature", "Somebody else signed this. Who does not agree tries it again (redrive), which voids the signature.")
	}
	l.Abandonment = app.Abandonment{}
	return l.DeadLetter, nil
}

// letterAbout puts a letter about an item's stuck clean-up on the desk, with what is known of it.
func (s *Story) letterAbout(name string, d *app.Dossier, l app.DeadLetter, calls []app.LogEntry, left []fulfil.Part) {
	it, unit := &d.Order.Items[0], fulfil.UnitID(s.Fake.id())
	d.Units = append(d.Units, fulfil.Unit{ID: unit, Item: it.ID, Kind: fulfil.Provision, State: fulfil.Stuck, Undoing: true, Try: 5})
	l.ID, l.Order, l.Item, l.Unit, l.Source = s.Fake.id(), d.Order.ID, it.ID, unit, "step"
	if len(calls) > 0 {
		l.FirstFailedAt, l.At = calls[0].At, calls[len(calls)-1].At
	}
	detail := app.LetterDetail{DeadLetter: l, Calls: calls, Left: left, Allows: []app.Grounds{app.VerifiedAbsent, app.RemovedByHand, app.AccountClosed, app.OtherGrounds}}
	for i := range calls {
		if calls[i].What == app.LogAnswer {
			detail.Last = &calls[i]
		}
	}
	s.Fake.letters = append(s.Fake.letters, detail)
	s.Letters[name] = l.ID
}

// stuckOrder is an order whose one item was refunded and cannot be removed.
func (s *Story) stuckOrder(name, label string, then func(d *app.Dossier)) {
	o := s.provisioning(name, vps(label, "core"))
	s.Fake.Change(o, func(d *app.Dossier) {
		it := &d.Order.Items[0]
		it.Progress = 80
		mustMove(d.Order, it, order.Unrecoverable)
		r := d.Order.RequestRefund(s.Fake.id(), it, "")
		d.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
		mustMove(d.Order, it, order.UndoExhausted)
		it.Detail = "The machine could not be removed"
		then(d)
		d.Order.Resettle("")
	})
}
