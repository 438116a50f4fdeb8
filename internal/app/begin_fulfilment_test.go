package app_test

import (
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/world"
)

func TestProvisioningIsCausedByThePaymentsEventAndPulledByIt(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o := w.PaidOrder(world.VPS())
	d := w.Get(o)
	if due := d.ValidateUnit().NextAt.Sub(w.Clock.Now()); due != 30*time.Second {
		t.Errorf("before its event is heard the validation is due in %s, want 30 s (D20)", due)
	}
	w.Publish()
	d = w.Get(o)
	if due := d.ValidateUnit().NextAt; due.After(w.Clock.Now()) {
		t.Errorf("after its event was heard the validation is due %s later, want now", due.Sub(w.Clock.Now()))
	}
	w.Settle(o)
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
	w := world.New(t)
	o := w.PaidOrder(world.VPS())
	paidAt := w.Clock.Now()
	w.SettleWithoutBroker(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	if waited := w.Clock.Now().Sub(paidAt); waited < 30*time.Second {
		t.Errorf("without a broker the order was done after %s, want not before the 30 s of D20", waited)
	}
}

func open(d *app.Dossier, k fulfil.Kind) []fulfil.Unit {
	var live []fulfil.Unit
	for _, u := range d.Units {
		if u.Kind == k && u.Live() {
			live = append(live, u)
		}
	}
	return live
}

func TestAnEventOfACancelThatComesLateLeavesTheOrdersNextLifeAlone(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o := w.Submitted("per_item", world.VPS()).Order.ID
	mustCancel(t, w, o) // its event waits: the broker is away
	if _, err := w.Verbs.API.RestoreOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "yes please")); err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	again, err := w.Verbs.API.SubmitOrder(t.Context(), w.As(tenant.Customer), submit(o))
	if err != nil {
		t.Fatalf("SubmitOrder: %v", err)
	}
	w.Pay(again)
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}
