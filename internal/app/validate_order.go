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

// ValidateOrder validates a paid order against what the providers can build now (D13). If all is well it starts
// provisioning, with a task per item; otherwise it rejects the order with all faults and refunds it. When a provider
// cannot be asked, the order waits and is not rejected. The cause of its events is the payment's event (D20).
func (a *App) ValidateOrder(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	agg, task, err := a.load(ctx, t, taskID)
	if err != nil || task == nil || !task.Live() {
		return -1, err
	}
	if task.NextAt.IsZero() || agg.Order.HeldAt != nil {
		return -1, nil // held: ReleaseOrder queues it again
	}
	if wait := task.NextAt.Sub(a.Clock.Now()); wait > 0 {
		return wait, nil
	}
	if agg.Order.State == order.PaymentConfirmed {
		intent := *task
		intent.Epoch, intent.Sent = task.Epoch+1, true
		m := fulfil.Move{Task: intent, Result: fulfil.Result{At: a.Clock.Now()}}
		agg, err = a.commit(ctx, *task, m, func(_ Tx, agg *Aggregate, _ *fulfil.Task) error {
			_, err := agg.Order.Fire(order.BeginValidation, "")
			return err
		})
		if err != nil {
			return 0, err
		}
		task = agg.Task(taskID)
		task.Speed = a.Clock.Speed()
	}
	faults, r := a.liveFaults(ctx, agg)
	r.At = a.Clock.Now()
	m := fulfil.NextSingle(*task, r)
	_, err = a.commit(ctx, *task, m, func(tx Tx, agg *Aggregate, _ *fulfil.Task) error {
		if !m.Done {
			return nil
		}
		if len(faults) > 0 {
			return a.rejectOrder(tx, agg, faults)
		}
		for i := range agg.Order.Items {
			if err := agg.Order.MoveItem(&agg.Order.Items[i], order.Enqueue, order.ItemFact{}, ""); err != nil {
				return err
			}
		}
		_, err := agg.Order.Fire(order.PassValidation, "")
		return err
	})
	return max(0, m.Task.NextAt.Sub(a.Clock.Now())), err
}

func (a *App) rejectOrder(tx Tx, agg *Aggregate, faults []fault.Violation) error {
	agg.Order.Faults = faults
	if _, err := agg.Order.Fire(order.RejectValidation, ""); err != nil {
		return err
	}
	a.compensateUndelivered(agg, tx.Now(), "validation found a fault; nothing was built")
	return nil
}

// liveFaults asks every provider concerned and returns their faults, with pointers to the order's items.
func (a *App) liveFaults(ctx context.Context, agg *Aggregate) ([]fault.Violation, fulfil.Result) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var faults []fault.Violation
	specs := map[string][]provider.Spec{}
	for i := range agg.Order.Items {
		it, at := &agg.Order.Items[i], fmt.Sprintf("/items/%d", i)
		name, ok := a.Placement(it.Snapshot.Product, it.Snapshot.Region)
		p, known := a.Providers[name]
		if !ok || !known {
			faults = append(faults, fault.Violation{
				Pointer: at + "/region", Code: "not-offered-now",
				Message: "Nobody builds this product in this region at the moment.",
			})
			continue
		}
		spec := specOf(agg.Order, it)
		found, err := p.Validate(ctx, spec)
		if err != nil {
			return nil, resultOfUnreachable(err)
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
			return nil, resultOfUnreachable(err)
		}
		for _, line := range report.Exceeded() {
			faults = append(faults, fault.Violation{
				Pointer: "/items", Code: "quota-exceeded",
				Message: fmt.Sprintf("The order needs %d %s of %s; %d of %d are in use.",
					line.Need, line.Unit, line.Resource, line.Used, line.Limit),
				Allowed: []any{line.Limit - line.Used},
			})
		}
	}
	inputs := make([]ItemInput, len(agg.Order.Items))
	for i, it := range agg.Order.Items {
		inputs[i] = inputOf(it)
	}
	return append(faults, cycleFaults(inputs, agg.Settings)...), fulfil.Result{Class: fault.None, Note: "validated"}
}

// resultOfUnreachable returns the result when a provider could not be asked: a wait that uses up no retry.
func resultOfUnreachable(err error) fulfil.Result {
	r := resultOfError(err)
	r.Class, r.After = fault.Suspended, max(r.After, 5*time.Second)
	r.Note = "a provider could not be asked; asking again"
	return r
}
