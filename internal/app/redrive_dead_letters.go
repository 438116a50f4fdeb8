package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// MaxRedrive is the most dead letters that one request may redrive.
const MaxRedrive = 100

// RedriveDeadLetter tries stuck work again, at the same step, with all retries and a new epoch. It never provisions
// again: an item that was compensating continues to compensate.
func (a *App) RedriveDeadLetter(
	ctx context.Context, c Caller, dl id.Of[DeadLetter], reason string,
) (DeadLetter, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return DeadLetter{}, err
	}
	if faults := textFaults("/reason", reason, maxReason); len(faults) > 0 {
		return DeadLetter{}, fault.Violated(faults)
	}
	return write(ctx, a, c, func(tx Tx) (DeadLetter, error) {
		agg, open, task, err := a.lockStuckTask(ctx, tx, c, dl)
		if err != nil {
			return DeadLetter{}, err
		}
		if err := a.redrive(tx, agg, task, reason); err != nil {
			return DeadLetter{}, err
		}
		now, voided := tx.Now(), ""
		if task.Kind == fulfil.Redrive { // the dead letter stays parked until the event is applied
			if open.Abandonment.Awaits() {
				voided = "; a signature to abandon it is void"
			}
			open.Reason, open.Abandonment, open.Event.Redriving = orElse(reason, "tried again"), Abandonment{}, true
			agg.logDecision(*open, now, "tried again by "+event.ActorText(c.Actor)+reasonSuffix(reason)+voided)
			tx.Save(agg) // the order did not change: no version, no event
			return *open, nil
		}
		voided = agg.closeRedrivenDeadLetters(task, dl, reason, now)
		agg.logDecision(*open, now, "tried again by "+event.ActorText(c.Actor)+reasonSuffix(reason)+voided)
		a.settle(agg, now, reason)
		return *open, a.save(tx, agg, c.cause())
	})
}

// orElse returns text, or other when text is empty.
func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// RedriveDeadLetters selects dead letters to redrive: by ids, or the newest open ones of a cause and class, newest
// first.
type RedriveDeadLetters struct {
	IDs    []id.Of[DeadLetter]
	Cause  string
	Class  *fault.Class
	Reason string
	Limit  int // 1 to MaxRedrive; 0 is MaxRedrive
	DryRun bool
}

// RedriveReport is the outcome of a bulk redrive.
type RedriveReport struct {
	DryRun      bool
	DeadLetters []Redriven
}

// Redriven is the outcome for one dead letter.
type Redriven struct {
	DeadLetter id.Of[DeadLetter]
	Order      order.ID // zero when there is no such dead letter
	Outcome    RedriveOutcome
	Code       string // of a refusal
	Detail     string // of a refusal
}

// RedriveOutcome says whether a dead letter was redriven.
type RedriveOutcome string

// The outcomes.
const (
	RedriveDone    RedriveOutcome = "redriven"
	RedriveWould   RedriveOutcome = "would-redrive" // a dry run
	RedriveRefused RedriveOutcome = "refused"
	RedriveFailed  RedriveOutcome = "failed" // by an internal error; nothing was changed
)

// RedriveDeadLetters redrives many dead letters, each in its own transaction, so one that is refused does not affect
// the others. With an idempotency key, the answer is stored once all are done. After a crash in between, the same key
// continues with what is still stuck and does not redrive anything twice.
func (a *App) RedriveDeadLetters(ctx context.Context, c Caller, in RedriveDeadLetters) (RedriveReport, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return RedriveReport{}, err
	}
	if faults := in.faults(); len(faults) > 0 {
		return RedriveReport{}, fault.Violated(faults)
	}
	if err := a.beginBulk(ctx, c); err != nil {
		return RedriveReport{}, err
	}
	deadLetters, err := a.selectDeadLetters(ctx, c, in)
	if err != nil {
		return RedriveReport{}, err
	}
	report := RedriveReport{DryRun: in.DryRun, DeadLetters: []Redriven{}}
	each := c // no key for the single transactions: only the answer for all is stored
	each.Key, each.NeedsKey = nil, false
	for _, dl := range deadLetters {
		if ctx.Err() != nil {
			return RedriveReport{}, ctx.Err()
		}
		report.DeadLetters = append(report.DeadLetters, a.redriveInBulk(ctx, each, dl, in))
	}
	if c.Key == nil {
		return report, nil
	}
	return write(ctx, a, c, func(tx Tx) (RedriveReport, error) { return report, tx.Begin(ctx) })
}

