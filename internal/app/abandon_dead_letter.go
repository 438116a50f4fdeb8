package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// AbandonReason is the reason for which stuck work is abandoned; the names are stored.
type AbandonReason string

// The reasons for which stuck work may be abandoned (docs/runbook.md). A stuck refund takes RefundedByHand alone,
// because the customer must have got the money another way (D4).
const (
	VerifiedAbsent AbandonReason = "verified_absent"
	RemovedByHand  AbandonReason = "removed_by_hand"
	AccountClosed  AbandonReason = "account_closed"
	RefundedByHand AbandonReason = "refunded_by_hand"
	OtherReason    AbandonReason = "other"
)

// AllAbandonReasons returns all reasons, in the sequence in which the API lists them.
func AllAbandonReasons() []AbandonReason {
	return []AbandonReason{VerifiedAbsent, RemovedByHand, AccountClosed, RefundedByHand, OtherReason}
}

// abandonReasons gives the reasons for which each kind of stuck work may be abandoned. A delivery has none: what
// was paid for and built is mailed until it arrives (D21).
var abandonReasons = map[fulfil.Kind][]AbandonReason{
	fulfil.Provision: {VerifiedAbsent, RemovedByHand, AccountClosed, OtherReason},
	fulfil.Refund:    {RefundedByHand},
	fulfil.Notify:    {OtherReason},
	fulfil.Checkout:  {OtherReason},
	fulfil.Redrive:   {OtherReason},
}

// Abandonment is the decision to give stuck work up. Two members sign it, who differ in id and in login subject.
type Abandonment struct {
	AbandonReason AbandonReason // "" until the first signature
	Text          string        // in the words of the first signer
	Proof         string        // such as a ticket, a transfer's reference or the place of a protocol
	FirstBy       tenant.MemberID
	FirstAt       *time.Time
	SecondBy      tenant.MemberID // zero until the second signature
}

// Awaits reports whether the second signature is missing.
func (a Abandonment) Awaits() bool { return !a.FirstBy.IsZero() && a.SecondBy.IsZero() }

// AbandonDeadLetter is one signature of an abandonment. The second one must state the same reason; its text and
// proof are only added to the saga log.
type AbandonDeadLetter struct {
	DeadLetter    id.Of[DeadLetter]
	AbandonReason AbandonReason
	Text          string
	Proof         string
}

// AbandonDeadLetter signs the abandonment of stuck work. The first signature changes only the dead letter, which
// stays open. The second one, by another person, closes the task and settles the item or the refund. If the first
// signer has lost the permission meanwhile, that signature is void and the next one is the first.
func (a *App) AbandonDeadLetter(ctx context.Context, c Caller, in AbandonDeadLetter) (DeadLetter, error) {
	if err := a.mayAsMember(c, WorkDesk); err != nil {
		return DeadLetter{}, err
	}
	if faults := in.faults(); len(faults) > 0 {
		return DeadLetter{}, fault.Violated(faults)
	}
	return write(ctx, a, c, func(tx Tx) (DeadLetter, error) {
		agg, open, task, err := a.lockStuckTask(ctx, tx, c, in.DeadLetter)
		if err != nil {
			return DeadLetter{}, err
		}
		if err := checkAbandonable(open, task, in.AbandonReason); err != nil {
			return DeadLetter{}, err
		}
		first := agg.signer(open.Abandonment.FirstBy)
		if first == nil || !a.May(tenant.Actor{Kind: tenant.KindMember, Role: first.Role}, WorkDesk) {
			return *open, a.signFirst(tx, agg, open, c, in)
		}
		if err := checkSecondSigner(open, first, agg.signer(c.Member), in.AbandonReason); err != nil {
			return DeadLetter{}, err
		}
		return *open, a.abandon(tx, agg, open, task, c, in)
	})
}

func (in AbandonDeadLetter) faults() []fault.Violation {
	var faults []fault.Violation
	if !slices.Contains(AllAbandonReasons(), in.AbandonReason) {
		v := fault.Violation{Pointer: "/reason", Code: "not-allowed", Message: "Say on what grounds."}
		for _, g := range AllAbandonReasons() {
			v.Allowed = append(v.Allowed, string(g))
		}
		faults = append(faults, v)
	}
	faults = append(faults, textFaults("/text", in.Text, maxReason)...)
	return append(faults, textFaults("/proof", in.Proof, maxReason)...)
}

