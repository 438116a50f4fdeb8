package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/platforma-cloud/orders/internal/fulfil"
)

// feedForEver turns due tasks into jobs: every second (Config.Poll), and at once after a kick, until the
// runner ends.
// A pass at hand is finished first: a cancel in the midst of an insert would have River log an error at
// an ordinary stop. Several processes may feed at once: a job is unique by its task.
func (r *Runner) feedForEver(ctx context.Context) {
	defer close(r.done)
	//nolint:forbidigo // polling a database is real time, whatever the product's clock says
	tick := time.NewTicker(cmp.Or(r.cfg.Poll, feedEvery))
	defer tick.Stop()
	var swept time.Time
	for {
		for _, q := range r.cfg.Queues {
			if err := r.feed(ctx, q); err != nil && ctx.Err() == nil {
				r.cfg.Log.ErrorContext(ctx, "feed the queue; trying again in a second", "queue", q.Name, "error", err)
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
		case <-r.ending:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.kick:
			pause(ctx, kickPause)
		}
	}
}

// kickPause lets the commits of a busy moment share one look at the database.
const kickPause = 5 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d) //nolint:forbidigo // as above
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// feed inserts first and marks open after: a crash between the two costs an insert that uniqueness
// refuses. A task that was queued anew while its old job still sleeps (a cancel during a wait) has that
// job woken.
func (r *Runner) feed(ctx context.Context, q Queue) error {
	tasks, err := r.cfg.Source.DueTasks(ctx, q.Name, fulfil.Queued, r.cfg.Now(), perTenant)
	if err != nil || len(tasks) == 0 {
		return err
	}
	jobs := make([]river.InsertManyParams, len(tasks))
	for i, u := range tasks {
		jobs[i] = insertion(q.Name, u.Tenant.String(), u.Task.String())
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

// sweep gives every open task that is due a job, unless it has one: it heals lost and discarded jobs.
func (r *Runner) sweep(ctx context.Context, q Queue) error {
	tasks, err := r.cfg.Source.DueTasks(ctx, q.Name, fulfil.Open, r.cfg.Now(), 1000)
	if err != nil || len(tasks) == 0 {
		return err
	}
	jobs := make([]river.InsertManyParams, len(tasks))
	for i, u := range tasks {
		jobs[i] = insertion(q.Name, u.Tenant.String(), u.Task.String())
	}
	if _, err := r.client.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("insert %d lost jobs: %w", len(jobs), err)
	}
	return nil
}

func insertion(queue, tenant, task string) river.InsertManyParams {
	return river.InsertManyParams{Args: taskJob{Tenant: tenant, Task: task}, InsertOpts: &river.InsertOpts{
		Queue: queue, MaxAttempts: maxAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByQueue: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning,
			rivertype.JobStateScheduled,
		}},
	}}
}
