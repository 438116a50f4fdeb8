package app

import (
	"context"
	"fmt"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// load reads the order of a unit without a lock. The unit is nil when it is not there.
func (a *App) load(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (*Dossier, *fulfil.Unit, error) {
	d, err := a.Units.Load(ctx, t, unit)
	if err != nil {
		if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	return a.withPlan(d, d.Unit(unit))
}

// withPlan fills in what is not stored: the plan's parts and the policy's times.
func (a *App) withPlan(d *Dossier, u *fulfil.Unit) (*Dossier, *fulfil.Unit, error) {
	if u == nil {
		return d, nil, nil
	}
	u.Speed = a.Clock.Speed()
	it := d.Order.Find(u.Item)
	if u.Kind != fulfil.Provision || it == nil {
		return d, u, nil
	}
	if u.Parts = a.partsOf(d, u.Item); len(u.Parts) == 0 {
		return nil, nil, fmt.Errorf("provider %q has no plan for %s", u.Queue, it.Snapshot.Product)
	}
	if u.Undoing { // a process without the plan may have turned it back: an item that was up starts at its last step
		u.Step = min(u.Step, len(u.Parts)-1)
	}
	u.Limit, u.CapacityLimit = it.Snapshot.Deadline(), it.Snapshot.CapacityWait()
	if caps, ok := a.capabilities(u.Queue); ok {
		u.DeleteTimeout = caps.DeleteTimeout
	}
	return d, u, nil
}
