// Package queue runs tasks: it turns due tasks into River jobs, calls the use case of a job's queue, and
// translates the result into a snooze or the end of the job. The task's row is the truth and a job only
// points at it, so that a lost, repeated or stale job does no harm. River and its types do not leave this
// package.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Schema is the database schema of River's tables, beside the product's own.
const Schema = "river"

// Work is a use case that works on a task. The task is due again after wait; a negative wait means that the
// job is over.
type Work func(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error)

// Queue is one kind of work: all provisioning at one provider, or all tasks of one other kind.
type Queue struct {
	Name    string
	Workers int
	Work    Work
}

// Config configures the workers of a process.
type Config struct {
	URL    string // address of the database, with the login platforma_worker
	Source app.WorkSource
	Queues []Queue
	Now    func() time.Time
	Log    *slog.Logger
	// Alone says that no other process works on this database. Jobs that a killed process left running are
	// then started at once, instead of when River's rescuer finds them.
	Alone bool
	// Poll is how often the feeder looks for due tasks without a call of Notify; 0 is every second.
	Poll time.Duration
	// MaxConns bounds River's own pool, which has at least 4 connections; the use cases have another pool.
	MaxConns int32
}

// The settings of River and of the feeder.
const (
	fetchPoll    = 50 * time.Millisecond  // with River's default of 1 s, a wait of 2 s could take 3
	fetchCool    = 100 * time.Millisecond // also the interval of River's NOTIFY at inserts
	jobTimeout   = 15 * time.Second       // an attempt takes at most 4 s of steps and one call of 10 s
	rescueAfter  = 20 * time.Second       // River has no heartbeat: a dead worker's job is back in 20 to 65 s
	maxAttempts  = 1000                   // the task counts its retries; River would discard the job at the last attempt
	keepFinished = 5 * time.Minute

	perTenant      = 20   // queued tasks of a tenant per pass and queue: open-source River has no fairness
	perTenantSweep = 1000 // open tasks of a tenant per sweep and queue
	feedEvery      = time.Second
	sweepEvery     = 30 * time.Second

	fencedWait    = time.Second            // for a job whose task was moved by another worker
	overShareWait = 100 * time.Millisecond // for a job whose tenant has its share of the workers
)

// Runner runs the work of one process: its workers, its feeder and its sweeper.
type Runner struct {
	cfg        Config
	pool       *pgxpool.Pool
	client     *river.Client[pgx.Tx]
	wake       chan struct{}
	stopping   chan struct{}
	done       chan struct{}
	cancelFeed context.CancelFunc // ends the feeder in the middle of a pass
}

