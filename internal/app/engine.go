package app

// How a task moves.
//
// The work for an order is kept as tasks (fulfil.Task): validate the order, provision an item, refund it,
// deliver its credentials, send a notice. The files whose names begin with engine_ move them. The other files
// are the use cases: each says which calls its task makes and what a result means for the order.
//
// A task moves in turns, and every turn is the same:
//
//	load     read the order with all that moves with it, without a lock      engine_load.go
//	plan     name the steps of the item, from the provider's plan            engine_plan.go
//	intent   commit that a call is about to be made                          engine_commit.go, engine_journal.go
//	call     call the provider with our own key, outside any transaction     engine_call.go, engine_create.go,
//	                                                                         engine_remove.go, engine_assertion.go
//	result   decide what follows: go on, retry, wait, go back                fulfil.Next, which is pure
//	commit   write the result under the order's lock                         engine_commit.go
//	settle   derive the order's state, in the same transaction               engine_settle.go
//
// The call lies between two commits (ADR 0012). When a process dies in between, the next worker finds an
// intent without a result. It looks what became of the call (ProvisionItem), or repeats it under the same key
// (single). Each commit checks the task's epoch and raises it: a worker that was frozen meanwhile gets
// ErrFenced, and nothing of its move is written.
//
// Around the turn:
//
//	engine_work.go         the work that an event calls for, written in the event's transaction (ADR 0006)
//	engine_consume.go      the consumer's side: an event that arrives makes the work due now
//	engine_save.go         the order's version, and its events as rows
//	engine_compensate.go   what sends an item back: cancel, a failed sibling, a rejected validation
//	engine_dead_letter.go   work that needs a person: put on the desk, tried again, closed
//
// Provisioning takes many steps, so ProvisionItem has a loop of its own. Every other task makes one call and
// runs through single, below. A webhook delivery moves no order; PostWebhook has its own, shorter way.

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// apply writes what the result of a single call means for the order.
type apply func(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error

// noEffect is the apply of a result that moves nothing but the task.
func noEffect(Tx, *Aggregate, *fulfil.Task, fulfil.Move) error { return nil }

// singleCall makes the one call of a task, and returns its result and what to write of it.
type singleCall func(context.Context, *Aggregate, *fulfil.Task) (fulfil.Result, apply)

// callTime bounds a call of a single-call task.
const callTime = 10 * time.Second

// single moves a task of one call: the intent, the call, the result. do makes the call, with a key of its own,
// so that the call may be repeated after a crash or a lost answer. wait < 0 means that the task is over; else it
// is due again after wait.
func (a *App) single(
	ctx context.Context, t tenant.ID, taskID fulfil.TaskID, do singleCall,
) (wait time.Duration, err error) {
	_, task, err := a.load(ctx, t, taskID)
	if err != nil || task == nil || !task.Live() {
		return -1, err
	}
	now := a.Clock.Now()
	if wait := task.NextAt.Sub(now); wait > 0 {
		return wait, nil
	}
	intent := *task
	intent.Epoch, intent.Sent = task.Epoch+1, true
	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	agg, err := a.commit(ctx, *task, fulfil.Move{Task: intent, Result: fulfil.Result{At: now}},
		func(Tx, *Aggregate, *fulfil.Task) error { return nil })
	if err != nil {
		return 0, err
	}
	task = agg.Task(taskID)
	task.Speed = a.Clock.Speed()
	res, write := do(callCtx, agg, task)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	res.At = a.Clock.Now()
	res.Took = res.At.Sub(now)
	m := fulfil.Once(*task, res)
	_, err = a.commit(ctx, *task, m, func(tx Tx, agg *Aggregate, task *fulfil.Task) error {
		return write(tx, agg, task, m)
	})
	if err != nil {
		return 0, err
	}
	if !m.Task.Live() {
		return -1, nil
	}
	return max(0, m.Task.NextAt.Sub(a.Clock.Now())), nil
}