// mayAsMember is may for what only a member of the tenant can do.
func (a *App) mayAsMember(c Caller, p Permission) error {
	if c.Kind != tenant.KindMember {
		return fault.New(fault.KindForbidden, fault.CodeForbidden, "Only a member of your organisation signs this.")
	}
	return a.may(c.Actor, p)
}

// checkAbandonable returns a fault when the task's kind must not be abandoned for this reason. The fault says what
// to do instead.
func checkAbandonable(dl *DeadLetter, task *fulfil.Task, g AbandonReason) error {
	allowed := abandonReasons[task.Kind]
	if len(allowed) == 0 {
		e := fault.New(fault.KindConflict, "not-abandonable",
			"This cannot be abandoned: the customer has paid and the service is running. Try it again (redrive), or have it "+
				"delivered again (redeliver) once the address or the mail server is repaired.")
		e.Members = map[string]any{"instead": []string{"redrive", "redeliver"}}
		return e
	}
	if !slices.Contains(allowed, g) {
		v := fault.Violation{
			Pointer: "/reason", Code: "not-allowed",
			Message: "Stuck work of the kind " + dl.Source + " is given up on other grounds.",
		}
		if task.Kind == fulfil.Refund {
			v.Message = "The customer is owed this money. Refund it by hand, then say so with the transfer's reference as proof."
		}
		for _, a := range allowed {
			v.Allowed = append(v.Allowed, string(a))
		}
		return fault.Violated([]fault.Violation{v})
	}
	return nil
}

// signer returns one of the aggregate's signers, or nil when there is none (any more) with the id.
func (agg *Aggregate) signer(m tenant.MemberID) *Member {
	for i := range agg.Signers {
		if agg.Signers[i].ID == m && !m.IsZero() {
			return &agg.Signers[i]
		}
	}
	return nil
}

// signFirst stores the first signature. The work stays stuck and may still be redriven.
func (a *App) signFirst(tx Tx, agg *Aggregate, open *DeadLetter, c Caller, in AbandonDeadLetter) error {
	var faults []fault.Violation
	if strings.TrimSpace(in.Proof) == "" {
		faults = append(faults, fault.Violation{
			Pointer: "/proof", Code: "required", Message: "Say what proves it: a ticket, a protocol, a transfer's reference.",
		})
	}
	if in.AbandonReason == OtherReason && strings.TrimSpace(in.Text) == "" {
		faults = append(faults, fault.Violation{
			Pointer: "/text", Code: "required", Message: "Say in words what the grounds are.",
		})
	}
	if len(faults) > 0 {
		return fault.Violated(faults)
	}
	now := tx.Now()
	open.Abandonment = Abandonment{
		AbandonReason: in.AbandonReason, Text: in.Text, Proof: in.Proof, FirstBy: c.Member, FirstAt: &now,
	}
	agg.logDecision(*open, now, "to be abandoned ("+string(in.AbandonReason)+"), signed first by "+
		event.ActorText(c.Actor)+reasonSuffix(in.Text)+"; proof: "+in.Proof+"; awaits a second person")
	tx.Save(agg) // the order did not change: no version, no event
	return nil
}

// checkSecondSigner checks the second signature against the first: another member, another login, the same reason.
// Two API keys of one person do not make two people.
func checkSecondSigner(open *DeadLetter, first, second *Member, g AbandonReason) error {
	if second == nil {
		return fault.New(fault.KindForbidden, fault.CodeForbidden, "You are no member of this organisation any more.")
	}
	members := map[string]any{"first_by": open.Abandonment.FirstBy.String()}
	if first.ID == second.ID || first.Subject == second.Subject {
		why := "You signed this first; another key of yours does not make you two."
		if first.ID != second.ID {
			why = "Who signed first has the same login as you: two members with one login are one person."
		}
		e := fault.New(fault.KindConflict, "second-person-required", "%s Ask another operator to sign.", why)
		e.Members = members
		return e
	}
	if agreed := open.Abandonment.AbandonReason; g != agreed {
		e := fault.New(fault.KindConflict, "grounds-differ",
			"The first signature says %s. Sign the same, or have the first one withdrawn.", agreed)
		members["reason"] = string(agreed)
		e.Members = members
		return e
	}
	return nil
}

