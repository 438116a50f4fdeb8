package app

import (
	"context"
	"errors"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/provider"
)

// turn makes the call of the task's present step in its direction when perform is set, and else looks what
// became of it.
func (a *App) turn(
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
		return failed(err)
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
		return a.lookGone(ctx, p, s, res)
	case perform:
		return a.create(ctx, p, s)
	default:
		return a.lookReady(ctx, p, s, res)
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
	if (r.Class == fault.RateLimited || r.Class == fault.Suspended || r.Class == fault.Pending) && r.After == 0 {
		r.After = 2 * time.Second
	}
	return r
}

// tuned turns a part's progress into the item's, and sets a wait for capacity: the next one of the schedule,
// or what is left of the item's limit.
func tuned(task fulfil.Task, r fulfil.Result) fulfil.Result {
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
