package app

import (
	"context"
	"errors"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/provider"
)

// turn makes the call of the unit's present step in its direction when perform is set, and else looks what
// became of it.
func (a *App) turn(
	ctx context.Context, p provider.Provider, d *Dossier, u *fulfil.Unit, perform bool,
) fulfil.Result {
	it := d.Order.Find(u.Item)
	if u.Claim.Ref != "" {
		return a.judge(ctx, p, d, u, it)
	}
	if u.Parts[u.Step] == credentialsStep {
		if u.Undoing {
			return fulfil.Result{Class: fault.None, Note: "credentials discarded"}
		}
		return a.sealCredentials(ctx, p, d, u, it)
	}
	steps, err := a.plan(d, it)
	if err != nil {
		return failed(err)
	}
	s := steps[u.Step]
	for _, earlier := range steps[:u.Step] {
		s.Needs = append(s.Needs, provider.Ref(d.refOf(u.ID, earlier.Part)))
	}
	part := d.newestPart(u.ID, s.Part)
	switch {
	case u.Undoing && part == nil:
		return fulfil.Result{Class: fault.None, Note: "never begun"}
	case u.Undoing && perform:
		return a.remove(ctx, p, s, u, part)
	case u.Undoing:
		return a.lookGone(ctx, p, s, part)
	case perform:
		return a.create(ctx, p, s)
	default:
		return a.lookReady(ctx, p, s, part)
	}
}

// failed turns an adapter's error into a result: its class, and our own words.
func failed(err error) fulfil.Result {
	r := fulfil.Result{Class: provider.ClassOf(err)}
	var e *provider.Error
	if errors.As(err, &e) {
		r.After, r.Code = e.After, e.Code
	}
	r.Note = "the provider answered: " + r.Class.String()
	if r.Code != "" {
		r.Note += " (" + r.Code + ")"
	}
	if (r.Class == fault.RateLimited || r.Class == fault.Parked || r.Class == fault.Pending) && r.After == 0 {
		r.After = 2 * time.Second
	}
	return r
}

// tuned turns a part's progress into the item's, and sets a wait for capacity: the next one of the schedule,
// or what is left of the item's limit.
func tuned(u fulfil.Unit, r fulfil.Result) fulfil.Result {
	if !u.Undoing && len(u.Parts) > 0 {
		if r.Class == fault.None {
			r.Progress = 100
		}
		r.Progress = (u.Step*100 + r.Progress) / len(u.Parts)
	}
	if r.Class == fault.Capacity {
		r.After = min(fulfil.CapacityWait(u.Waited), max(0, u.CapacityLimit-u.Waited))
	}
	return r
}
