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

func TestThePaymentEventCausesProvisioningAndStartsItAtOnce(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS())
	agg := h.Order(o)
	if due := agg.ValidateTask().NextAt.Sub(h.Clock.Now()); due != 30*time.Second {
		t.Errorf("before the event is consumed the validation is due in %s, want 30 s (D20)", due)
	}
	h.Publish()
	agg = h.Order(o)
	if due := agg.ValidateTask().NextAt; due.After(h.Clock.Now()) {
		t.Errorf("after the event was consumed the validation is due %s later, want now", due.Sub(h.Clock.Now()))
	}
	h.Drain(o)
	var payment event.ID
	for _, ev := range h.Events {
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
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS())
	paidAt := h.Clock.Now()
	h.DrainWithoutBroker(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	if waited := h.Clock.Now().Sub(paidAt); waited < 30*time.Second {
		t.Errorf("without a broker the order was done after %s, want not before the 30 s of D20", waited)
	}
}

// liveTasks returns the live tasks of a kind.
func liveTasks(agg *app.Aggregate, k fulfil.Kind) []fulfil.Task {
	var live []fulfil.Task
	for _, task := range agg.Tasks {
		if task.Kind == k && task.Live() {
			live = append(live, task)
		}
	}
	return live
}

func TestALateCancelEventDoesNotTouchARestoredOrder(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.SubmittedOrder("per_item", harness.VPS()).Order.ID
	mustCancel(t, h, o) // its event is not published yet
	if _, err := h.UseCases.API.RestoreOrder(t.Context(), h.As(tenant.Customer), reasoned(o, "yes please")); err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	again, err := h.UseCases.API.SubmitOrder(t.Context(), h.As(tenant.Customer), submit(o))
	if err != nil {
		t.Fatalf("SubmitOrder: %v", err)
	}
	h.Pay(again)
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.CheckInvariants()
}
