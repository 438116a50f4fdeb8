package app_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestTheLedgerAloneSaysWhatIsLeftOfAnOrder(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := w.PaidOrder(harness.VPS(), harness.Database())
	w.Drain(o)
	for _, r := range w.Get(o).Order.Refunds {
		if _, err := w.UseCases.API.FinishWorkItem(t.Context(), w.As(tenant.Operator), r.ID, o, "moved"); err != nil {
			t.Fatal(err)
		}
	}
	w.Drain(o)
	paid := w.Count(`SELECT sum(paid_cents) FROM platforma.payments`)
	back := w.Count(`SELECT sum(cents) FROM platforma.refunds WHERE state IN ($1, $2)`,
		int16(order.RefundAccepted), int16(order.RefundCompleted))
	if left := w.Count(`SELECT sum(moved_cents) FROM platforma.billing_receipts`); paid != 8510 || back != 6500 ||
		left != paid-back {
		t.Errorf("paid %d, given back %d, the ledger says %d are left", paid, back, left)
	}
	heard := 0
	for _, ev := range w.Events {
		if event.Billing.Hears(ev.Type) {
			heard++
		}
	}
	if kept := w.Count(`SELECT count(*) FROM platforma.billing_receipts`); kept != heard || heard != 7 {
		t.Errorf("%d receipts of %d events", kept, heard)
	}
	w.CheckWorld()
}

func TestBooksThatDoNotAgreeAtAnOrdersEndRaiseAnAlarmAndStartNothing(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.SetSettings(func(s *app.Settings) { s.SafetyWindow = 3600 })
	o := w.PaidOrder(harness.VPS())
	w.Publish()
	mustCancel(t, w, o)
	w.DrainWithoutBroker(o)
	w.WantPicture(o, "cancelled none settled; vps cancelled refund 20.10 accepted")
	if _, err := w.DB.Super(t).Exec(t.Context(), `UPDATE platforma.billing_receipts SET moved_cents = moved_cents + 1
		WHERE type = 'order.payment-confirmed'`); err != nil {
		t.Fatal(err)
	}
	w.Drain(o)
	if left := w.Count(`SELECT left_cents FROM platforma.billing_finding`); left != 1 {
		t.Errorf("the finding says that %d is left, want 1", left)
	}
	wantTold(t, w, "alpha: the books of 1 order do not agree")
	w.WantPicture(o, "cancelled none settled; vps cancelled refund 20.10 accepted")
	w.CheckWorld("I7")
}
