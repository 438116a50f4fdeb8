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

func TestTheBillingLedgerAloneSumsToWhatAnOrderKept(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := h.PaidOrder(harness.VPS(), harness.Database())
	h.Drain(o)
	for _, r := range h.Order(o).Order.Refunds {
		if _, err := h.UseCases.API.FinishWorkItem(t.Context(), h.As(tenant.Operator), r.ID, o, "moved"); err != nil {
			t.Fatal(err)
		}
	}
	h.Drain(o)
	paid := h.QueryInt(`SELECT sum(paid_cents) FROM platforma.payments`)
	refunded := h.QueryInt(`SELECT sum(cents) FROM platforma.refunds WHERE state IN ($1, $2)`,
		int16(order.RefundAccepted), int16(order.RefundCompleted))
	kept := h.QueryInt(`SELECT sum(moved_cents) FROM platforma.billing_receipts`)
	if paid != 8510 || refunded != 6500 || kept != paid-refunded {
		t.Errorf("paid %d, refunded %d, the ledger sums to %d", paid, refunded, kept)
	}
	routed := 0
	for _, ev := range h.Events {
		if event.Billing.Subscribes(ev.Type) {
			routed++
		}
	}
	if receipts := h.QueryInt(`SELECT count(*) FROM platforma.billing_receipts`); receipts != routed || routed != 7 {
		t.Errorf("%d receipts of %d events, want 7 of 7", receipts, routed)
	}
	h.CheckInvariants()
}

func TestALedgerThatDoesNotBalanceAtAnOrdersEndRaisesAnAlarmAndStartsNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SetSettings(func(s *app.Settings) { s.SafetyWindow = 3600 })
	o := h.PaidOrder(harness.VPS())
	h.Publish()
	mustCancel(t, h, o)
	h.DrainWithoutBroker(o)
	h.WantSummary(o, "cancelled none settled; vps cancelled refund 20.10 accepted")
	_, err := h.DB.Super(t).Exec(t.Context(), `
		UPDATE platforma.billing_receipts SET moved_cents = moved_cents + 1
		WHERE type = 'order.payment-confirmed'`)
	if err != nil {
		t.Fatal(err)
	}
	h.Drain(o)
	if left := h.QueryInt(`SELECT left_cents FROM platforma.billing_finding`); left != 1 {
		t.Errorf("the finding says %d cents, want 1", left)
	}
	wantNotices(t, h, "alpha: the books of 1 order do not agree")
	h.WantSummary(o, "cancelled none settled; vps cancelled refund 20.10 accepted")
	h.CheckInvariants("I7")
}
