// Package queue carries tasks: it turns due tasks into River jobs, runs the use case that belongs
// to a job's queue, and translates what the use case answers into a snooze or an end. The task's row is the
// truth; a job merely points at it, so a lost, doubled or stale job does no harm. River and its types
// stay in here.
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

// Schema of River's tables, beside the product's own.
const Schema = "river"

// Work is a use case that carries a task: it is due again after wait, or over when wait is negative.
type Work func(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error)

// Queue is one kind of work: all provisioning at one provider, or all tasks of a single call.
type Queue struct {
	Name    string
	Workers int
	Work    Work
}

// Config of a process's workers.
type Config struct {
	URL    string // of the database, as platforma_worker
	Source app.WorkSource
	Queues []Queue
	Now    func() time.Time
	Log    *slog.Logger
	// Alone says that no other process works on this database: jobs that a kill left running are taken
	// at once, instead of when River's rescuer finds them.
	Alone bool
	// Poll is how often the feeder looks for due tasks when nobody kicks it; 0 is every second.
	Poll time.Duration
	// MaxConns of River's own pool; the use cases have theirs.
	MaxConns int32
}

// River's settings, each with its reason.
const (
	fetchPoll   = 50 * time.Millisecond  // the default of 1 s would make a wait of 2 s one of 3
	fetchCool   = 100 * time.Millisecond // also paces River's NOTIFY at inserts
	jobTimeout  = 15 * time.Second       // an attempt is at most 4 s of turns and one call of 10 s
	rescueAfter = 20 * time.Second       // River has no heartbeat: a dead worker's job is back in 20 to 65 s
	// business tries are the task's; the last attempt would be discarded without running
	maxAttempts  = 1000
	keepFinished = 5 * time.Minute
	perTenant    = 20 // live jobs of a tenant per queue: open-source River has no fairness
	feedEvery    = time.Second
	sweepEvery   = 30 * time.Second
	fencedWait   = time.Second
	stepBack     = 100 * time.Millisecond // a job whose tenant has its share of the workers
)

// Runner is a process's share of the work: its workers, its feeder, its sweeper.
type Runner struct {
	cfg    Config
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	kick   chan struct{}
	ending chan struct{}
	done   chan struct{}
	cut    context.CancelFunc // ends the feeder in the middle of a pass
}

// Migrate creates or updates River's tables, as the database's owner, and lets the worker login use
// them. Nothing of a tenant is in them but ids.
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

// taskJob is all a job carries: which task. River's tables have no row-level security.
type taskJob struct {
	Tenant string `json:"tenant"`
	Task   string `json:"task" river:"unique"`
}

// Kind is the one kind of job there is; its queue says which use case runs.
func (taskJob) Kind() string { return "task" }

type worker struct {
	river.WorkerDefaults[taskJob]
	work    map[string]Work
	workers map[string]int
	slots   slots
	log     *slog.Logger
}

// Work runs the use case of the job's queue and translates its answer.
func (w *worker) Work(ctx context.Context, job *river.Job[taskJob]) error {
	t, err := id.Parse[tenant.Tenant](job.Args.Tenant)
	if err != nil {
		return river.JobCancel(fmt.Errorf("job %d: tenant: %w", job.ID, err))
	}
	u, err := id.Parse[fulfil.Task](job.Args.Task)
	if err != nil {
		return river.JobCancel(fmt.Errorf("job %d: task: %w", job.ID, err))
	}
	if !w.slots.take(job.Queue, t, w.workers[job.Queue]) {
		return river.JobSnooze(stepBack)
	}
	defer w.slots.give(job.Queue, t)
	wait, err := w.work[job.Queue](ctx, t, u)
	switch {
	case errors.Is(err, app.ErrFenced):
		return river.JobSnooze(fencedWait) // somebody moved the task: look at it again
	case err != nil:
		if f := fault.Of(err); f == nil || f.Kind != fault.KindUnavailable {
			w.log.ErrorContext(ctx, "work failed; it will be tried again", "queue", job.Queue, "tenant", job.Args.Tenant, "task",
				job.Args.Task, "error", err)
		}
		return err
	case wait >= 0:
		return river.JobSnooze(wait) // the whole wait is one snooze, so that it is exact (D5)
	}
	return nil
}

type shortRetry struct{}

// NextRetry is for faults of ours alone; a task's own retries are its row's.
//
//nolint:forbidigo // River asks for a wall-clock time
func (shortRetry) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(2 * time.Second) }

// Start begins to work.
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
		if _, err := pool.Exec(ctx, `UPDATE `+Schema+`.river_job SET state = 'available', scheduled_at = now()
			WHERE state = 'running'`); err != nil {
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
		Schema: Schema, Queues: queues, Workers: workers, Logger: quiet(cfg.Log), RetryPolicy: shortRetry{},
		// each queue has its own poll; the client's may not be shorter than its cooldown
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
	runCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	r := &Runner{
		cfg: cfg, pool: pool, client: client, kick: make(chan struct{}, 1), ending: make(chan struct{}),
		done: make(chan struct{}), cut: cut,
	}
	go r.feedForEver(runCtx)
	return r, nil
}

// quiet keeps River's chatter out of a person's log: its warnings and errors pass.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(levelHandler{log.Handler()})
}

type levelHandler struct{ slog.Handler }

func (h levelHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// Kick wakes the feeder; it never blocks.
func (r *Runner) Notify() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// Stop lets the feeder's pass and running jobs finish until ctx ends, then cancels them. It is called
// once.
func (r *Runner) Stop(ctx context.Context) error {
	close(r.ending)
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	r.cut()
	<-r.done
	err := r.client.Stop(ctx)
	if err != nil {
		hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = r.client.StopAndCancel(hard)
	}
	r.pool.Close()
	return err
}
