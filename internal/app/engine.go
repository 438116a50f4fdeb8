package app

// How a task moves.
//
// The work for an order is kept as units (fulfil.Unit): validate the order, provision an item, refund it,
// deliver its credentials, send a notice. The files whose names begin with engine_ move them. The other files
// are the use cases: each says which calls its unit makes and what a result means for the order.
//
// A unit moves in turns, and every turn is the same:
//
//	load     read the order with all that moves with it, without a lock      engine_load.go
//	plan     name the steps of the item, from the provider's plan            engine_plan.go
//	intent   commit that a call is about to be made                          engine_commit.go, engine_journal.go
//	call     call the provider with our own key, outside any transaction     engine_call.go, engine_create.go,
//	                                                                         engine_remove.go, engine_claim.go
//	result   decide what follows: go on, retry, wait, go back                fulfil.Next, which is pure
//	commit   write the result under the order's lock                         engine_commit.go
//	settle   derive the order's state, in the same transaction               engine_settle.go
//
// The call lies between two commits (ADR 0012). When a process dies in between, the next worker finds an
// intent without a result. It looks what became of the call (ProvisionItem), or repeats it under the same key
// (single). Each commit checks the unit's epoch and raises it: a worker that was frozen meanwhile gets
// ErrFenced, and nothing of its move is written.
//
// Around the turn:
//
//	engine_work.go         the work that an event calls for, written in the event's transaction (ADR 0006)
//	engine_consume.go      the consumer's side: an event that arrives makes the work due now
//	engine_save.go         the order's version, and its events as rows
//	engine_compensate.go   what sends an item back: cancel, a failed sibling, a rejected validation
//	engine_deadletter.go   work that needs a person: put on the desk, tried again, closed
//
// Provisioning takes many steps, so ProvisionItem has a loop of its own. Every other unit makes one call and
// runs through single, below. A webhook delivery moves no order; PostWebhook has its own, shorter way.

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// apply writes what the result of a single call means for the order.
type apply func(tx Tx, d *Dossier, u *fulfil.Unit, m fulfil.Move) error

// noEffect is the apply of a result that moves nothing but the unit.
func noEffect(Tx, *Dossier, *fulfil.Unit, fulfil.Move) error { return nil }

// singleCall makes the one call of a unit, and returns its result and what to write of it.
type singleCall func(context.Context, *Dossier, *fulfil.Unit) (fulfil.Result, apply)

// callTime bounds a call of a single-call unit.
const callTime = 10 * time.Second

// single moves a unit of one call: the intent, the call, the result. do makes the call, with a key of its own,
// so that the call may be repeated after a crash or a lost answer. wait < 0 means that the unit is over; else it
// is due again after wait.
func (a *App) single(
	ctx context.Context, t tenant.ID, unit fulfil.UnitID, do singleCall,
) (wait time.Duration, err error) {
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
	d, err := a.commit(ctx, *u, fulfil.Move{Unit: intent, Result: fulfil.Result{At: now}},
		func(Tx, *Dossier, *fulfil.Unit) error { return nil })
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
	_, err = a.commit(ctx, *u, m, func(tx Tx, d *Dossier, u *fulfil.Unit) error { return write(tx, d, u, m) })
	if err != nil {
		return 0, err
	}
	if !m.Unit.Live() {
		return -1, nil
	}
	return max(0, m.Unit.NextAt.Sub(a.Clock.Now())), nil
}
