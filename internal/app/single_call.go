package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// apply writes what a single call's result means for the order.
type apply func(tx Tx, d *Dossier, u *fulfil.Unit, m fulfil.Move) error

func nothing(Tx, *Dossier, *fulfil.Unit, fulfil.Move) error { return nil }

// callTime bounds a call of a single-call unit.
const callTime = 10 * time.Second

// single carries a unit of one call: the intent, the call, the result. The call carries its own key,
// so that it may be repeated after a crash or a lost answer.
func (a *App) single(ctx context.Context, t tenant.ID, unit fulfil.UnitID, do func(context.Context, *Dossier, *fulfil.Unit) (fulfil.Result, apply)) (time.Duration, error) {
	_, u, err := a.load(ctx, t, unit)
	if err != nil || u == nil || !u.Live() {
		return -1, err
	}
	now := a.Clock.Now()
	if wait := u.NextAt.Sub(now); wait > 0 {
		return wait, nil
	}
	intent := *u
	intent.Epoch, intent.Sent = u.Epoch+1, true
	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d, err := a.commit(ctx, *u, fulfil.Move{Unit: intent, Result: fulfil.Result{At: now}}, func(Tx, *Dossier, *fulfil.Unit) error { return nil })
	if err != nil {
		return 0, err
	}
	u = d.Unit(unit)
	u.Speed = a.Clock.Speed()
	res, write := do(callCtx, d, u)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	res.At = a.Clock.Now()
	res.Took = res.At.Sub(now)
	m := fulfil.Once(*u, res)
	if _, err = a.commit(ctx, *u, m, func(tx Tx, d *Dossier, u *fulfil.Unit) error { return write(tx, d, u, m) }); err != nil {
		return 0, err
	}
	if !m.Unit.Live() {
		return -1, nil
	}
	return max(0, m.Unit.NextAt.Sub(a.Clock.Now())), nil
}
