package app

import (
	"context"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// MaxRedrive is how many dead letters one request may try again.
const MaxRedrive = 100

// RedriveDeadLetter tries stuck work again: same step, fresh budget, a new epoch. It never provisions a
// second time: an item that was going back goes on going back.
func (a *App) RedriveDeadLetter(
	ctx context.Context, c Caller, l id.Of[DeadLetter], reason string,
) (DeadLetter, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return DeadLetter{}, err
	}
	if faults := textFaults("/reason", reason, maxReason); len(faults) > 0 {
		return DeadLetter{}, fault.Violated(faults)
	}
	return write(ctx, a, c, func(tx Tx) (DeadLetter, error) {
		agg, open, task, err := a.stuckBehind(ctx, tx, c, l)
		if err != nil {
			return DeadLetter{}, err
		}
		if err := a.redrive(tx, agg, task, reason); err != nil {
			return DeadLetter{}, err
		}
		now, voided := tx.Now(), ""
		if task.Kind == fulfil.Redrive { // the letter stays parked until the event was applied
			if open.Abandonment.Awaits() {
				voided = "; a signature to abandon it is void"
			}
			open.Reason, open.Abandonment, open.Event.Redriving = orElse(reason, "tried again"), Abandonment{}, true
			agg.decide(*open, now, "tried again by "+event.ActorText(c.Actor)+said(reason)+voided)
			tx.Save(agg) // the order has not moved: no version, no event
			return *open, nil
		}
		voided = agg.closeRedriven(task, l, reason, now)
		agg.decide(*open, now, "tried again by "+event.ActorText(c.Actor)+said(reason)+voided)
		a.settle(agg, now, reason)
		return *open, a.save(tx, agg, c.cause())
	})
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// RedriveDeadLetters selects dead letters to try again: by ids, or the open ones of a cause and class, oldest
// of the newest Limit last.
type RedriveDeadLetters struct {
	IDs    []id.Of[DeadLetter]
	Cause  string
	Class  *fault.Class
	Reason string
	Limit  int // 1 to MaxRedrive; 0 is MaxRedrive
	DryRun bool
}

// RedriveReport is what became of all of them.
type RedriveReport struct {
	DryRun      bool
	DeadLetters []Redriven
}

// Redriven is what became of one of them.
type Redriven struct {
	DeadLetter id.Of[DeadLetter]
	Order      order.ID // zero when there is no such letter
	Outcome    RedriveOutcome
	Code       string // of a refusal
	Detail     string // of a refusal
}

// RedriveOutcome of one letter.
type RedriveOutcome string

// The outcomes.
const (
	RedriveDone    RedriveOutcome = "redriven"
	RedriveWould   RedriveOutcome = "would-redrive" // a dry run
	RedriveRefused RedriveOutcome = "refused"
	RedriveFailed  RedriveOutcome = "failed" // on our side, and nothing of it was changed
)

// RedriveDeadLetters tries many again, each in its own transaction: what is refused of one changes
// nothing for the others. Under an idempotency key the answer is kept once all are through; after a crash in
// between the same key goes on with what is still stuck, and what was tried again already is not again.
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
	letters, err := a.chosen(ctx, c, in)
	if err != nil {
		return RedriveReport{}, err
	}
	report := RedriveReport{DryRun: in.DryRun, DeadLetters: []Redriven{}}
	each := c // its own transactions carry no key: the answer of all is what is kept
	each.Key, each.NeedsKey = nil, false
	for _, l := range letters {
		if ctx.Err() != nil {
			return RedriveReport{}, ctx.Err()
		}
		report.DeadLetters = append(report.DeadLetters, a.redriveOne(ctx, each, l, in))
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

// beginBulk answers a repetition from its key before anything is done, and demands a key where the tenant
// does.
func (a *App) beginBulk(ctx context.Context, c Caller) error {
	return a.Store.InTenant(ctx, c.Tenant, With{Key: c.Key}, func(tx Tx) error {
		known, err := tx.Prepare(ctx, NewOrder{Customer: c.Member})
		if err != nil {
			return err
		}
		return c.keyDemanded(known.Settings)
	})
}

// chosen are the letters asked for: each id once, or those of a cause and class that are for a person.
func (a *App) chosen(ctx context.Context, c Caller, in RedriveDeadLetters) ([]DeadLetter, error) {
	limit := in.Limit
	if limit == 0 {
		limit = MaxRedrive
	}
	var letters []DeadLetter
	if len(in.IDs) > 0 {
		seen := map[id.Of[DeadLetter]]bool{}
		for _, l := range in.IDs {
			if !seen[l] && len(letters) < limit {
				letters = append(letters, DeadLetter{ID: l})
			}
			seen[l] = true
		}
		return letters, nil
	}
	open := DeadLetterOpen
	f := DeadLetterFilter{State: &open, Cause: in.Cause, Class: in.Class, Limit: MaxRedrive}
	for len(letters) < limit {
		page, err := a.Store.DeadLetters(ctx, c.Tenant, f)
		if err != nil {
			return nil, err
		}
		for _, l := range page.Data {
			if l.Suggested() != SuggestWait && len(letters) < limit {
				letters = append(letters, l)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	return letters, nil
}

func (a *App) redriveOne(ctx context.Context, c Caller, l DeadLetter, in RedriveDeadLetters) Redriven {
	r := Redriven{DeadLetter: l.ID, Order: l.Order, Outcome: RedriveDone}
	var err error
	if in.DryRun {
		r.Outcome = RedriveWould
		r.Order, err = a.wouldRedrive(ctx, c, l.ID)
	} else {
		var after DeadLetter
		if after, err = a.RedriveDeadLetter(ctx, c, l.ID, in.Reason); err == nil {
			r.Order = after.Order
		}
	}
	if err == nil {
		return r
	}
	f := fault.Of(err)
	if f == nil {
		a.Log.ErrorContext(ctx, "try a dead letter again", "letter", l.ID.String(), "error", err)
		r.Outcome, r.Code, r.Detail = RedriveFailed, "internal", "This failed on our side and changed nothing. Try it again."
		return r
	}
	r.Outcome, r.Code, r.Detail = RedriveRefused, f.Code, f.Detail
	return r
}

// wouldRedrive looks, without a lock, whether a letter would be tried again.
func (a *App) wouldRedrive(ctx context.Context, c Caller, l id.Of[DeadLetter]) (order.ID, error) {
	letter, err := a.Store.DeadLetter(ctx, c.Tenant, l)
	if err != nil {
		return order.ID{}, err
	}
	agg, err := a.Store.Order(ctx, c.Tenant, letter.Order)
	if err != nil {
		return letter.Order, err
	}
	if task := agg.Task(letter.Task); agg.openDeadLetter(l) == nil || task == nil || task.State != fulfil.Stuck {
		return letter.Order, notStuck(letter)
	}
	return letter.Order, nil
}
