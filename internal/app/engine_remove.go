package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/provider"
)

// remove asks the provider to delete everything under the step's key. A retry also names the id in the journal
// of a resource that no list shows. When nothing is there the delete is taken as accepted; only confirmGone
// decides that the resource is gone.
func (a *App) remove(
	ctx context.Context, p provider.Provider, s provider.Step, task *fulfil.Task, res *fulfil.Resource,
) fulfil.Result {
	var ref provider.Ref
	if task.Try > 0 {
		ref = findUnlisted(ctx, p, s, res)
	}
	err := p.Delete(ctx, s, ref)
	if err == nil || provider.ClassOf(err) == fault.NotFound {
		return fulfil.Result{Class: fault.Pending, Phase: fulfil.Deleting, Note: "delete accepted"}
	}
	r := resultOfError(err)
	switch r.Class {
	case fault.RateLimited, fault.Suspended:
		r.NotSent = true
	case fault.Ambiguous, fault.Pending:
		r.After = p.Capabilities().PollEvery // then confirmGone looks
	default: // as the class says
	}
	return r
}

// findUnlisted returns a resource of the step that can be read by its id although the list by key is empty, or
// "". It also returns "" when a read fails; then the delete goes by key again.
func findUnlisted(ctx context.Context, p provider.Provider, s provider.Step, res *fulfil.Resource) provider.Ref {
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

// absenceInterval is the least time between the two empty observations that confirm that a create without an
// answer made nothing.
const absenceInterval = 10 * time.Second

// absenceConfirmed reports whether a resource whose create was never answered cannot appear any more: its settle
// window is over, and an observation at least absenceInterval ago found nothing either.
func (a *App) absenceConfirmed(res *fulfil.Resource) bool {
	now := a.Clock.Now()
	return !now.Before(res.SettleUntil) && !res.AbsentSince.IsZero() &&
		now.Sub(res.AbsentSince) >= a.wait(absenceInterval)
}

// confirmGone confirms that a step's resource is gone: by its key and, because lists may lag, by every id in the
// journal. A resource whose create was never answered may still appear, so it takes two empty observations, the
// second one after the settle window.
func (a *App) confirmGone(
	ctx context.Context, p provider.Provider, s provider.Step, res *fulfil.Resource,
) fulfil.Result {
	caps := p.Capabilities()
	obs, err := p.Observe(ctx, s, "")
	for _, ref := range res.Refs {
		if err == nil && obs.Phase == provider.Absent {
			obs, err = p.Observe(ctx, s, provider.Ref(ref))
		}
	}
	if err != nil {
		r := resultOfError(err)
		if r.Class != fault.RateLimited && r.Class != fault.Suspended {
			r.Class, r.After = fault.Pending, caps.PollEvery
		}
		return r
	}
	switch obs.Phase {
	case provider.Absent:
		if len(res.Refs) == 0 && !a.absenceConfirmed(res) {
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
	// The delete had no effect. The next one is a retry, with a retry's wait.
	return fulfil.Result{Class: fault.Retryable, Note: "still there after the delete"}
}
