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

// AdoptDeadLetter is the assertion that a resource of a stuck compensation is there, under a provider's id.
type AdoptDeadLetter struct {
	DeadLetter id.Of[DeadLetter]
	Step       string // the step's name
	Ref        string // the provider's id
	Reason     string
}

// refForm matches the ids of providers: names, UUIDs, URNs and paths of them.
var refForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$`)

// AdoptDeadLetter redrives a stuck compensation with a resource that a person found at the provider ("it is
// there", docs/runbook.md). It only stores the assertion. The worker later reads the resource by its id and adopts
// it when its labels name this item and step; then it is removed like any other. If the labels do not match, the
// resource is left alone, and the work gets stuck again.
func (a *App) AdoptDeadLetter(ctx context.Context, c Caller, in AdoptDeadLetter) (DeadLetter, error) {
	if err := a.may(c.Actor, WorkDesk); err != nil {
		return DeadLetter{}, err
	}
	if faults := in.faults(); len(faults) > 0 {
		return DeadLetter{}, fault.Violated(faults)
	}
	return write(ctx, a, c, func(tx Tx) (DeadLetter, error) {
		agg, open, task, err := a.lockStuckTask(ctx, tx, c, in.DeadLetter)
		if err != nil {
			return DeadLetter{}, err
		}
		if task.Kind != fulfil.Provision {
			return DeadLetter{}, fault.New(fault.KindConflict, "not-adoptable",
				"No resource at a provider is stuck here, so there is nothing to adopt.")
		}
		if remaining := agg.remainingSteps(task.ID); !slices.Contains(remaining, in.Step) {
			v := fault.Violation{
				Pointer: "/part", Code: "not-allowed", Message: "This is no part of the item that may still be there.",
			}
			for _, step := range remaining {
				v.Allowed = append(v.Allowed, step)
			}
			return DeadLetter{}, fault.Violated([]fault.Violation{v})
		}
		task.Assertion = fulfil.Assertion{Step: in.Step, Ref: in.Ref}
		if err := a.redrive(tx, agg, task, in.Reason); err != nil {
			return DeadLetter{}, err
		}
		voided := agg.closeRedrivenDeadLetters(task, in.DeadLetter, in.Reason, tx.Now())
		agg.logDecision(*open, tx.Now(),
			"said to be there by "+event.ActorText(c.Actor)+": "+in.Step+" as "+in.Ref+reasonSuffix(in.Reason)+voided)
		a.settle(agg, tx.Now(), in.Reason)
		return *open, a.save(tx, agg, c.cause())
	})
}

func (in AdoptDeadLetter) faults() []fault.Violation {
	var faults []fault.Violation
	if in.Step == "" {
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
