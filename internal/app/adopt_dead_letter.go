package app

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
)

// AdoptDeadLetter is what a person says is there: a part of a stuck clean-up, by the provider's own id.
type AdoptDeadLetter struct {
	DeadLetter id.Of[DeadLetter]
	Part       string
	Ref        string
	Reason     string
}

// refForm is how providers write ids: names, UUIDs, URNs, paths of them.
var refForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$`)

// AdoptDeadLetter tries a stuck clean-up again, with a resource that a person found at the provider
// ("it is there", docs/runbook.md). Here the claim is only written down: the worker
// reads the resource by its id and takes it for the part when it carries the labels of this very item and
// part; then it is removed like any other, by that id too. A claim that does not hold leaves the resource
// alone, and the work stands on the desk again.
func (a *App) AdoptDeadLetter(ctx context.Context, c Caller, in AdoptDeadLetter) (DeadLetter, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return DeadLetter{}, err
	}
	if faults := in.faults(); len(faults) > 0 {
		return DeadLetter{}, fault.Violated(faults)
	}
	return write(ctx, a, c, func(tx Tx) (DeadLetter, error) {
		agg, open, task, err := a.stuckBehind(ctx, tx, c, in.DeadLetter)
		if err != nil {
			return DeadLetter{}, err
		}
		if task.Kind != fulfil.Provision {
			return DeadLetter{}, fault.New(fault.KindConflict, "not-adoptable",
				"What is stuck here is no resource at a provider: there is nothing to be found.")
		}
		if left := agg.left(task.ID); !slices.Contains(left, in.Part) {
			v := fault.Violation{
				Pointer: "/part", Code: "not-allowed", Message: "This is no part of the item that may still be there.",
			}
			for _, part := range left {
				v.Allowed = append(v.Allowed, part)
			}
			return DeadLetter{}, fault.Violated([]fault.Violation{v})
		}
		task.Assertion = fulfil.Assertion{Step: in.Part, Ref: in.Ref}
		if err := a.redrive(tx, agg, task, in.Reason); err != nil {
			return DeadLetter{}, err
		}
		voided := agg.closeRedriven(task, in.DeadLetter, in.Reason, tx.Now())
		agg.decide(*open, tx.Now(),
			"said to be there by "+event.ActorText(c.Actor)+": "+in.Part+" as "+in.Ref+said(in.Reason)+voided)
		a.settle(agg, tx.Now(), in.Reason)
		return *open, a.save(tx, agg, c.cause())
	})
}

func (in AdoptDeadLetter) faults() []fault.Violation {
	var faults []fault.Violation
	if in.Part == "" {
		faults = append(faults, fault.Violation{
			Pointer: "/part", Code: "required", Message: "Say which part of the item it is.",
		})
	}
	if !refForm.MatchString(in.Ref) {
		faults = append(faults, fault.Violation{
			Pointer: "/ref", Code: "malformed", Message: "Give the provider's own id of the resource.",
		})
	}
	if strings.TrimSpace(in.Reason) == "" {
		faults = append(faults, fault.Violation{
			Pointer: "/reason", Code: "required", Message: "Say how you know that it is this one.",
		})
	}
	return append(faults, textFaults("/reason", in.Reason, maxReason)...)
}