// abandon carries out an abandonment that two people signed.
func (a *App) abandon(
	tx Tx, agg *Aggregate, open *DeadLetter, task *fulfil.Task, c Caller, in AbandonDeadLetter,
) error {
	now, ab := tx.Now(), &open.Abandonment
	first := event.ActorText(tenant.Actor{Kind: tenant.KindMember, Member: ab.FirstBy})
	ab.SecondBy = c.Member
	open.State, open.ClosedAt, open.Reason = DeadLetterAbandoned, &now, string(ab.AbandonReason)+reasonSuffix(ab.Text)
	agg.logDecision(*open, now, "abandoned ("+string(ab.AbandonReason)+"), signed by "+
		first+reasonSuffix(ab.Text)+"; proof: "+ab.Proof+
		"; and by "+event.ActorText(c.Actor)+reasonSuffix(in.Text)+reasonSuffix(in.Proof))
	reason := "abandoned (" + string(ab.AbandonReason) + ") by " + first + " and " + event.ActorText(c.Actor) +
		reasonSuffix(ab.Text)
	task.State, task.Epoch, task.Sent = fulfil.Closed, task.Epoch+1, false
	switch task.Kind {
	case fulfil.Provision:
		if err := a.abandonItem(agg, task, reason, now); err != nil {
			return err
		}
	case fulfil.Refund:
		if r := agg.Order.RefundUnder(task.Payment, task.Item); r != nil && r.State == order.RefundStuck {
			agg.Order.MoveRefund(r, order.RefundAccepted, ab.Proof, now, reason)
			agg.Order.MoveRefund(r, order.RefundCompleted, "", now, reason)
		}
	case fulfil.Redrive: // the worker skips the event and applies those blocked behind it
		task.State, task.Try, task.NextAt = fulfil.Queued, 0, now
	default: // a notice or a checkout: the order does not depend on it
	}
	before := agg.Order.LastSeq
	a.settle(agg, now, reason)
	if task.Kind == fulfil.Provision || task.Kind == fulfil.Refund || agg.Order.LastSeq != before {
		return a.save(tx, agg, c.cause())
	}
	tx.Save(agg)
	return nil
}

// abandonItem settles the item of an abandoned provisioning task.
func (a *App) abandonItem(agg *Aggregate, task *fulfil.Task, reason string, now time.Time) error {
	it := agg.Order.Find(task.Item)
	if it == nil {
		return notStuck(agg.DeadLetter)
	}
	if err := agg.Order.AbandonItem(it, reason); err != nil {
		return err
	}
	if it.State == order.ItemRolledBack { // otherwise finishCompensated does this once the refund is accepted
		agg.Added.Destroyed = append(agg.Added.Destroyed, it.ID)
		agg.closeDeadLetters(it.ID, now)
	}
	return nil
}

// WithdrawAbandonment removes the caller's own first signature while the second one is missing.
func (a *App) WithdrawAbandonment(ctx context.Context, c Caller, dl id.Of[DeadLetter]) (DeadLetter, error) {
	if err := a.mayAsMember(c, WorkDesk); err != nil {
		return DeadLetter{}, err
	}
	return write(ctx, a, c, func(tx Tx) (DeadLetter, error) {
		agg, open, _, err := a.lockStuckTask(ctx, tx, c, dl)
		if err != nil {
			return DeadLetter{}, err
		}
		if !open.Abandonment.Awaits() {
			return DeadLetter{}, fault.New(fault.KindConflict, "not-signed",
				"Nobody has signed to abandon this, so there is nothing to withdraw.")
		}
		if open.Abandonment.FirstBy != c.Member {
			e := fault.New(fault.KindConflict, "not-your-signature",
				"Somebody else signed this. Who does not agree tries it again (redrive), which voids the signature.")
			e.Members = map[string]any{"first_by": open.Abandonment.FirstBy.String()}
			return DeadLetter{}, e
		}
		open.Abandonment = Abandonment{}
		agg.logDecision(*open, tx.Now(), "signature to abandon withdrawn by "+event.ActorText(c.Actor))
		tx.Save(agg)
		return *open, nil
	})
}
