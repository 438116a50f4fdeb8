package app

import (
	"context"
	"fmt"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// load reads the aggregate of a task without a lock. The task is nil when there is none.
func (a *App) load(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (*Aggregate, *fulfil.Task, error) {
	agg, err := a.Tasks.Load(ctx, t, taskID)
	if err != nil {
		if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	return a.withPlan(agg, agg.Task(taskID))
}

// withPlan fills in what is not stored of a task: the steps of its plan, and the limits of the product and the
// provider.
func (a *App) withPlan(agg *Aggregate, task *fulfil.Task) (*Aggregate, *fulfil.Task, error) {
	if task == nil {
		return agg, nil, nil
	}
	task.Speed = a.Clock.Speed()
	it := agg.Order.Find(task.Item)
	if task.Kind != fulfil.Provision || it == nil {
		return agg, task, nil
	}
	if task.Steps = a.stepNames(agg, task.Item); len(task.Steps) == 0 {
		return nil, nil, fmt.Errorf("provider %q has no plan for %s", task.Queue, it.Snapshot.Product)
	}
	// A process without the plan may have started the compensation with a step beyond the last one.
	if task.Compensating {
		task.Step = min(task.Step, len(task.Steps)-1)
	}
	task.Limit, task.CapacityLimit = it.Snapshot.Deadline(), it.Snapshot.CapacityWait()
	if caps, ok := a.capabilities(task.Queue); ok {
		task.DeleteTimeout = caps.DeleteTimeout
	}
	return agg, task, nil
}
