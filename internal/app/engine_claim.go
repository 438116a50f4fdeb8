package app

import (
	"context"
	"slices"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
)

// judge looks at the resource that a person says is there. Nothing is changed at the provider: a claim that holds
// only adds the id to the journal, and the clean-up goes on from there.
func (a *App) judge(
	ctx context.Context, p provider.Provider, d *Dossier, u *fulfil.Unit, it *order.Item,
) fulfil.Result {
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
		return fulfil.Result{
			Class: fault.Forbidden, Judged: true,
			Note: what + " does not carry the labels of this item's " + own.Part + ", and is left alone",
		}
	}
	return fulfil.Result{
		Class: fault.Pending, NotSent: true, Judged: true, Ref: u.Claim.Ref,
		Note: what + " is this item's: adopted, to be removed",
	}
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
