package order

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/fault"
)

//go:generate go run ./cmd/lifecycledoc -o ../../docs/order-lifecycle.md

// Trigger is what moves an order.
type Trigger uint8

// The triggers of the order matrix.
const (
	Submit Trigger = iota + 1
	ConfirmPayment
	RevertPayment
	BeginValidation
	PassValidation
	RejectValidation
	ItemsChanged // derived: only Settle fires it
	Cancel
	Restore
	Expire
)

var triggerNames = map[Trigger]string{
	Submit: "submit", ConfirmPayment: "confirm-payment", RevertPayment: "revert-payment",
	BeginValidation: "begin-validation", PassValidation: "pass-validation", RejectValidation: "reject-validation",
	ItemsChanged: "items-changed", Cancel: "cancel", Restore: "restore", Expire: "expire",
}

// Triggers lists all ten triggers in the order of the matrix.
func Triggers() []Trigger {
	return []Trigger{
		Submit, ConfirmPayment, RevertPayment, BeginValidation, PassValidation, RejectValidation, ItemsChanged, Cancel,
		Restore, Expire,
	}
}

// String returns the trigger's name.
func (t Trigger) String() string { return triggerNames[t] }

// How says how a trigger takes effect.
type How uint8

// The ways a trigger takes effect.
const (
	// AtOnce changes the state with the trigger.
	AtOnce How = iota
	// Closes marks the order as closing. Settle enters To when no resource is left and the refund is accepted (D4).
	Closes
	// Request marks the order as closing. Its state follows from the items.
	Request
	// NoOp accepts the trigger and changes nothing.
	NoOp
)

// Transition is one row of the lifecycle. Everything the system knows about a move is a field of its row.
type Transition struct {
	From  State
	On    Trigger
	To    State
	How   How
	Emits EventType // the order's event; "" for a no-op
	Why   string
}

// Lifecycle is the only table of an order's moves (docs/order-lifecycle.md). It drives the guard, the check in
// the database, the generated diagram, allowed_actions and the portal's buttons. A move that is not listed is
// refused.
var Lifecycle = []Transition{
	{Draft, Submit, PendingPayment, AtOnce, EvSubmitted, "the customer orders; prices are frozen (D10)"},
	{Draft, Cancel, Cancelled, AtOnce, EvCancelled, "a cart is thrown away (D7)"},
	{PendingPayment, ConfirmPayment, PaymentConfirmed, AtOnce, EvPaymentConfirmed, "the money is in"},
	{PendingPayment, Cancel, Cancelled, AtOnce, EvCancelled, "nothing was paid (D7)"},
	{PendingPayment, Expire, Cancelled, AtOnce, EvCancelled, "not paid within payment_due_days"},
	{PaymentConfirmed, ConfirmPayment, PaymentConfirmed, NoOp, "", "the same reference again changes nothing"},
	{
		PaymentConfirmed, RevertPayment, PendingPayment, AtOnce, EvPaymentReverted,
		"an operator corrects before provisioning (D12)",
	},
	{
		PaymentConfirmed, BeginValidation, Validating, AtOnce, EvValidating,
		"the Provision consumer received the payment's event (D20)",
	},
	{PaymentConfirmed, Cancel, Cancelled, Closes, EvCancelRequested, "with an automatic full refund (D7)"},
	{
		Validating, RevertPayment, PendingPayment, AtOnce, EvPaymentReverted,
		"an operator corrects before provisioning (D12)",
	},
	{Validating, PassValidation, Provisioning, AtOnce, EvProvisioningStarted, "every item can be built"},
	{
		Validating, RejectValidation, Failed, Closes, "",
		"a live fact forbids an item; full refund, nothing was built (D13)",
	},
	{Validating, Cancel, Cancelled, Closes, EvCancelRequested, "with an automatic full refund (D7)"},
	{
		Provisioning, ItemsChanged, PartiallyFulfilled, AtOnce, EvPartiallyFulfilled,
		"an item is active, others are still in progress",
	},
	{Provisioning, ItemsChanged, Fulfilled, AtOnce, EvFulfilled, "all items terminal, at least one delivered"},
	{Provisioning, ItemsChanged, Failed, AtOnce, EvFailed, "nothing could be delivered; all removed and refunded"},
	{Provisioning, ItemsChanged, Cancelled, AtOnce, EvCancelled, "cancel requested; all removed and refunded"},
	{
		Provisioning, Cancel, 0, Request, EvCancelRequested,
		"undelivered items are compensated; the state follows from the items (D7)",
	},
	{PartiallyFulfilled, ItemsChanged, Fulfilled, AtOnce, EvFulfilled, "all items terminal, at least one delivered"},
	{PartiallyFulfilled, ItemsChanged, Failed, AtOnce, EvFailed, "every item was compensated before any was delivered"},
	{PartiallyFulfilled, ItemsChanged, Cancelled, AtOnce, EvCancelled, "cancel requested; all removed and refunded"},
	{
		PartiallyFulfilled, Cancel, 0, Request, EvCancelRequested,
		"undelivered items are compensated; the state follows from the items (D7)",
	},
	{Cancelled, Cancel, Cancelled, NoOp, "", "cancel is idempotent"},
	{Cancelled, Restore, Draft, AtOnce, EvRestored, "a cancelled, settled order becomes a draft again (D8)"},
}

