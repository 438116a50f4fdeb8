package app

// How a task runs.
//
// An order's work is stored as tasks (fulfil.Task): validate the order, provision an item, refund it, deliver
// its credentials, send a notice. The engine_*.go files run them. The other files are the use cases; each
// defines which call its task makes and what the result means for the order.
//
// A task runs in turns, and each turn has the same phases:
//
//	load     read the aggregate, without a lock                              engine_load.go
//	plan     name the item's steps, as the provider's adapter plans them     engine_plan.go
//	intent   commit that a call is about to be made                          engine_commit.go, engine_journal.go
//	call     call the provider with our own key, outside any transaction     engine_call.go, engine_create.go,
//	                                                                         engine_remove.go, engine_assertion.go
//	result   decide what follows: continue, retry, wait, compensate          fulfil.Next, which is pure
//	commit   write the result under the order's lock                         engine_commit.go
//	settle   derive the order's state, in the same transaction               engine_settle.go
//
// The call is between two commits (ADR 0012). If a process dies there, the next worker finds an intent without
// a result. It then observes what the call did (ProvisionItem) or repeats the call under the same key
// (runSingleCall). Each commit checks the task's epoch and raises it, so a worker that was overtaken gets
// ErrFenced and writes nothing.
//
// Around the turn:
//
//	engine_work.go         which tasks an event calls for; they commit with the event (ADR 0006)
//	engine_consume.go      the consumer's side: an event that arrives makes its task due now
//	engine_save.go         the order's version, and its events as rows
//	engine_compensate.go   what starts a compensation: a cancel, a failed sibling, a rejected validation
//	engine_dead_letter.go  work that needs a person: how it gets on the fallout desk, is redriven and closed
//
// Provisioning takes many steps, so ProvisionItem has its own loop. Each of the other tasks makes a single call
// and uses runSingleCall, below. A webhook delivery does not change an order, so PostWebhook has its own,
// shorter path.

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// resultWriter writes what the result of a single call means for the order.
type resultWriter func(tx Tx, agg *Aggregate, task *fulfil.Task, m fulfil.Move) error

// writeNothing is the resultWriter for a result that changes only the task.
func writeNothing(Tx, *Aggregate, *fulfil.Task, fulfil.Move) error { return nil }

// singleCall makes the one call of a task. It returns the result and the function that writes it.
type singleCall func(context.Context, *Aggregate, *fulfil.Task) (fulfil.Result, resultWriter)

// singleCallTimeout bounds the call of a single-call task.
const singleCallTimeout = 10 * time.Second

// runSingleCall runs one turn of a single-call task: it commits the intent, makes the call and commits the
// result. do makes the call under a key of its own, so it is safe to repeat after a crash or a lost answer.
// A wait below 0 means that the task is over; otherwise the task is due again after wait.
func (a *App) runSingleCall(
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
	callCtx, cancel := context.WithTimeout(ctx, singleCallTimeout)
	defer cancel()
	agg, err := a.commit(ctx, *task, fulfil.Move{Task: intent, Result: fulfil.Result{At: now}},
		func(Tx, *Aggregate, *fulfil.Task) error { return nil })
	if err != nil {
		return 0, err
	}
	task = agg.Task(taskID)
	task.Speed = a.Clock.Speed()
	res, writeResult := do(callCtx, agg, task)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	res.At = a.Clock.Now()
	res.Took = res.At.Sub(now)
	m := fulfil.NextSingle(*task, res)
	_, err = a.commit(ctx, *task, m, func(tx Tx, agg *Aggregate, task *fulfil.Task) error {
		return writeResult(tx, agg, task, m)
	})
	if err != nil {
		return 0, err
	}
	if !m.Task.Live() {
		return -1, nil
	}
	return max(0, m.Task.NextAt.Sub(a.Clock.Now())), nil
}
