package process

import (
	"context"
	"log/slog"
	"time"
)

// periodicJob runs work once at the start, then at an interval, and at once when it is notified. Running the
// same job in two processes at once does no harm.
type periodicJob struct {
	name     string
	interval time.Duration
	work     func(context.Context) (int, error)
	log      *slog.Logger
	wake     chan struct{}
}

func newPeriodicJob(
	name string, interval time.Duration, log *slog.Logger, work func(context.Context) (int, error),
) *periodicJob {
	return &periodicJob{name: name, interval: interval, work: work, log: log, wake: make(chan struct{}, 1)}
}

// Notify makes the job run without waiting for its interval. It never blocks.
func (j *periodicJob) Notify() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// run runs the job until ctx ends. A run that fails is logged and repeated at the next occasion.
func (j *periodicJob) run(ctx context.Context) {
	tick := time.NewTicker(j.interval)
	defer tick.Stop()
	for {
		if _, err := j.work(ctx); err != nil && ctx.Err() == nil {
			j.log.ErrorContext(ctx, "periodic job failed; it will run again", "job", j.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-j.wake:
		}
	}
}
