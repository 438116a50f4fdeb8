package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

// feedLoop turns due tasks into jobs every Config.Poll, and at once after Notify, until the runner stops.
// A pass that has begun is finished first: if an insert were cancelled, River would log an error at an
// ordinary stop. Several processes may feed at once, because a job is unique by its task.
func (r *Runner) feedLoop(ctx context.Context) {
	defer close(r.done)
	//nolint:forbidigo // polling a database is real time, whatever the product's clock says
	tick := time.NewTicker(cmp.Or(r.cfg.Poll, feedEvery))
	defer tick.Stop()
	var swept time.Time
	for {
		for _, q := range r.cfg.Queues {
			if err := r.feed(ctx, q); err != nil && ctx.Err() == nil {
				r.cfg.Log.ErrorContext(ctx, "feed the queue; trying again at the next poll", "queue", q.Name, "error", err)
			}
		}
		if now := r.cfg.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			for _, q := range r.cfg.Queues {
				if err := r.sweep(ctx, q); err != nil && ctx.Err() == nil {
					r.cfg.Log.ErrorContext(ctx, "sweep the queue; trying again in 30 seconds", "queue", q.Name, "error", err)
				}
			}
		}
		select {
		case <-r.stopping:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.wake:
			pause(ctx, wakePause)
		}
	}
}

// wakePause is how long the feeder waits after Notify, so that commits in quick succession share one query.
const wakePause = 5 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d) //nolint:forbidigo // as above
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// feed gives every queued task that is due a job, and then marks the tasks open. After a crash between the
// two, the next pass inserts again and uniqueness skips the job. When a task was queued again while its
// earlier job is still snoozed (a cancel during a wait), feed wakes that job.
func (r *Runner) feed(ctx context.Context, q Queue) error {
	tasks, err := r.cfg.Source.DueTasks(ctx, q.Name, fulfil.Queued, r.cfg.Now(), perTenant)
	if err != nil || len(tasks) == 0 {
		return err
	}
	jobs := make([]river.InsertManyParams, len(tasks))
	for i, task := range tasks {
		jobs[i] = insertParams(q.Name, task)
	}
	inserted, err := r.client.InsertMany(ctx, jobs)
	if err != nil {
		return fmt.Errorf("insert %d jobs: %w", len(jobs), err)
	}
	for _, in := range inserted {
		if in.UniqueSkippedAsDuplicate {
			if _, err := r.client.JobRetry(ctx, in.Job.ID); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
				return fmt.Errorf("wake job %d: %w", in.Job.ID, err)
			}
		}
	}
	if err := r.cfg.Source.MarkOpen(ctx, tasks); err != nil {
		return fmt.Errorf("mark %d tasks open: %w", len(tasks), err)
	}
	return nil
}

// sweep gives every open task that is due a job unless it has one. It replaces lost and discarded jobs.
func (r *Runner) sweep(ctx context.Context, q Queue) error {
	tasks, err := r.cfg.Source.DueTasks(ctx, q.Name, fulfil.Open, r.cfg.Now(), perTenantSweep)
	if err != nil || len(tasks) == 0 {
		return err
	}
	jobs := make([]river.InsertManyParams, len(tasks))
	for i, task := range tasks {
		jobs[i] = insertParams(q.Name, task)
	}
	if _, err := r.client.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("insert %d lost jobs: %w", len(jobs), err)
	}
	return nil
}

func insertParams(queue string, task app.TaskRef) river.InsertManyParams {
	return river.InsertManyParams{
		Args: taskArgs{Tenant: task.Tenant.String(), Task: task.Task.String()},
		InsertOpts: &river.InsertOpts{
			Queue: queue, MaxAttempts: maxAttempts,
			UniqueOpts: river.UniqueOpts{ByArgs: true, ByQueue: true, ByState: []rivertype.JobState{
				rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
				rivertype.JobStateRunning, rivertype.JobStateScheduled,
			}},
		},
	}
}
