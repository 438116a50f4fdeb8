package app

import (
	"context"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// attemptTime is how long one attempt may begin new turns. A call may take CallTimeout more, and the
// job's own time-out is longer than both.
const attemptTime = 4 * time.Second

// ProvisionItem takes an item's task as far as it goes now: one step, one call, one commit at a time.
// wait < 0 means that the task is over; else it is due again after wait. An intent without a result is
// looked at and never called again.
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
		if task.Compensating && a.newerLeft(agg, task) {
			return a.wait(time.Second), nil // the last provisioned goes first, across the items of one order
		}
		if err := a.provisionTurn(ctx, agg, task, now); err != nil {
			return 0, err
		}
	}
}

// provisionTurn is one turn of an item's task: intent, call, result, commit. When the intent is there
// already, it looks what became of the call.
func (a *App) provisionTurn(ctx context.Context, agg *Aggregate, task *fulfil.Task, now time.Time) error {
	p, ok := a.Providers[task.Queue]
	if !ok {
		return fmt.Errorf("provider %q of task %s is not configured here", task.Queue, task.ID)
	}
	// The call's time starts before its intent commits: a process that is frozen in between wakes with a
	// dead context instead of a late call.
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
	r := a.turn(callCtx, p, agg, task, perform)
	if ctx.Err() != nil {
		return ctx.Err() // stopping: the intent stays, the next worker looks
	}
	if r.At.IsZero() {
		r.At = a.Clock.Now()
	}
	if r.Took == 0 {
		r.Took = a.Clock.Now().Sub(now)
	}
	_, err := a.commitProvision(ctx, *task, fulfil.Next(*task, tuned(*task, r)))
	return err
}