// Moves lists every change of an order's state that the table allows, as (from, to). The check in the
// database is generated from this list and compared with it.
func Moves() [][2]State {
	var moves [][2]State
	for _, t := range Lifecycle {
		if t.How == AtOnce || t.How == Closes {
			if m := [2]State{t.From, t.To}; !slices.Contains(moves, m) {
				moves = append(moves, m)
			}
		}
	}
	slices.SortFunc(moves, func(a, b [2]State) int { return int(a[0])*16 + int(a[1]) - int(b[0])*16 - int(b[1]) })
	return moves
}

// Next finds the row for a trigger in the order's present state. If there is none, it returns the conflict
// "illegal-transition", which names the state and the allowed actions. While the closing flag is set, every
// forward move, the revert and a second reason to close are refused, and a second cancel is a no-op.
// Next never finds ItemsChanged, which only Settle fires.
func Next(o *Order, on Trigger) (Transition, error) {
	if t, ok := o.next(on); ok {
		return t, nil
	}
	return Transition{}, o.Refuse(on.String())
}

func (o *Order) next(on Trigger) (Transition, bool) {
	if o.Closing != NotClosing && o.State != Cancelled {
		if on == Cancel && !o.State.Terminal() {
			return Transition{From: o.State, On: Cancel, To: o.State, How: NoOp, Why: "already closing"}, true
		}
		return Transition{}, false
	}
	i := slices.IndexFunc(Lifecycle, func(t Transition) bool {
		return t.From == o.State && t.On == on && on != ItemsChanged
	})
	switch {
	case i < 0:
		return Transition{}, false
	case on == Restore && o.Settlement != SettlementSettled:
		return Transition{}, false
	case on == Cancel && o.Policy == AllOrNothing && o.DeliveryBegun():
		return Transition{}, false // the point of no return of the whole order (D7)
	}
	return Lifecycle[i], true
}

// MayHold reports whether the order's validation may be put on hold (D12).
func (o *Order) MayHold() bool { return o.beforeProvisioning() && o.HeldAt == nil }

// MayRelease reports whether the order is on hold and may continue (D12).
func (o *Order) MayRelease() bool { return o.beforeProvisioning() && o.HeldAt != nil }

func (o *Order) beforeProvisioning() bool {
	return (o.State == PaymentConfirmed || o.State == Validating) && o.Closing == NotClosing
}

// Action is something that a person may ask for an order, by its name in the API.
type Action string

// The actions.
const (
	ActEdit           Action = "edit"
	ActSubmit         Action = "submit"
	ActConfirmPayment Action = "confirm-payment"
	ActRevertPayment  Action = "revert-payment"
	ActCancel         Action = "cancel"
	ActRestore        Action = "restore"
	ActHold           Action = "hold"
	ActRelease        Action = "release"
)

var actionTriggers = []struct {
	action  Action
	trigger Trigger
}{
	{ActSubmit, Submit},
	{ActConfirmPayment, ConfirmPayment},
	{ActRevertPayment, RevertPayment},
	{ActCancel, Cancel},
	{ActRestore, Restore},
}

// AllowedActions lists the actions that the order would accept now. It ignores who asks: package app checks
// the roles.
func (o *Order) AllowedActions() []Action {
	actions := []Action{}
	if o.State == Draft {
		actions = append(actions, ActEdit)
	}
	for _, at := range actionTriggers {
		if t, ok := o.next(at.trigger); ok && t.How != NoOp {
			actions = append(actions, at.action)
		}
	}
	if o.MayHold() {
		actions = append(actions, ActHold)
	}
	if o.MayRelease() {
		actions = append(actions, ActRelease)
	}
	return actions
}

// Refuse returns the conflict for an action that the order does not accept in its present state.
func (o *Order) Refuse(what string) error {
	closing, possible := "", "nothing"
	if o.Closing != NotClosing {
		closing = " and closing"
	}
	allowed := o.AllowedActions()
	if len(allowed) > 0 {
		names := make([]string, len(allowed))
		for i, a := range allowed {
			names[i] = string(a)
		}
		possible = strings.Join(names, ", ")
	}
	e := fault.New(fault.KindConflict, fault.CodeIllegalTransition,
		"An order that is %s%s does not take %s. Possible now: %s.", o.State, closing, what, possible)
	e.Members = map[string]any{"state": o.State.String(), "allowed_actions": allowed}
	return e
}

// ItemTrigger is what moves an item.
type ItemTrigger uint8

// The triggers of the item matrix.
const (
	Enqueue ItemTrigger = iota + 1
	Start
	Ready
	Deliver
	CallFailed
	NoCapacity
	Unrecoverable // also for a cancel, and for another item's failure under all_or_nothing
	Compensated
	CompensationExhausted
	Redrive
	Abandon
	RestoreItem
)

