package app_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/world"
)

func TestAPaymentRevertAndTheStartOfProvisioningNeverBothWin(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	reverted, started := 0, 0
	for range rounds(40, 200) {
		o := w.PaidOrder(world.Storage())
		w.Publish()
		d := w.Get(o)
		u := d.ValidateUnit()
		var wg sync.WaitGroup
		var revert error
		wg.Go(func() {
			_, revert = w.Verbs.API.RevertPayment(t.Context(), w.As(tenant.Operator), reasoned(o, "wrong payer"))
		})
		wg.Go(func() {
			if _, err := w.Verbs.Worker.ValidateOrder(t.Context(), u.Tenant, u.ID); err != nil && !fencedOrRefused(err) {
				t.Errorf("ValidateOrder: %v", err)
			}
		})
		wg.Wait()
		switch got := w.Get(o).Order.State; {
		case revert == nil && got == order.PendingPayment:
			reverted++
		case got == order.Provisioning:
			wantConflict(t, "revert after provisioning started", revert, "provisioning")
			started++
		default:
			t.Errorf("revert = %v, order %s: want exactly one winner", revert, got)
		}
		if t.Failed() {
			return
		}
		mustCancel(t, w, o)
	}
	t.Logf("%d reverted, %d started", reverted, started)
	w.Settle()
	w.WantLive("", 0)
	w.CheckWorld()
}

func fencedOrRefused(err error) bool {
	f := fault.Of(err)
	return errors.Is(err, app.ErrFenced) || f != nil && f.Kind == fault.KindConflict
}
