package app

import (
	"context"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
)

// write runs the transaction of a use case for a caller. With an idempotency key, the answer or the domain
// fault that the use case ended with commits together with the effect (D22).
func (a *App) write(ctx context.Context, c Caller, fn func(tx Tx) (*Aggregate, error)) (*Aggregate, error) {
	return write(ctx, a, c, fn)
}

func write[R any](ctx context.Context, a *App, c Caller, fn func(tx Tx) (R, error)) (R, error) {
	var result R
	var outcome error
	err := a.Store.InTenant(ctx, c.Tenant, With{Key: c.Key}, func(tx Tx) error {
		var err error
		outcome = nil
		if result, err = fn(tx); err != nil && (c.Key == nil || !stored(err)) {
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

// stored reports whether a fault is an outcome that was decided inside the transaction: a repetition of the
// request gets it again. Authentication, absence and faults of our own are decided again each time.
func stored(err error) bool {
	f := fault.Of(err)
	if f == nil || f.Code == fault.CodeKeyInUse || f.Code == fault.CodeKeyReused {
		return false
	}
	return f.Kind == fault.KindInvalid || f.Kind == fault.KindConflict || f.Kind == fault.KindPrecondition
}

// Precondition is the version a caller believes an order to be at.
type Precondition struct {
	Version *int // of the body: a mismatch is 409 (D23)
	IfMatch *int // of the header: a mismatch is 412
}

func (p Precondition) check(current int) error {
	changed := func(k fault.Kind, code string, believed int) error {
		e := fault.New(k, code, "It is at version %d, not %d. Read it again, then decide.", current, believed)
		e.Members = map[string]any{"current_version": current}
		return e
	}
	if p.IfMatch != nil && *p.IfMatch != current {
		return changed(fault.KindPrecondition, "precondition-failed", *p.IfMatch)
	}
	if p.Version != nil && *p.Version != current {
		return changed(fault.KindConflict, fault.CodeVersionConflict, *p.Version)
	}
	return nil
}

// onOrder is the shape of most use cases: permission, lock, whose order it is, version, then the move.
// change reports whether anything moved; a no-op is answered and not saved.
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
		if err := c.keyDemanded(agg.Settings); err != nil {
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

// Reasoned is a change that a person explains. The reason travels with the event: no secrets in it.
type Reasoned struct {
	Order order.ID
	Precondition
	Reason string
}

// maxReason is how many characters the words of a person may have.
const maxReason = 500

// reasoned is onOrder for a change that a person explains.
func (a *App) reasoned(
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

// textFaults checks a short text of a person: length, and nothing invisible.
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
