package app_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestAPaymentRevertAndTheStartOfProvisioningNeverBothWin(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	reverted, started := 0, 0
	for range rounds(40, 200) {
		o := w.PaidOrder(harness.Storage())
		w.Publish()
		agg := w.Get(o)
		task := agg.ValidateTask()
		var wg sync.WaitGroup
		var revert error
		wg.Go(func() {
			_, revert = w.UseCases.API.RevertPayment(t.Context(), w.As(tenant.Operator), reasoned(o, "wrong payer"))
		})
		wg.Go(func() {
			if _, err := w.UseCases.Worker.ValidateOrder(t.Context(), task.Tenant,
				task.ID); err != nil && !fencedOrRefused(err) {
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
	w.Drain()
	w.WantLive("", 0)
	w.CheckWorld()
}

func fencedOrRefused(err error) bool {
	f := fault.Of(err)
	return errors.Is(err, app.ErrFenced) || f != nil && f.Kind == fault.KindConflict
}
