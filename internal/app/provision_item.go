package app

import (
	"context"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// attemptTime is for how long one attempt may begin new turns. A call may take up to CallTimeout longer; the
// timeout of the job is longer than both together.
const attemptTime = 4 * time.Second

// ProvisionItem runs turns of an item's task until it must wait or attemptTime is over: one step, one call and one
// commit at a time. A wait below 0 means that the task is over; otherwise it is due again after wait. It never
// repeats a call whose intent has no result, but observes what the call did.
func (a *App) ProvisionItem(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	stop := a.Clock.Now().Add(attemptTime)
	for {
		agg, task, err := a.load(ctx, t, taskID)
		if err != nil || task == nil || !task.Live() {
			return -1, err
		}
		now := a.Clock.Now()
		if wait := task.NextAt.Sub(now); wait > 0 || now.After(stop) {
			return max(0, wait), nil
		}
		if task.Compensating && a.newerResourceRemains(agg, task) {
			return a.wait(time.Second), nil // across an order's items, the newest resource is removed first
		}
		if err := a.provisionTurn(ctx, agg, task, now); err != nil {
			return 0, err
		}
	}
}

// provisionTurn runs one turn of an item's task: intent, call, result, commit. When the intent exists already, it
// observes what the call did.
func (a *App) provisionTurn(ctx context.Context, agg *Aggregate, task *fulfil.Task, now time.Time) error {
	p, ok := a.Providers[task.Queue]
	if !ok {
		return fmt.Errorf("provider %q of task %s is not configured here", task.Queue, task.ID)
	}
	// The call's timeout starts before the intent commits: a process that is frozen in between wakes with an expired
	// context and does not make a late call.
	callCtx, cancel := context.WithTimeout(ctx, p.Capabilities().CallTimeout)
	defer cancel()
	perform := !task.Sent
	if perform {
		var err error
		if agg, err = a.commitProvision(ctx, *task, fulfil.Intend(*task, now)); err != nil {
			return err
		}
		if agg, task, err = a.withPlan(agg, agg.Task(task.ID)); err != nil {
			return err
		}
	}
	r := a.callProvider(callCtx, p, agg, task, perform)
	if ctx.Err() != nil {
		return ctx.Err() // the process is stopping: the intent stays, and the next worker observes the call
	}
	if r.At.IsZero() {
		r.At = a.Clock.Now()
	}
	if r.Took == 0 {
		r.Took = a.Clock.Now().Sub(now)
	}
	_, err := a.commitProvision(ctx, *task, fulfil.Next(*task, adjustResult(*task, r)))
	return err
}