func (in RedriveDeadLetters) faults() []fault.Violation {
	faults := textFaults("/reason", in.Reason, maxReason)
	bySort := in.Cause != "" || in.Class != nil
	switch {
	case len(in.IDs) == 0 && !bySort:
		faults = append(faults, fault.Violation{
			Pointer: "", Code: "required",
			Message: "Say which: ids, or a cause, a class or both. GET /v1/dead-letters?group=cause shows what there is.",
		})
	case len(in.IDs) > 0 && bySort:
		faults = append(faults, fault.Violation{
			Pointer: "/ids", Code: "not-allowed", Message: "Give ids alone, or cause and class alone.",
		})
	case len(in.IDs) > MaxRedrive:
		faults = append(faults, fault.Violation{
			Pointer: "/ids", Code: "too-many-items", Message: "At most 100 at once.", Allowed: []any{MaxRedrive},
		})
	}
	if in.Limit < 0 || in.Limit > MaxRedrive {
		faults = append(faults, fault.Violation{
			Pointer: "/limit", Code: "out-of-range", Message: "From 1 to 100.", Allowed: []any{1, MaxRedrive},
		})
	}
	return faults
}

// beginBulk returns the stored answer of a repeated request, as *Replayed, before anything is done. It also checks
// that a key is given when the tenant requires one.
func (a *App) beginBulk(ctx context.Context, c Caller) error {
	return a.Store.InTenant(ctx, c.Tenant, With{Key: c.Key}, func(tx Tx) error {
		known, err := tx.Prepare(ctx, NewOrder{Customer: c.Member})
		if err != nil {
			return err
		}
		return c.requireKey(known.Settings)
	})
}

// selectDeadLetters returns the dead letters to redrive: each given id once, or those of a cause and class that do not
// close by themselves.
func (a *App) selectDeadLetters(ctx context.Context, c Caller, in RedriveDeadLetters) ([]DeadLetter, error) {
	limit := in.Limit
	if limit == 0 {
		limit = MaxRedrive
	}
	var deadLetters []DeadLetter
	if len(in.IDs) > 0 {
		seen := map[id.Of[DeadLetter]]bool{}
		for _, dl := range in.IDs {
			if !seen[dl] && len(deadLetters) < limit {
				deadLetters = append(deadLetters, DeadLetter{ID: dl})
			}
			seen[dl] = true
		}
		return deadLetters, nil
	}
	open := DeadLetterOpen
	f := DeadLetterFilter{State: &open, Cause: in.Cause, Class: in.Class, Limit: MaxRedrive}
	for len(deadLetters) < limit {
		page, err := a.Store.DeadLetters(ctx, c.Tenant, f)
		if err != nil {
			return nil, err
		}
		for _, dl := range page.Data {
			if dl.Suggested() != SuggestWait && len(deadLetters) < limit {
				deadLetters = append(deadLetters, dl)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	return deadLetters, nil
}

// redriveInBulk redrives one dead letter of a bulk request and reports the outcome.
func (a *App) redriveInBulk(ctx context.Context, c Caller, dl DeadLetter, in RedriveDeadLetters) Redriven {
	r := Redriven{DeadLetter: dl.ID, Order: dl.Order, Outcome: RedriveDone}
	var err error
	if in.DryRun {
		r.Outcome = RedriveWould
		r.Order, err = a.checkRedrivable(ctx, c, dl.ID)
	} else {
		var after DeadLetter
		if after, err = a.RedriveDeadLetter(ctx, c, dl.ID, in.Reason); err == nil {
			r.Order = after.Order
		}
	}
	if err == nil {
		return r
	}
	f := fault.Of(err)
	if f == nil {
		a.Log.ErrorContext(ctx, "redrive a dead letter", "dead_letter", dl.ID.String(), "error", err)
		r.Outcome, r.Code, r.Detail = RedriveFailed, "internal", "This failed on our side and changed nothing. Try it again."
		return r
	}
	r.Outcome, r.Code, r.Detail = RedriveRefused, f.Code, f.Detail
	return r
}

// checkRedrivable returns a fault when a dead letter cannot be redriven, and the dead letter's order. It takes no
// lock.
func (a *App) checkRedrivable(ctx context.Context, c Caller, dl id.Of[DeadLetter]) (order.ID, error) {
	deadLetter, err := a.Store.DeadLetter(ctx, c.Tenant, dl)
	if err != nil {
		return order.ID{}, err
	}
	agg, err := a.Store.Order(ctx, c.Tenant, deadLetter.Order)
	if err != nil {
		return deadLetter.Order, err
	}
	if task := agg.Task(deadLetter.Task); agg.openDeadLetter(dl) == nil || task == nil || task.State != fulfil.Stuck {
		return deadLetter.Order, notStuck(deadLetter)
	}
	return deadLetter.Order, nil
}
