package app

import (
	"context"
	"errors"

	"github.com/platforma-cloud/orders/internal/event"
)

// ProjectEvents is the consumer that adds events to the roll-up (an EffectAll).
func (a *App) ProjectEvents(ctx context.Context, evs []event.Event) (Handled, error) {
	return a.Rollup.ProjectEvents(ctx, evs)
}

// ProjectEvent is ProjectEvents for one event (an Effect).
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

// RecountStale recounts the tenants that were never counted, as in an installation that is older than the roll-up,
// and those whose time zone changed, because their days begin at other times now. Until then the figures are those
// of the old time zone. If a tenant cannot be counted, the others still are. It returns how many were recounted.
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
