package order

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
)

// cell is an allowed move in the hand-written matrix.
type cell struct {
	to  State
	how How
}

// matrix holds the moves of an order that D2, D4, D7, D8 and D12 allow. It is written by hand and never computed
// from Lifecycle. A cell that is not here must be refused with 409.
var matrix = map[State]map[Trigger]cell{
	Draft: {Submit: {PendingPayment, AtOnce}, Cancel: {Cancelled, AtOnce}},
	PendingPayment: {
		ConfirmPayment: {PaymentConfirmed, AtOnce}, Cancel: {Cancelled, AtOnce},
		Expire: {Cancelled, AtOnce},
	},
	PaymentConfirmed: {
		ConfirmPayment: {PaymentConfirmed, NoOp}, RevertPayment: {PendingPayment, AtOnce},
		BeginValidation: {Validating, AtOnce}, Cancel: {Cancelled, Closes},
	},
	Validating: {
		RevertPayment: {PendingPayment, AtOnce}, PassValidation: {Provisioning, AtOnce},
		RejectValidation: {Failed, Closes}, Cancel: {Cancelled, Closes},
	},
	Provisioning:       {Cancel: {0, Request}},
	PartiallyFulfilled: {Cancel: {0, Request}},
	Fulfilled:          {},
	Cancelled:          {Cancel: {Cancelled, NoOp}, Restore: {Draft, AtOnce}},
	Failed:             {},
}

// closingMatrix is the matrix of a closing order: it accepts only a second cancel, which changes nothing. A
// cancelled order has closed and can be restored, which clears the flag.
var closingMatrix = map[State]map[Trigger]cell{
	Draft: {Cancel: {Draft, NoOp}}, PendingPayment: {Cancel: {PendingPayment, NoOp}},
	PaymentConfirmed: {Cancel: {PaymentConfirmed, NoOp}},
	Validating:       {Cancel: {Validating, NoOp}}, Provisioning: {Cancel: {Provisioning, NoOp}},
	PartiallyFulfilled: {Cancel: {PartiallyFulfilled, NoOp}},
	Cancelled:          {Cancel: {Cancelled, NoOp}, Restore: {Draft, AtOnce}},
}

func TestEveryStateAndTriggerDoesWhatTheHandWrittenMatrixSays(t *testing.T) {
	t.Parallel()
	cells := 0
	for _, closing := range []Closing{NotClosing, ClosingCancel, ClosingRejected} {
		want := matrix
		if closing != NotClosing {
			want = closingMatrix
		}
		for _, s := range States() {
			for _, on := range Triggers() {
				cells++
				o := &Order{State: s, Closing: closing, Settlement: SettlementSettled}
				got, err := Next(o, on)
				w, ok := want[s][on]
				if !ok {
					f := fault.Of(err)
					if f == nil || f.Kind != fault.KindConflict || f.Code != fault.CodeIllegalTransition ||
						f.Members["state"] != s.String() {
						t.Errorf("Next(%s closing %d, %s) = %v, %v; want a conflict that names the state", s, closing, on, got, err)
					}
					continue
				}
				if err != nil || got.To != w.to || got.How != w.how {
					t.Errorf("Next(%s closing %d, %s) = %s how %d, %v; want %s how %d",
						s, closing, on, got.To, got.How, err, w.to, w.how)
				}
			}
		}
	}
	if cells != 3*9*10 {
		t.Errorf("walked %d cells, want %d", cells, 3*9*10)
	}
}

func TestDerivedMovesAreThoseOfTheMatrixAndNoOthers(t *testing.T) {
	t.Parallel()
	// By hand, as in the database trigger that guards the column orders.state.
	want := [][2]State{
		{1, 2},
		{1, 8},
		{2, 3},
		{2, 8},
		{3, 2},
		{3, 4},
		{3, 8},
		{4, 2},
		{4, 5},
		{4, 8},
		{4, 9},
		{5, 6},
		{5, 7},
		{5, 8},
		{5, 9},
		{6, 7},
		{6, 8},
		{6, 9},
		{8, 1},
	}
	if diff := cmp.Diff(want, Moves()); diff != "" {
		t.Errorf("Moves() (-want +got):\n%s", diff)
	}
}

var itemMatrix = map[ItemState]map[ItemTrigger]ItemState{
	ItemPending: {Enqueue: ItemQueued, Unrecoverable: ItemCancelled},
	ItemQueued:  {Start: ItemProvisioning, Unrecoverable: ItemCancelled},
	ItemProvisioning: {
		Ready: ItemActive, CallFailed: ItemRetryWait, NoCapacity: ItemWaitingCapacity,
		Unrecoverable: ItemCompensating,
	},
	ItemRetryWait:       {Start: ItemProvisioning, Unrecoverable: ItemCompensating},
	ItemWaitingCapacity: {Start: ItemProvisioning, Unrecoverable: ItemCompensating},
	ItemActive:          {Deliver: ItemDelivered, Unrecoverable: ItemCompensating},
	ItemCompensating:    {CallFailed: ItemCompensating, Compensated: ItemRolledBack, CompensationExhausted: ItemStuck},
	ItemStuck:           {Redrive: ItemCompensating, Abandon: ItemRolledBack},
	ItemRolledBack:      {RestoreItem: ItemPending},
	ItemCancelled:       {RestoreItem: ItemPending},
	ItemDelivered:       {},
}