var itemTriggerNames = map[ItemTrigger]string{
	Enqueue: "enqueue", Start: "start", Ready: "ready", Deliver: "deliver",
	CallFailed: "call-failed", NoCapacity: "no-capacity", Unrecoverable: "unrecoverable",
	Compensated: "compensated", CompensationExhausted: "compensation-exhausted",
	Redrive: "redrive", Abandon: "abandon", RestoreItem: "restore",
}

// ItemTriggers lists all twelve triggers in the order of the matrix.
func ItemTriggers() []ItemTrigger {
	return []ItemTrigger{
		Enqueue, Start, Ready, Deliver, CallFailed, NoCapacity, Unrecoverable, Compensated, CompensationExhausted,
		Redrive, Abandon, RestoreItem,
	}
}

// String returns the trigger's name.
func (t ItemTrigger) String() string { return itemTriggerNames[t] }

// ItemTransition is one row of the item's lifecycle.
type ItemTransition struct {
	From  ItemState
	On    ItemTrigger
	To    ItemState
	Emits EventType
	Why   string
}

// ItemLifecycle is the only table of an item's moves (docs/order-lifecycle.md). AbandonItem deviates from it:
// a stuck item whose refund is not accepted yet becomes compensating instead of rolled back.
var ItemLifecycle = []ItemTransition{
	{ItemPending, Enqueue, ItemQueued, "", "carried by order.provisioning-started (D17)"},
	{ItemPending, Unrecoverable, ItemCancelled, EvItemCancelled, "no work had begun"},
	{ItemQueued, Start, ItemProvisioning, EvItemProvisioning, "the first intent is committed"},
	{ItemQueued, Unrecoverable, ItemCancelled, EvItemCancelled, "no call was made"},
	{ItemProvisioning, Ready, ItemActive, EvItemActive, "read back as ready, credentials sealed"},
	{ItemProvisioning, CallFailed, ItemRetryWait, EvItemRetrying, "one of six calls failed (D5)"},
	{ItemProvisioning, NoCapacity, ItemWaitingCapacity, EvItemWaiting, "the provider has no capacity now (D6)"},
	{ItemProvisioning, Unrecoverable, ItemCompensating, EvItemCompensating, "compensation begins, refund requested"},
	{ItemRetryWait, Start, ItemProvisioning, EvItemProvisioning, "the next call"},
	{ItemRetryWait, Unrecoverable, ItemCompensating, EvItemCompensating, "compensation begins, refund requested"},
	{ItemWaitingCapacity, Start, ItemProvisioning, EvItemProvisioning, "the call is made again"},
	{ItemWaitingCapacity, Unrecoverable, ItemCompensating, EvItemCompensating, "compensation begins, refund requested"},
	{
		ItemActive, Deliver, ItemDelivered, EvServiceDelivered,
		"the mail server accepted the credentials: point of no return (D7)",
	},
	{
		ItemActive, Unrecoverable, ItemCompensating, EvItemCompensating,
		"not delivered yet, so it can still be compensated",
	},
	{ItemCompensating, CallFailed, ItemCompensating, "", "a clean-up call failed and will be tried again"},
	{ItemCompensating, Compensated, ItemRolledBack, EvItemRolledBack, "clean-up confirmed and refund accepted"},
	{ItemCompensating, CompensationExhausted, ItemStuck, EvItemStuck, "clean-up needs a person"},
	{ItemStuck, Redrive, ItemCompensating, EvItemCompensating, "an operator tries again"},
	{ItemStuck, Abandon, ItemRolledBack, EvItemRolledBack, "two people took it over, with proof"},
	{ItemRolledBack, RestoreItem, ItemPending, "", "with the order's restore (D8)"},
	{ItemCancelled, RestoreItem, ItemPending, "", "with the order's restore (D8)"},
}

// ItemMoves lists every change of an item's state that the table allows, as (from, to).
func ItemMoves() [][2]ItemState {
	moves := [][2]ItemState{}
	for _, t := range ItemLifecycle {
		if m := [2]ItemState{t.From, t.To}; t.From != t.To && !slices.Contains(moves, m) {
			moves = append(moves, m)
		}
	}
	slices.SortFunc(moves, func(a, b [2]ItemState) int { return int(a[0])*16 + int(a[1]) - int(b[0])*16 - int(b[1]) })
	return moves
}

// NextItem finds the row for an item's trigger. If there is none, it returns a plain error and not a conflict:
// only our own code moves items, so a refused move is a bug. (A late worker is stopped by the fence before.)
func NextItem(s ItemState, on ItemTrigger) (ItemTransition, error) {
	for _, t := range ItemLifecycle {
		if t.From == s && t.On == on {
			return t, nil
		}
	}
	return ItemTransition{}, fmt.Errorf("item move %s in state %s: %w", on, s, ErrIllegalItemMove)
}
