package app

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
)

// AdoptLetter is what a person says is there: a part of a stuck clean-up, by the provider's own id.
type AdoptLetter struct {
	Letter id.Of[DeadLetter]
	Part   string
	Ref    string
	Reason string
}

// refForm is how providers write ids: names, UUIDs, URNs, paths of them.
var refForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$`)

// AdoptDeadLetter tries a stuck clean-up again, with a resource that a person found at the provider
// (fulfilment.md, Stuck and dead letters: "it is there"). Here the claim is only written down: the worker
// reads the resource by its id and takes it for the part when it carries the labels of this very item and
// part; then it is removed like any other, by that id too. A claim that does not hold leaves the resource
// alone, and the work stands on the desk again.
func (a *App) AdoptDeadLetter(ctx context.Context, c Caller, in AdoptLetter) (DeadLetter, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return DeadLetter{}, err
	}
	if faults := in.faults(); len(faults) > 0 {
		return DeadLetter{}, fault.Violated(faults)
	}
	return write(ctx, a, c, func(tx Tx) (DeadLetter, error) {
		d, open, u, err := a.stuckBehind(ctx, tx, c, in.Letter)
		if err != nil {
			return DeadLetter{}, err
		}
		if u.Kind != fulfil.Provision {
			return DeadLetter{}, fault.New(fault.KindConflict, "not-adoptable", "What is stuck here is no resource at a provider: there is nothing to be found.")
		}
		if left := d.left(u.ID); !slices.Contains(left, in.Part) {
			v := fault.Violation{Pointer: "/part", Code: "not-allowed", Message: "This is no part of the item that may still be there."}
			for _, part := range left {
				v.Allowed = append(v.Allowed, part)
			}
			return DeadLetter{}, fault.Violated([]fault.Violation{v})
		}
		u.Claim = fulfil.Claim{Part: in.Part, Ref: in.Ref}
		if err := a.redrive(tx, d, u, in.Reason); err != nil {
			return DeadLetter{}, err
		}
		voided := d.closeRedriven(u, in.Letter, in.Reason, tx.Now())
		d.decide(*open, tx.Now(), "said to be there by "+event.ActorText(c.Actor)+": "+in.Part+" as "+in.Ref+said(in.Reason)+voided)
		a.settle(d, tx.Now(), in.Reason)
		return *open, a.save(tx, d, c.cause())
	})
}

func (in AdoptLetter) faults() []fault.Violation {
	var faults []fault.Violation
	if in.Part == "" {
		faults = append(faults, fault.Violation{Pointer: "/part", Code: "required", Message: "Say which part of the item it is."})
	}
	if !refForm.MatchString(in.Ref) {
		faults = append(faults, fault.Violation{Pointer: "/ref", Code: "malformed", Message: "Give the provider's own id of the resource."})
	}
	if strings.TrimSpace(in.Reason) == "" {
		faults = append(faults, fault.Violation{Pointer: "/reason", Code: "required", Message: "Say how you know that it is this one."})
	}
	return append(faults, textFaults("/reason", in.Reason, maxReason)...)
}

// left names the parts of a unit that are not confirmed gone, in the journal's order, each once.
func (d *Dossier) left(u fulfil.UnitID) []string {
	var parts []string
	for _, p := range d.Parts {
		if p.Unit == u && p.Phase != fulfil.Gone && !slices.Contains(parts, p.Part) {
			parts = append(parts, p.Part)
		}
	}
	return parts
}

// judge looks at what a person says is there. Nothing is changed at the provider: a claim that holds
// only adds the id to the journal, and the clean-up goes on from there.
func (a *App) judge(ctx context.Context, p provider.Provider, d *Dossier, u *fulfil.Unit, it *order.Item) fulfil.Result {
	steps, err := a.plan(d, it)
	if err != nil {
		return failed(err)
	}
	i := slices.IndexFunc(steps, func(s provider.Step) bool { return s.Part == u.Claim.Part })
	if i < 0 {
		return fulfil.Result{Class: fault.Invalid, Judged: true, Note: "the plan of the item has no part " + u.Claim.Part}
	}
	what := "what was said to be the " + u.Claim.Part
	obs, err := p.Observe(ctx, steps[i], provider.Ref(u.Claim.Ref))
	if err != nil {
		r := failed(err)
		switch r.Class {
		case fault.RateLimited, fault.Parked:
		case fault.Invalid, fault.Forbidden, fault.NotFound:
			r.Judged, r.Note = true, what+" cannot be read: "+r.Class.String()
		default: // a fault of a read says nothing of the resource
			r.Class, r.After = fault.Pending, p.Capabilities().PollEvery
		}
		return r
	}
	k, own := obs.Key, steps[i].Key
	switch {
	case obs.Phase == provider.Absent:
		return fulfil.Result{Class: fault.NotFound, Judged: true, Note: what + " is not there"}
	case k.Installation != own.Installation || k.Item != own.Item || k.Part != own.Part:
		return fulfil.Result{Class: fault.Forbidden, Judged: true, Note: what + " does not carry the labels of this item's " + own.Part + ", and is left alone"}
	}
	return fulfil.Result{Class: fault.Pending, NotSent: true, Judged: true, Ref: u.Claim.Ref, Note: what + " is this item's: adopted, to be removed"}
}

// believe writes an adopted id into the journal; "" when the claim did not hold.
func (d *Dossier) believe(from fulfil.Unit, ref string) {
	p := d.newestPart(from.ID, from.Claim.Part)
	if ref == "" || p == nil || slices.Contains(p.Refs, ref) {
		return
	}
	p.Refs = append([]string{ref}, p.Refs...)
	if p.Phase == fulfil.Intent {
		p.Phase = fulfil.Created
	}
}
