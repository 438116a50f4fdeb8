package process

import (
	"context"
	"log/slog"
	"time"
)

// periodic job is something a worker does now and again, and at once after a kick. Doing it twice, in two
// processes, does no harm.
type periodicJob struct {
	name  string
	every time.Duration
	work  func(context.Context) (int, error)
	log   *slog.Logger
	kick  chan struct{}
}

func newPeriodicJob(
	name string, every time.Duration, log *slog.Logger, work func(context.Context) (int, error),
) *periodicJob {
	return &periodicJob{name: name, every: every, work: work, log: log, kick: make(chan struct{}, 1)}
}

// Kick wakes the periodic job; it never blocks.
func (c *periodicJob) Notify() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *periodicJob) run(ctx context.Context) {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		if _, err := c.work(ctx); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "chore failed; it is taken again", "chore", c.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.kick:
		}
	}
}
