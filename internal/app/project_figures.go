package app

import (
	"context"
	"errors"

	"github.com/platforma-cloud/orders/internal/event"
)

// ProjectEvents is the consumer behind the figures: it takes events into the roll-up, together.
func (a *App) ProjectEvents(ctx context.Context, evs []event.Event) (Handled, error) {
	return a.Rollup.ProjectEvents(ctx, evs)
}

// ProjectEvent is ProjectEvents for one.
func (a *App) ProjectEvent(ctx context.Context, ev event.Event) error {
	h, err := a.Rollup.ProjectEvents(ctx, []event.Event{ev})
	switch {
	case err != nil:
		return err
	case h.Blocked > 0:
		return ErrBlocked
	case h.Duplicates > 0:
		return ErrDuplicate
	}
	return nil
}

// RecountStale counts tenants anew that were not counted yet (those of an installation that was there before
// the roll-up), or whose time zone was changed: their days are other days then. Until it is done the figures
// are those of the old zone. A tenant that cannot be counted keeps no other from it.
func (a *App) RecountStale(ctx context.Context) (int, error) {
	stale, err := a.Rollup.StaleRollups(ctx)
	if err != nil {
		return 0, err
	}
	done := 0
	for _, t := range stale {
		e := a.Rollup.Recount(ctx, t)
		if e == nil {
			done++
		}
		err = errors.Join(err, e)
	}
	return done, err
}
