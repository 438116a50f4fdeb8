package app

import (
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
)

// credentialsStep is the last step of every item: it fetches and seals the credentials.
const credentialsStep = "credentials"

// stepNames returns the names of an item's steps: those of the adapter's plan, then the credentials. It returns
// nil in a process without the item's account, such as the API.
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

// plan returns an item's steps, as planned by the adapter of its account. The account is the one that the item's
// task records, wherever new items are placed today. It returns none in a process without that account.
func (a *App) plan(agg *Aggregate, it *order.Item) ([]provider.Step, error) {
	p, ok := a.Providers[agg.accountOf(it.ID)]
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

// keyOf returns our own key for a step of an item. The key makes a call repeatable and its resource findable.
func (a *App) keyOf(o *order.Order, it *order.Item, step string) provider.Key {
	return provider.Key{
		Installation: a.Installation, Tenant: o.Tenant.String(), Order: o.ID.String(), Item: it.ID.String(),
		Step: step, Generation: it.Generation,
	}
}

func (a *App) capabilities(queue string) (provider.Capabilities, bool) {
	p, ok := a.Providers[queue]
	if !ok {
		return provider.Capabilities{}, false
	}
	return p.Capabilities(), true
}

// stepName returns the name of a task's current step, or of its kind when it has no steps.
func stepName(task fulfil.Task) string {
	if task.Step < len(task.Steps) {
		return task.Steps[task.Step]
	}
	return task.Kind.String()
}