func TestEveryItemStateAndTriggerDoesWhatTheHandWrittenMatrixSays(t *testing.T) {
	t.Parallel()
	for _, s := range ItemStates() {
		for _, on := range ItemTriggers() {
			got, err := NextItem(s, on)
			want, ok := itemMatrix[s][on]
			if ok != (err == nil) || got.To != want {
				t.Errorf("NextItem(%s, %s) = %s, %v; want %s", s, on, got.To, err, want)
			}
		}
	}
}

func TestAllowedActionsFollowTheState(t *testing.T) {
	t.Parallel()
	held := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		o    Order
		want []Action
	}{
		{Order{State: Draft}, []Action{ActEdit, ActSubmit, ActCancel}},
		{Order{State: PendingPayment}, []Action{ActConfirmPayment, ActCancel}},
		{Order{State: PaymentConfirmed}, []Action{ActRevertPayment, ActCancel, ActHold}},
		{Order{State: Validating, HeldAt: &held}, []Action{ActRevertPayment, ActCancel, ActRelease}},
		{Order{State: Validating, Closing: ClosingCancel}, []Action{}},
		{Order{State: Provisioning}, []Action{ActCancel}},
		{Order{State: Fulfilled}, []Action{}},
		{Order{State: Cancelled, Closing: ClosingCancel, Settlement: SettlementSettled}, []Action{ActRestore}},
		{Order{State: Cancelled, Settlement: SettlementCompensating}, []Action{}},
	} {
		if diff := cmp.Diff(c.want, c.o.AllowedActions()); diff != "" {
			t.Errorf("AllowedActions of %s closing %d (-want +got):\n%s", c.o.State, c.o.Closing, diff)
		}
	}
}

func TestCancelOfAllOrNothingIsRefusedOnceDeliveryHasBegun(t *testing.T) {
	t.Parallel()
	o := &Order{
		State: PartiallyFulfilled, Policy: AllOrNothing, Items: []Item{{State: ItemActive}, {State: ItemActive}},
	}
	if _, err := Next(o, Cancel); fault.Of(err) == nil {
		t.Errorf("Next(all_or_nothing with all active, cancel) = %v, want a conflict", err)
	}
	o.Items = []Item{{State: ItemActive}, {State: ItemProvisioning}}
	if tr, err := Next(o, Cancel); err != nil || tr.How != Request {
		t.Errorf("Next(all_or_nothing with one still building, cancel) = %v, %v; want a request", tr, err)
	}
}

func TestEveryRowOfTheTableIsReachableAndSaysWhy(t *testing.T) {
	t.Parallel()
	reach := map[State]bool{Draft: true}
	for range Lifecycle {
		for _, r := range Lifecycle {
			if reach[r.From] && r.To != 0 {
				reach[r.To] = true
			}
		}
	}
	for _, s := range States() {
		if !reach[s] {
			t.Errorf("state %s cannot be reached from draft", s)
		}
	}
	for _, r := range Lifecycle {
		if r.Why == "" || r.How != NoOp && r.On != RejectValidation && r.Emits == "" {
			t.Errorf("row %s on %s: every row says why, and every move has its event", r.From, r.On)
		}
	}
}

func TestRestoredItemsStartUnderANewGenerationAndSequencesHaveNoGap(t *testing.T) {
	t.Parallel()
	o := &Order{
		ID: id.MustParse[Order]("01890000-0000-7000-8000-000000000001"), State: Cancelled,
		Closing: ClosingCancel, Settlement: SettlementSettled, LastSeq: 7,
		Items: []Item{{State: ItemRolledBack, Generation: 3}},
	}
	if err := o.MoveItem(&o.Items[0], RestoreItem, ItemFact{}, ""); err != nil {
		t.Fatalf("MoveItem: %v", err)
	}
	if o.Items[0].Generation != 4 || o.Items[0].State != ItemPending {
		t.Errorf("restored item = %+v, want pending, generation 4", o.Items[0])
	}
	if _, err := o.Fire(Restore, "changed my mind"); err != nil {
		t.Fatalf("Fire(restore): %v", err)
	}
	if _, err := o.Fire(Submit, ""); err != nil {
		t.Fatalf("Fire(submit): %v", err)
	}
	got := []string{}
	for _, e := range o.TakeEvents() {
		got = append(got, fmt.Sprintf("%d %s %s→%s", e.Seq, e.Type, e.From, e.To))
	}
	want := []string{"8 order.restored cancelled→draft", "9 order.submitted draft→pending_payment"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
