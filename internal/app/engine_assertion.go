package app

import (
	"context"
	"slices"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
)

// checkAssertion observes the resource that a person asserts is there. It changes nothing at the provider. An
// assertion that holds only adds the id to the journal, and the compensation continues from there.
func (a *App) checkAssertion(
	ctx context.Context, p provider.Provider, agg *Aggregate, task *fulfil.Task, it *order.Item,
) fulfil.Result {
	steps, err := a.plan(agg, it)
	if err != nil {
		return resultOfError(err)
	}
	i := slices.IndexFunc(steps, func(s provider.Step) bool { return s.Name == task.Assertion.Step })
	if i < 0 {
		return fulfil.Result{
			Class: fault.Invalid, AssertionChecked: true, Note: "the plan of the item has no step " + task.Assertion.Step,
		}
	}
	what := "what was said to be the " + task.Assertion.Step
	obs, err := p.Observe(ctx, steps[i], provider.Ref(task.Assertion.Ref))
	if err != nil {
		r := resultOfError(err)
		switch r.Class {
		case fault.RateLimited, fault.Suspended:
		case fault.Invalid, fault.Forbidden, fault.NotFound:
			r.AssertionChecked, r.Note = true, what+" cannot be read: "+r.Class.String()
		default: // a failed read says nothing about the resource
			r.Class, r.After = fault.Pending, p.Capabilities().PollEvery
		}
		return r
	}
	k, own := obs.Key, steps[i].Key
	switch {
	case obs.Phase == provider.Absent:
		return fulfil.Result{Class: fault.NotFound, AssertionChecked: true, Note: what + " is not there"}
	case k.Installation != own.Installation || k.Item != own.Item || k.Step != own.Step:
		return fulfil.Result{
			Class: fault.Forbidden, AssertionChecked: true,
			Note: what + " does not carry the labels of this item's " + own.Step + ", and is left alone",
		}
	}
	return fulfil.Result{
		Class: fault.Pending, NotSent: true, AssertionChecked: true, Ref: task.Assertion.Ref,
		Note: what + " is this item's: adopted, to be removed",
	}
}

// adoptAsserted adds the id of an asserted resource to the journal. ref is "" when the assertion did not hold.
func (agg *Aggregate) adoptAsserted(from fulfil.Task, ref string) {
	res := agg.newestResource(from.ID, from.Assertion.Step)
	if ref == "" || res == nil || slices.Contains(res.Refs, ref) {
		return
	}
	res.Refs = append([]string{ref}, res.Refs...)
	if res.Phase == fulfil.Intent {
		res.Phase = fulfil.Created
	}
}
