package app_test

import (
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestProvisioningIsCausedByThePaymentsEventAndPulledByIt(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	agg := w.Get(o)
	if due := agg.ValidateTask().NextAt.Sub(w.Clock.Now()); due != 30*time.Second {
		t.Errorf("before its event is heard the validation is due in %s, want 30 s (D20)", due)
	}
	w.Publish()
	agg = w.Get(o)
	if due := agg.ValidateTask().NextAt; due.After(w.Clock.Now()) {
		t.Errorf("after its event was heard the validation is due %s later, want now", due.Sub(w.Clock.Now()))
	}
	w.Drain(o)
	var payment event.ID
	for _, ev := range w.Events {
		switch ev.Type {
		case order.EvPaymentConfirmed:
			payment = ev.ID
		case order.EvValidating, order.EvProvisioningStarted:
			if ev.Causation != payment {
				t.Errorf("%s was caused by %s, want the payment's event %s", ev.Type, ev.Causation, payment)
			}
		}
	}
}

func TestABrokerThatIsAwayDelaysProvisioningAndStopsNothing(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	paidAt := w.Clock.Now()
	w.DrainWithoutBroker(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	if waited := w.Clock.Now().Sub(paidAt); waited < 30*time.Second {
		t.Errorf("without a broker the order was done after %s, want not before the 30 s of D20", waited)
	}
}

func open(agg *app.Aggregate, k fulfil.Kind) []fulfil.Task {
	var live []fulfil.Task
	for _, task := range agg.Tasks {
		if task.Kind == k && task.Live() {
			live = append(live, task)
		}
	}
	return live
}

func TestAnEventOfACancelThatComesLateLeavesTheOrdersNextLifeAlone(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.Submitted("per_item", harness.VPS()).Order.ID
	mustCancel(t, w, o) // its event waits: the broker is away
	if _, err := w.UseCases.API.RestoreOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "yes please")); err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	again, err := w.UseCases.API.SubmitOrder(t.Context(), w.As(tenant.Customer), submit(o))
	if err != nil {
		t.Fatalf("SubmitOrder: %v", err)
	}
	w.Pay(again)
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}
