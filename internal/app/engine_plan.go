package app

import (
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
)

// credentialsStep is the last step of every item: it fetches and seals what the customer needs to get in.
const credentialsStep = "credentials"

// stepNames names an item's steps: the adapter's plan, then the credentials. A process without
// providers (the API's) gets nil, and leaves the step of a task where it is.
func (a *App) stepNames(agg *Aggregate, item order.ItemID) []string {
	steps, err := a.plan(agg, agg.Order.Find(item))
	if err != nil || len(steps) == 0 {
		return nil
	}
	names := make([]string, 0, len(steps)+1)
	for _, s := range steps {
		names = append(names, s.Name)
	}
	return append(names, credentialsStep)
}

// plan returns the steps that the item's own account plans: the account with which the item began, as its
// task records it. Where the configuration places new items today does not matter here. It returns
// none in a process without that account.
func (a *App) plan(agg *Aggregate, it *order.Item) ([]provider.Step, error) {
	p, ok := a.Providers[agg.queueOf(it.ID)]
	if !ok {
		return nil, nil
	}
	return p.Plan(specOf(agg.Order, it), a.keyOf(agg.Order, it, ""))
}

func specOf(o *order.Order, it *order.Item) provider.Spec {
	s := it.Snapshot
	return provider.Spec{
		Product: s.Product, Plan: s.Plan, Region: s.Region, Configuration: s.Configuration,
		Labels: map[string]string{
			"tenant": o.Tenant.String(), "order": o.ID.String(), "item": it.ID.String(), "label": it.Label,
		},
	}
}

// keyOf is our own key for a part of an item: what makes a call repeatable and a resource findable.
func (a *App) keyOf(o *order.Order, it *order.Item, part string) provider.Key {
	return provider.Key{
		Installation: a.Installation, Tenant: o.Tenant.String(), Order: o.ID.String(), Item: it.ID.String(),
		Step: part, Generation: it.Generation,
	}
}

func (a *App) capabilities(queue string) (provider.Capabilities, bool) {
	p, ok := a.Providers[queue]
	if !ok {
		return provider.Capabilities{}, false
	}
	return p.Capabilities(), true
}

// stepName names the step a task is at, or its kind when it has no steps.
func stepName(task fulfil.Task) string {
	if task.Step < len(task.Steps) {
		return task.Steps[task.Step]
	}
	return task.Kind.String()
}
