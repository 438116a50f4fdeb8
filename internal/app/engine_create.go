package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
)

// create asks the provider for the step's resource. The adapter adopts a resource that has the key already;
// otherwise it sends one mutating request.
func (a *App) create(ctx context.Context, p provider.Provider, s provider.Step) fulfil.Result {
	var noted provider.Ref
	note := func(_ context.Context, r provider.Ref) error { noted = r; return nil }
	ref, err := p.Create(ctx, s, provider.JournalFunc(note))
	if err == nil {
		return fulfil.Result{
			Class: fault.Pending, After: p.Capabilities().PollEvery, Ref: string(ref), Phase: fulfil.Created,
			Note: "accepted", Detail: s.Name + " is being built",
		}
	}
	r := resultOfError(err)
	r.Ref = string(noted)
	switch r.Class {
	case fault.RateLimited, fault.Suspended:
		r.NotSent = true
	case fault.NotFound:
		r.Class = fault.Invalid // a missing image or network does not appear on a retry
	case fault.Pending:
		r.After = p.Capabilities().PollEvery
	default: // as the class says
	}
	return r
}

// observeCreated observes the outcome of a create whose intent is in the journal.
func (a *App) observeCreated(
	ctx context.Context, p provider.Provider, s provider.Step, res *fulfil.Resource,
) fulfil.Result {
	caps := p.Capabilities()
	known := ""
	if res != nil && len(res.Refs) > 0 {
		known = res.Refs[0]
	}
	obs, err := p.Observe(ctx, s, "")
	if err != nil {
		r := resultOfError(err)
		if r.Class != fault.RateLimited && r.Class != fault.Suspended { // a failed read says nothing about the resource
			r.Class, r.After = fault.Ambiguous, caps.PollEvery
		}
		return r
	}
	r := fulfil.Result{Progress: int(obs.Progress), Detail: obs.Detail, After: caps.PollEvery, Class: fault.Pending}
	switch obs.Phase {
	case provider.Ready:
		if len(obs.Matches) > 1 {
			return a.removeDuplicates(ctx, p, s, obs.Matches, known, r)
		}
		return fulfil.Result{Class: fault.None, Ref: string(obs.Matches[0]), Phase: fulfil.Ready, Note: "ready"}
	case provider.Failed:
		return removeFailed(ctx, p, s, obs, r)
	case provider.Absent:
		return a.resultWhenAbsent(s, res, known, r)
	default: // still being created or deleted: look again
	}
	if len(obs.Matches) > 0 {
		r.Ref = string(obs.Matches[0])
	}
	return r
}

// resultWhenAbsent returns the result for a step whose create was called but whose resource is not seen.
func (a *App) resultWhenAbsent(s provider.Step, res *fulfil.Resource, known string, r fulfil.Result) fulfil.Result {
	now := a.Clock.Now()
	switch {
	case res != nil && res.Phase == fulfil.Deleting:
		return fulfil.Result{Class: fault.Retryable, FailedRemoved: true, Note: "the resource failed and was removed"}
	case known != "":
		r.Note = "accepted, not visible yet" // looks again until the deadline
		return r
	case s.Naming == provider.NamingNone && res != nil && now.Before(res.SettleUntil):
		r.Class, r.Note = fault.Ambiguous, "no answer and nothing found yet"
		return r
	}
	called := now
	if res != nil {
		called = res.CalledAt
	}
	// The backoff counts from the call, so the time spent looking is part of it.
	return fulfil.Result{Class: fault.Retryable, Note: "nothing was made", At: called}
}

// removeFailed removes a resource that the provider could not build. The class of its result says how the task
// continues.
func removeFailed(
	ctx context.Context, p provider.Provider, s provider.Step, obs provider.Observation, r fulfil.Result,
) fulfil.Result {
	r.Phase, r.Note = fulfil.Deleting, "a failed resource is being removed"
	err := p.Delete(ctx, s, "")
	if err != nil && provider.ClassOf(err) != fault.NotFound {
		r.Note = "removing a failed resource: " + provider.ClassOf(err).String()
	} else if obs.Fault != nil && obs.Fault.Class == fault.Capacity {
		// A lack of capacity has its own wait, and the next try has a new generation. If the failed resource
		// survives its delete, it is found beside the new one and removed as a duplicate.
		r.Class, r.FailedRemoved, r.Note = fault.Capacity, true, "no room; the failed resource is being removed"
	}
	return r
}

// removeDuplicates removes all but one of the resources under a step's key. It keeps the one in the journal, or
// else the oldest.
func (a *App) removeDuplicates(
	ctx context.Context, p provider.Provider, s provider.Step, matches []provider.Ref, known string, r fulfil.Result,
) fulfil.Result {
	keep := matches[0]
	for _, m := range matches {
		if string(m) == known {
			keep = m
		}
	}
	for _, m := range matches {
		if m != keep {
			if err := p.Delete(ctx, s, m); err != nil {
				r.Note = "removing a duplicate: " + provider.ClassOf(err).String()
				return r
			}
		}
	}
	r.Ref, r.Note = string(keep), "a duplicate is being removed"
	return r
}

// sealCredentials is the last step of an item: it fetches the credentials and seals them for the tenant.
func (a *App) sealCredentials(
	ctx context.Context, p provider.Provider, agg *Aggregate, task *fulfil.Task, it *order.Item,
) fulfil.Result {
	var refs []provider.Ref
	for _, step := range task.Steps[:len(task.Steps)-1] {
		refs = append(refs, provider.Ref(agg.refOf(task.ID, step)))
	}
	secret, err := p.Credentials(ctx, refs)
	if err != nil {
		r := resultOfError(err)
		if r.Class == fault.Ambiguous { // a read is safe to repeat
			r.Class = fault.Retryable
		}
		if r.Class == fault.Pending {
			r.After = p.Capabilities().PollEvery
		}
		return r
	}
	what := Sealing{
		Tenant: agg.Order.Tenant, Order: agg.Order.ID, Item: it.ID, Kind: "credential", Generation: it.Generation,
	}
	sealed, err := a.Sealer.Seal(ctx, what, secret.Reveal())
	if err != nil {
		a.Log.ErrorContext(ctx, "seal credentials", "order", agg.Order.ID.String(), "item", it.ID.String(), "error", err)
		return fulfil.Result{Class: fault.Retryable, Note: "the credentials could not be sealed"}
	}
	return fulfil.Result{Class: fault.None, Sealed: sealed, Note: "credentials sealed"}
}
