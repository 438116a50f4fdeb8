package app

import (
	"context"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// ValidateOrder takes a paid order through validation: it enters validating, asks the providers for
// their live facts (D13), and either starts provisioning, with a unit per item, or rejects the order
// with every fault and refunds it. Whatever it records was caused by the payment's event (D20). A
// provider that cannot be asked is a wait, never a rejection.
func (a *App) ValidateOrder(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (wait time.Duration, err error) {
	d, u, err := a.load(ctx, t, unit)
	if err != nil || u == nil || !u.Live() {
		return -1, err
	}
	if u.NextAt.IsZero() || d.Order.HeldAt != nil {
		return -1, nil // held: release queues it anew
	}
	if wait := u.NextAt.Sub(a.Clock.Now()); wait > 0 {
		return wait, nil
	}
	if d.Order.State == order.PaymentConfirmed {
		begin := *u
		begin.Epoch, begin.Sent = u.Epoch+1, true
		from := *u
		d, err = a.commit(ctx, from, fulfil.Move{Unit: begin, Result: fulfil.Result{At: a.Clock.Now()}}, func(_ Tx, d *Dossier, _ *fulfil.Unit) error {
			_, err := d.Order.Fire(order.BeginValidation, "")
			return err
		})
		if err != nil {
			return 0, err
		}
		u = d.Unit(unit)
		u.Speed = a.Clock.Speed()
	}
	faults, r := a.liveFaults(ctx, d)
	r.At = a.Clock.Now()
	m := fulfil.Once(*u, r)
	_, err = a.commit(ctx, *u, m, func(tx Tx, d *Dossier, _ *fulfil.Unit) error {
		if !m.Done {
			return nil
		}
		if len(faults) > 0 {
			return a.reject(tx, d, faults)
		}
		for i := range d.Order.Items {
			if err := d.Order.MoveItem(&d.Order.Items[i], order.Enqueue, order.ItemFact{}, ""); err != nil {
				return err
			}
		}
		_, err := d.Order.Fire(order.PassValidation, "")
		return err
	})
	return max(0, m.Unit.NextAt.Sub(a.Clock.Now())), err
}

func (a *App) reject(tx Tx, d *Dossier, faults []fault.Violation) error {
	d.Order.Faults = faults
	if _, err := d.Order.Fire(order.RejectValidation, ""); err != nil {
		return err
	}
	a.dropWork(d, tx.Now(), "validation found a fault; nothing was built")
	return nil
}

// liveFaults asks every provider concerned; the pointers are those of the order's items.
func (a *App) liveFaults(ctx context.Context, d *Dossier) ([]fault.Violation, fulfil.Result) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var faults []fault.Violation
	specs := map[string][]provider.Spec{}
	for i := range d.Order.Items {
		it, at := &d.Order.Items[i], fmt.Sprintf("/items/%d", i)
		name, ok := a.Placement(it.Snapshot.Product, it.Snapshot.Region)
		p, known := a.Providers[name]
		if !ok || !known {
			faults = append(faults, fault.Violation{Pointer: at + "/region", Code: "not-offered-now", Message: "Nobody builds this product in this region at the moment."})
			continue
		}
		spec := specOf(d.Order, it)
		found, err := p.Validate(ctx, spec)
		if err != nil {
			return nil, unreachable(err)
		}
		for _, f := range found {
			f.Pointer = at + f.Pointer
			faults = append(faults, f)
		}
		specs[name] = append(specs[name], spec)
	}
	for name, all := range specs {
		report, err := a.Providers[name].Quota(ctx, all)
		if err != nil {
			return nil, unreachable(err)
		}
		for _, line := range report.Exceeded() {
			faults = append(faults, fault.Violation{
				Pointer: "/items", Code: "quota-exceeded",
				Message: fmt.Sprintf("The order needs %d %s of %s; %d of %d are in use.", line.Need, line.Unit, line.Resource, line.Used, line.Limit), Allowed: []any{line.Limit - line.Used},
			})
		}
	}
	inputs := make([]ItemInput, len(d.Order.Items))
	for i, it := range d.Order.Items {
		inputs[i] = inputOf(it)
	}
	return append(faults, cycleFaults(inputs, d.Settings)...), fulfil.Result{Class: fault.None, Note: "validated"}
}

func unreachable(err error) fulfil.Result {
	r := failed(err)
	r.Class, r.After = fault.Parked, max(r.After, 5*time.Second)
	r.Note = "a provider could not be asked; asking again"
	return r
}
