package app

import (
	"context"
	"errors"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/provider"
)

// callProvider makes the call of the task's current step when perform is true: a create, or a delete when the
// task is compensating. Otherwise it observes what an earlier call did.
func (a *App) callProvider(
	ctx context.Context, p provider.Provider, agg *Aggregate, task *fulfil.Task, perform bool,
) fulfil.Result {
	it := agg.Order.Find(task.Item)
	if task.Assertion.Ref != "" {
		return a.checkAssertion(ctx, p, agg, task, it)
	}
	if task.Steps[task.Step] == credentialsStep {
		if task.Compensating {
			return fulfil.Result{Class: fault.None, Note: "credentials discarded"}
		}
		return a.sealCredentials(ctx, p, agg, task, it)
	}
	steps, err := a.plan(agg, it)
	if err != nil {
		return resultOfError(err)
	}
	s := steps[task.Step]
	for _, earlier := range steps[:task.Step] {
		s.Needs = append(s.Needs, provider.Ref(agg.refOf(task.ID, earlier.Name)))
	}
	res := agg.newestResource(task.ID, s.Name)
	switch {
	case task.Compensating && res == nil:
		return fulfil.Result{Class: fault.None, Note: "never begun"}
	case task.Compensating && perform:
		return a.remove(ctx, p, s, task, res)
	case task.Compensating:
		return a.confirmGone(ctx, p, s, res)
	case perform:
		return a.create(ctx, p, s)
	default:
		return a.observeCreated(ctx, p, s, res)
	}
}

// resultOfError returns the result for an adapter's error. Its note is in our own words, never the provider's.
func resultOfError(err error) fulfil.Result {
	r := fulfil.Result{Class: provider.ClassOf(err)}
	var e *provider.Error
	if errors.As(err, &e) {
		r.After, r.Code = e.After, e.Code
	}
	r.Note = "the provider answered: " + r.Class.String()
	if r.Code != "" {
		r.Note += " (" + r.Code + ")"
	}
	if (r.Class == fault.RateLimited || r.Class == fault.Suspended || r.Class == fault.Pending) && r.After == 0 {
		r.After = 2 * time.Second
	}
	return r
}

// adjustResult converts a step's progress into the item's, and sets the wait after a lack of capacity: the next
// one of the schedule, but no more than what is left of the item's limit.
func adjustResult(task fulfil.Task, r fulfil.Result) fulfil.Result {
	if !task.Compensating && len(task.Steps) > 0 {
		if r.Class == fault.None {
			r.Progress = 100
		}
		r.Progress = (task.Step*100 + r.Progress) / len(task.Steps)
	}
	if r.Class == fault.Capacity {
		r.After = min(fulfil.CapacityWait(task.Waited), max(0, task.CapacityLimit-task.Waited))
	}
	return r
}
