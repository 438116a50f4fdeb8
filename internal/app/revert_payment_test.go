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
	h := harness.New(t)
	reverted, started := 0, 0
	for range rounds(40, 200) {
		o := h.PaidOrder(harness.Storage())
		h.Publish()
		agg := h.Order(o)
		task := agg.ValidateTask()
		var wg sync.WaitGroup
		var revert error
		wg.Go(func() {
			_, revert = h.UseCases.API.RevertPayment(t.Context(), h.As(tenant.Operator), reasoned(o, "wrong payer"))
		})
		wg.Go(func() {
			if _, err := h.UseCases.Worker.ValidateOrder(t.Context(), task.Tenant,
				task.ID); err != nil && !fencedOrRefused(err) {
				t.Errorf("ValidateOrder: %v", err)
			}
		})
		wg.Wait()
		switch got := h.Order(o).Order.State; {
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
		mustCancel(t, h, o)
	}
	t.Logf("%d reverted, %d started", reverted, started)
	h.Drain()
	h.WantLiveResources("", 0)
	h.CheckInvariants()
}

func fencedOrRefused(err error) bool {
	f := fault.Of(err)
	return errors.Is(err, app.ErrFenced) || f != nil && f.Kind == fault.KindConflict
}
