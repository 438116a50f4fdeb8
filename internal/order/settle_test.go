package order

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expected is a second implementation of the derivation, written from the five rules in Settle's comment.
func expected(f Facts) Settled {
	count := map[ItemState]int{}
	for _, s := range f.Items {
		count[s]++
	}
	terminal := count[ItemDelivered] + count[ItemRolledBack] + count[ItemCancelled]
	openRefund, stuckRefund := 0, 0
	for _, r := range f.Refunds {
		if r == RefundRequested {
			openRefund++
		}
		if r == RefundStuck {
			stuckRefund++
		}
	}
	want := Settled{State: f.State}
	switch {
	case f.DeliveryStuck || count[ItemStuck] > 0 || stuckRefund > 0:
		want.Settlement = SettlementStuck
	case count[ItemCompensating] > 0 || openRefund > 0:
		want.Settlement = SettlementCompensating
	case terminal == len(f.Items) && len(f.Items) > 0 || f.State == Fulfilled || f.State == Cancelled || f.State == Failed:
		if terminal == len(f.Items) {
			want.Settlement = SettlementSettled
		}
	}
	candidate := State(0)
	switch {
	case terminal < len(f.Items) && count[ItemActive]+count[ItemDelivered] > 0:
		candidate = PartiallyFulfilled
	case terminal < len(f.Items):
		candidate = Provisioning
	case count[ItemDelivered] > 0:
		candidate = Fulfilled
	case openRefund+stuckRefund > 0:
	case f.Closing == ClosingCancel:
		candidate = Cancelled
	default:
		candidate = Failed
	}
	derived := f.State == Provisioning || f.State == PartiallyFulfilled ||
		f.Closing != NotClosing && (f.State == PaymentConfirmed || f.State == Validating)
	allowed := map[State][]State{
		PaymentConfirmed: {Cancelled}, Validating: {Cancelled, Failed},
		Provisioning: {PartiallyFulfilled, Fulfilled, Failed, Cancelled}, PartiallyFulfilled: {Fulfilled, Failed, Cancelled},
	}
	if derived {
		for _, to := range allowed[f.State] {
			if to == candidate {
				want.State = to
			}
		}
	}
	if want.State == Fulfilled {
		want.Outcome = OutcomeFull
		if count[ItemRolledBack]+count[ItemCancelled] > 0 {
			want.Outcome = OutcomePartial
		}
	}
	return want
}

func TestSettleAgreesWithTheRulesOnEveryCombinationUpToFourItems(t *testing.T) {
	t.Parallel()
	cases := 0
	var walk func(items []ItemState, n int)
	walk = func(items []ItemState, n int) {
		if n == 0 {
			for _, refunds := range [][]RefundState{nil, {RefundRequested}, {RefundStuck}, {RefundAccepted}} {
				for _, closing := range []Closing{NotClosing, ClosingCancel, ClosingRejected} {
					for _, s := range []State{PaymentConfirmed, Validating, Provisioning, PartiallyFulfilled} {
						f := Facts{State: s, Closing: closing, Items: items, Refunds: refunds}
						if got, want := Settle(f), expected(f); got != want {
							t.Fatalf("Settle(%+v) = %+v, want %+v", f, got, want)
						}
						cases++
					}
				}
			}
			return
		}
		for _, s := range ItemStates() {
			if len(items) > 0 && s < items[len(items)-1] {
				continue // the rules do not depend on the order of the items
			}
			walk(append(items[:len(items):len(items)], s), n-1)
		}
	}
	for n := 1; n <= 4; n++ {
		walk(nil, n)
	}
	if cases < 60_000 {
		t.Errorf("walked %d cases, want at least 60,000", cases)
	}
}

func TestPartiallyFulfilledNeverFallsBack(t *testing.T) {
	t.Parallel()
	got := Settle(Facts{State: PartiallyFulfilled, Items: []ItemState{ItemCompensating, ItemProvisioning}})
	want := Settled{State: PartiallyFulfilled, Settlement: SettlementCompensating}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Settle (-want +got):\n%s", diff)
	}
}

func TestAnOrderIsNotFailedBeforeItsRefundIsAccepted(t *testing.T) {
	t.Parallel()
	f := Facts{
		State: Provisioning, Items: []ItemState{ItemRolledBack, ItemCancelled},
		Refunds: []RefundState{RefundAccepted, RefundRequested},
	}
	if got := Settle(f); got.State != Provisioning || got.Settlement != SettlementCompensating {
		t.Errorf("Settle with an open refund = %+v, want provisioning, compensating (D4)", got)
	}
	f.Refunds[1] = RefundAccepted
	if got := Settle(f); got.State != Failed || got.Settlement != SettlementSettled {
		t.Errorf("Settle with all refunds accepted = %+v, want failed, settled", got)
	}
}

func TestAStuckDeliveryKeepsTheOrderOnTheDesk(t *testing.T) {
	t.Parallel()
	got := Settle(Facts{State: PartiallyFulfilled, Items: []ItemState{ItemDelivered, ItemActive}, DeliveryStuck: true})
	if got.Settlement != SettlementStuck || got.State != PartiallyFulfilled {
		t.Errorf("Settle = %+v, want partially_fulfilled, stuck", got)
	}
}