// Migrate creates or updates River's tables as the database's owner, and grants the worker login access to
// them. The only data of tenants in them are ids.
func Migrate(ctx context.Context, adminURL string) error {
	pool, err := pgxpool.New(ctx, adminURL)
	if err != nil {
		return fmt.Errorf("open database for the queue's migration: %w", err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+Schema); err != nil {
		return fmt.Errorf("create schema %s: %w", Schema, err)
	}
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: Schema, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return fmt.Errorf("prepare the queue's migration: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the queue: %w", err)
	}
	for _, grant := range []string{
		`GRANT USAGE ON SCHEMA ` + Schema + ` TO platforma_worker`,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ` + Schema + ` TO platforma_worker`,
		`GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ` + Schema + ` TO platforma_worker`,
		`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ` + Schema + ` TO platforma_worker`,
	} {
		if _, err := pool.Exec(ctx, grant); err != nil {
			return fmt.Errorf("grant the queue's tables: %w", err)
		}
	}
	return nil
}

// taskArgs are the arguments of a job. They only name the task, because River's tables have no row-level
// security.
type taskArgs struct {
	Tenant string `json:"tenant"`
	Task   string `json:"task" river:"unique"`
}

// Kind returns the only kind of job; the job's queue decides which use case runs.
func (taskArgs) Kind() string { return "task" }

type worker struct {
	river.WorkerDefaults[taskArgs]
	work    map[string]Work
	workers map[string]int
	slots   slots
	log     *slog.Logger
}

// Work runs the use case of the job's queue and translates its result.
func (w *worker) Work(ctx context.Context, job *river.Job[taskArgs]) error {
	t, err := id.Parse[tenant.Tenant](job.Args.Tenant)
	if err != nil {
		return river.JobCancel(fmt.Errorf("job %d: tenant: %w", job.ID, err))
	}
	taskID, err := id.Parse[fulfil.Task](job.Args.Task)
	if err != nil {
		return river.JobCancel(fmt.Errorf("job %d: task: %w", job.ID, err))
	}
	if !w.slots.tryAcquire(job.Queue, t, w.workers[job.Queue]) {
		return river.JobSnooze(overShareWait)
	}
	defer w.slots.release(job.Queue, t)
	wait, err := w.work[job.Queue](ctx, t, taskID)
	switch {
	case errors.Is(err, app.ErrFenced):
		return river.JobSnooze(fencedWait) // another worker moved the task: look at it again
	case err != nil:
		if f := fault.Of(err); f == nil || f.Kind != fault.KindUnavailable {
			w.log.ErrorContext(ctx, "work failed; it will be tried again", "queue", job.Queue,
				"tenant", job.Args.Tenant, "task", job.Args.Task, "error", err)
		}
		return err
	case wait >= 0:
		return river.JobSnooze(wait) // the whole wait is one snooze, so that it is exact (D5)
	}
	return nil
}

type fixedRetry struct{}

// NextRetry returns when a job that returned an error runs again. Only our own faults come here; the retries
// of a call are planned in the task's row.
//
//nolint:forbidigo // River asks for a wall-clock time
func (fixedRetry) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(2 * time.Second) }

// Start opens River's pool and starts the workers and the feeder.
func Start(ctx context.Context, cfg Config) (*Runner, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("queue database: %w", err)
	}
	pc.MaxConns = max(4, cfg.MaxConns)
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open the queue's database: %w", err)
	}
	if cfg.Alone {
		_, err := pool.Exec(ctx, `
			UPDATE `+Schema+`.river_job
			SET state = 'available', scheduled_at = now()
			WHERE state = 'running'`)
		if err != nil {
			pool.Close()
			return nil, fmt.Errorf("take over the jobs of a process that was killed: %w", err)
		}
	}
	w := &worker{work: map[string]Work{}, workers: map[string]int{}, log: cfg.Log}
	queues := map[string]river.QueueConfig{}
	for _, q := range cfg.Queues {
		w.work[q.Name], w.workers[q.Name] = q.Work, q.Workers
		queues[q.Name] = river.QueueConfig{
			MaxWorkers: q.Workers, FetchCooldown: 2 * time.Millisecond, FetchPollInterval: fetchPoll,
		}
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema: Schema, Queues: queues, Workers: workers, Logger: warningsOnly(cfg.Log), RetryPolicy: fixedRetry{},
		// Each queue has its own poll interval; the client's must not be shorter than its cooldown.
		FetchCooldown: fetchCool, FetchPollInterval: fetchCool, FetchOnlyKnownKinds: true,
		JobTimeout: jobTimeout, RescueStuckJobsAfter: rescueAfter, MaxAttempts: maxAttempts,
		CompletedJobRetentionPeriod: keepFinished,
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("prepare the queue: %w", err)
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		pool.Close()
		return nil, fmt.Errorf("start the queue: %w", err)
	}
	feedCtx, cancelFeed := context.WithCancel(context.WithoutCancel(ctx))
	r := &Runner{
		cfg: cfg, pool: pool, client: client, wake: make(chan struct{}, 1), stopping: make(chan struct{}),
		done: make(chan struct{}), cancelFeed: cancelFeed,
	}
	go r.feedLoop(feedCtx)
	return r, nil
}

// warningsOnly returns a logger for River that passes its warnings and errors and drops the rest.
func warningsOnly(log *slog.Logger) *slog.Logger {
	return slog.New(levelHandler{log.Handler()})
}

type levelHandler struct{ slog.Handler }

func (h levelHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// Notify wakes the feeder. It never blocks.
func (r *Runner) Notify() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Stop waits for the feeder's pass and the running jobs until ctx ends, and then cancels them. It must be
// called only once.
func (r *Runner) Stop(ctx context.Context) error {
	close(r.stopping)
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	r.cancelFeed()
	<-r.done
	err := r.client.Stop(ctx)
	if err != nil {
		cancelCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = r.client.StopAndCancel(cancelCtx)
	}
	r.pool.Close()
	return err
}
