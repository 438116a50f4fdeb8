package app

import (
	"context"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
)

// write runs a use case's transaction. With an idempotency key, the answer, or the domain fault that the use case
// ended with, commits together with the effect (D22).
func (a *App) write(ctx context.Context, c Caller, fn func(tx Tx) (*Aggregate, error)) (*Aggregate, error) {
	return write(ctx, a, c, fn)
}

// write is App.write for a use case with a result of its own.
func write[R any](ctx context.Context, a *App, c Caller, fn func(tx Tx) (R, error)) (R, error) {
	var result R
	var outcome error
	err := a.Store.InTenant(ctx, c.Tenant, With{Key: c.Key}, func(tx Tx) error {
		var err error
		outcome = nil
		if result, err = fn(tx); err != nil && (c.Key == nil || !replayable(err)) {
			return err
		}
		if c.Key == nil {
			return nil
		}
		if outcome = err; err != nil {
			tx.Discard()
		}
		answer, err := c.Key.Encode(result, outcome)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		tx.Remember(answer)
		return nil
	})
	if err != nil {
		var none R
		return none, err
	}
	return result, outcome
}

// replayable reports whether a fault is kept as the answer of an idempotency key, so that a repeated request gets
// it again. It is for what was decided inside the transaction. Authentication, absence and internal faults are
// decided again each time.
func replayable(err error) bool {
	f := fault.Of(err)
	if f == nil || f.Code == fault.CodeKeyInUse || f.Code == fault.CodeKeyReused {
		return false
	}
	return f.Kind == fault.KindInvalid || f.Kind == fault.KindConflict || f.Kind == fault.KindPrecondition
}

// Precondition is the version that the caller last read.
type Precondition struct {
	Version *int // from the body; a mismatch is a fault of KindConflict (D23)
	IfMatch *int // from the header; a mismatch is a fault of KindPrecondition
}

func (p Precondition) check(current int) error {
	mismatch := func(k fault.Kind, code string, expected int) error {
		e := fault.New(k, code, "It is at version %d, not %d. Read it again, then decide.", current, expected)
		e.Members = map[string]any{"current_version": current}
		return e
	}
	if p.IfMatch != nil && *p.IfMatch != current {
		return mismatch(fault.KindPrecondition, "precondition-failed", *p.IfMatch)
	}
	if p.Version != nil && *p.Version != current {
		return mismatch(fault.KindConflict, fault.CodeVersionConflict, *p.Version)
	}
	return nil
}

// onOrder runs a use case that changes an order. It checks the permission, locks the order, checks that the
// caller may see it and that the version matches, and then calls change. change reports whether it changed
// anything; if not, nothing is saved.
func (a *App) onOrder(
	ctx context.Context, c Caller, p Permission, o order.ID, pre Precondition, also Also,
	change func(tx Tx, agg *Aggregate) (changed bool, err error),
) (*Aggregate, error) {
	if err := a.may(c.Actor, p); err != nil {
		return nil, err
	}
	return a.write(ctx, c, func(tx Tx) (*Aggregate, error) {
		agg, err := tx.LockOrder(ctx, o, also)
		if err != nil {
			return nil, err
		}
		if !a.sees(c.Actor, agg.Order) {
			return nil, fault.Absent()
		}
		if err := c.requireKey(agg.Settings); err != nil {
			return nil, err
		}
		if err := pre.check(agg.Order.Version); err != nil {
			return nil, err
		}
		changed, err := change(tx, agg)
		if err != nil || !changed {
			return agg, err
		}
		return agg, a.save(tx, agg, c.cause())
	})
}

// Reasoned is a change for which a person gives a reason. The reason is part of the event, so it must hold no
// secret.
type Reasoned struct {
	Order order.ID
	Precondition
	Reason string
}

// maxReason is the most characters that a reason, text or proof may have.
const maxReason = 500

// onOrderWithReason is onOrder for a change with a reason.
func (a *App) onOrderWithReason(
	ctx context.Context, c Caller, p Permission, in Reasoned, change func(tx Tx, agg *Aggregate) (bool, error),
) (*Aggregate, error) {
	if err := a.may(c.Actor, p); err != nil {
		return nil, err
	}
	if faults := textFaults("/reason", in.Reason, maxReason); len(faults) > 0 {
		return nil, fault.Violated(faults)
	}
	return a.onOrder(ctx, c, p, in.Order, in.Precondition, Also{Resources: true}, change)
}

// textFaults checks that a person's text has at most most characters, all of them printable.
func textFaults(pointer, s string, most int) []fault.Violation {
	if utf8.RuneCountInString(s) > most {
		message := fmt.Sprintf("At most %d characters.", most)
		return []fault.Violation{{Pointer: pointer, Code: "too-long", Message: message, Allowed: []any{most}}}
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			message := "Only printable characters; no line breaks or control characters."
			return []fault.Violation{{Pointer: pointer, Code: "not-printable", Message: message}}
		}
	}
	return nil
}
