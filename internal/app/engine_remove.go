package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/provider"
)

// remove asks for the removal of everything the part's key names; nothing there is success too, but
// lookGone says so. What is left after that is asked for by the id in the journal where no list shows it.
func (a *App) remove(
	ctx context.Context, p provider.Provider, s provider.Step, task *fulfil.Task, res *fulfil.Resource,
) fulfil.Result {
	var ref provider.Ref
	if task.Try > 0 {
		ref = unlisted(ctx, p, s, res)
	}
	err := p.Delete(ctx, s, ref)
	if err == nil || provider.ClassOf(err) == fault.NotFound {
		return fulfil.Result{Class: fault.Pending, Phase: fulfil.Deleting, Note: "delete accepted"}
	}
	r := failed(err)
	switch r.Class {
	case fault.RateLimited, fault.Suspended:
		r.NotSent = true
	case fault.Ambiguous, fault.Pending:
		r.After = p.Capabilities().PollEvery // before looking what became of it
	default: // as the class says
	}
	return r
}

// unlisted is a resource of the part that answers by its id while a list by key shows nothing; else
// empty. A read that fails finds nothing: the delete by key then goes first again.
func unlisted(ctx context.Context, p provider.Provider, s provider.Step, res *fulfil.Resource) provider.Ref {
	obs, err := p.Observe(ctx, s, "")
	if err != nil || obs.Phase != provider.Absent {
		return ""
	}
	for _, ref := range res.Refs {
		if obs, err = p.Observe(ctx, s, provider.Ref(ref)); err == nil && obs.Phase != provider.Absent {
			return provider.Ref(ref)
		}
	}
	return ""
}

// twoSightings is how far apart the two empty looks after an unanswered create must be.
const twoSightings = 10 * time.Second

// surelyAbsent reports whether a part whose create was never answered will not appear any more: its settle
// window is over, and an earlier look found nothing either.
func (a *App) surelyAbsent(res *fulfil.Resource) bool {
	now := a.Clock.Now()
	return !now.Before(res.SettleUntil) && !res.AbsentSince.IsZero() &&
		now.Sub(res.AbsentSince) >= a.wait(twoSightings)
}

// lookGone confirms absence: by key and, lists being late at times, by every id in the journal. A part
// whose create was never answered may still appear: it takes two empty looks, the second after the
// settle window.
func (a *App) lookGone(ctx context.Context, p provider.Provider, s provider.Step, res *fulfil.Resource) fulfil.Result {
	caps := p.Capabilities()
	obs, err := p.Observe(ctx, s, "")
	for _, ref := range res.Refs {
		if err == nil && obs.Phase == provider.Absent {
			obs, err = p.Observe(ctx, s, provider.Ref(ref))
		}
	}
	if err != nil {
		r := failed(err)
		if r.Class != fault.RateLimited && r.Class != fault.Suspended {
			r.Class, r.After = fault.Pending, caps.PollEvery
		}
		return r
	}
	switch obs.Phase {
	case provider.Absent:
		if len(res.Refs) == 0 && !a.surelyAbsent(res) {
			return fulfil.Result{
				Class: fault.Pending, After: caps.PollEvery, Absent: true,
				Note: "nothing found; looking again, the create was never answered",
			}
		}
		return fulfil.Result{Class: fault.None, Phase: fulfil.Gone, Note: "confirmed absent"}
	case provider.Deleting:
		return fulfil.Result{Class: fault.Pending, After: caps.PollEvery, Phase: fulfil.Deleting, Note: "being removed"}
	default:
	}
	// Still there: the delete did not take. Another one is another call, with a retry's wait before it.
	return fulfil.Result{Class: fault.Retryable, Note: "still there after the delete"}
}
