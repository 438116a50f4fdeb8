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

// ProvisionItem takes an item's unit as far as it goes now: one step, one call, one commit at a time.
// wait < 0 means that the unit is over; else it is due again after wait. An intent without a result is
// looked at and never called again.
func (a *App) ProvisionItem(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (wait time.Duration, err error) {
	stop := a.Clock.Now().Add(attemptTime)
	for {
		d, u, err := a.load(ctx, t, unit)
		if err != nil || u == nil || !u.Live() {
			return -1, err
		}
		now := a.Clock.Now()
		if wait := u.NextAt.Sub(now); wait > 0 || now.After(stop) {
			return max(0, wait), nil
		}
		if u.Undoing && a.newerLeft(d, u) {
			return a.wait(time.Second), nil // the last provisioned goes first, across the items of one order
		}
		if err := a.provisionTurn(ctx, d, u, now); err != nil {
			return 0, err
		}
	}
}

// provisionTurn is one turn of an item's unit: intent, call, result, commit. When the intent is there
// already, it looks what became of the call.
func (a *App) provisionTurn(ctx context.Context, d *Dossier, u *fulfil.Unit, now time.Time) error {
	p, ok := a.Providers[u.Queue]
	if !ok {
		return fmt.Errorf("provider %q of unit %s is not configured here", u.Queue, u.ID)
	}
	// The call's time starts before its intent commits: a process that is frozen in between wakes with a
	// dead context instead of a late call.
	callCtx, cancel := context.WithTimeout(ctx, p.Capabilities().CallTimeout)
	defer cancel()
	perform := !u.Sent
	if perform {
		var err error
		if d, err = a.commitProvision(ctx, *u, fulfil.Intend(*u, now)); err != nil {
			return err
		}
		if d, u, err = a.withPlan(d, d.Unit(u.ID)); err != nil {
			return err
		}
	}
	r := a.turn(callCtx, p, d, u, perform)
	if ctx.Err() != nil {
		return ctx.Err() // stopping: the intent stays, the next worker looks
	}
	if r.At.IsZero() {
		r.At = a.Clock.Now()
	}
	if r.Took == 0 {
		r.Took = a.Clock.Now().Sub(now)
	}
	_, err := a.commitProvision(ctx, *u, fulfil.Next(*u, tuned(*u, r)))
	return err
}
