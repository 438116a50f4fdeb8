package order

// State is the state of an order. There are the nine of the specification and no other (D2). The numbers are
// stored.
type State uint8

// The nine states.
const (
	Draft              State = 1 // items configured, not submitted: the cart (D27)
	PendingPayment     State = 2 // submitted, awaiting confirmation
	PaymentConfirmed   State = 3 // paid, waiting for validation to begin
	Validating         State = 4 // checked against live provider facts (D13)
	Provisioning       State = 5 // resources being created, none ready yet
	PartiallyFulfilled State = 6 // some items active, others still in progress
	Fulfilled          State = 7 // everything that could be delivered was delivered
	Cancelled          State = 8 // no resource left, refunded if paid
	Failed             State = 9 // no resource left, refunded
)

var stateNames = map[State]string{
	Draft: "draft", PendingPayment: "pending_payment", PaymentConfirmed: "payment_confirmed", Validating: "validating",
	Provisioning: "provisioning", PartiallyFulfilled: "partially_fulfilled", Fulfilled: "fulfilled",
	Cancelled: "cancelled", Failed: "failed",
}

// States lists all nine states in the order of the specification.
func States() []State {
	return []State{
		Draft, PendingPayment, PaymentConfirmed, Validating, Provisioning, PartiallyFulfilled, Fulfilled, Cancelled, Failed,
	}
}

// String returns the name used in the API and in events.
func (s State) String() string { return stateNames[s] }

// ParseState reads a state's name.
func ParseState(name string) (State, bool) {
	for s, n := range stateNames {
		if n == name {
			return s, true
		}
	}
	return 0, false
}

// Terminal reports whether an order in this state no longer moves by itself.
func (s State) Terminal() bool { return s == Fulfilled || s == Cancelled || s == Failed }

// Outcome says how much of an order was delivered (D2).
type Outcome uint8

// The outcomes.
const (
	OutcomeNone    Outcome = 0
	OutcomePartial Outcome = 1
	OutcomeFull    Outcome = 2
)

// String returns the name used in the API.
func (o Outcome) String() string { return [...]string{"none", "partial", "full"}[o] }

// Settlement says whether an order's resources and refunds are settled (D2, D4).
type Settlement uint8

// The settlements.
const (
	SettlementOpen         Settlement = 0
	SettlementCompensating Settlement = 1 // an item is compensating, or a refund is not accepted yet
	SettlementSettled      Settlement = 2 // all items terminal, all refunds accepted
	SettlementStuck        Settlement = 3 // needs a person (fallout desk)
)

// String returns the name used in the API.
func (s Settlement) String() string {
	return [...]string{"open", "compensating", "settled", "stuck"}[s]
}

// Policy is the fulfilment policy: what one unrecoverable item means for the others (D1).
type Policy uint8

// The policies.
const (
	PerItem      Policy = 0 // only this item is compensated
	AllOrNothing Policy = 1 // every item is compensated, the last provisioned first
)

// String returns the name used in the API.
func (p Policy) String() string { return [...]string{"per_item", "all_or_nothing"}[p] }

// ParsePolicy reads a policy's name.
func ParsePolicy(s string) (Policy, bool) {
	switch s {
	case "", "per_item":
		return PerItem, true
	case "all_or_nothing":
		return AllOrNothing, true
	}
	return 0, false
}

// Closing says why an order is about to end. It is set beside the state, and the first reason is kept.
type Closing uint8

// The reasons to close.
const (
	NotClosing      Closing = 0
	ClosingCancel   Closing = 1 // cancel requested
	ClosingRejected Closing = 2 // validation rejected
)

// ItemState is the state of one item (D3). The numbers are stored.
type ItemState uint8

// The eleven item states.
const (
	ItemPending         ItemState = 1
	ItemQueued          ItemState = 2
	ItemProvisioning    ItemState = 3
	ItemActive          ItemState = 4 // resources read back as ready, credentials sealed: the pivot
	ItemDelivered       ItemState = 5 // the mail server accepted its delivery
	ItemRetryWait       ItemState = 6
	ItemWaitingCapacity ItemState = 7
	ItemCompensating    ItemState = 8
	ItemRolledBack      ItemState = 9 // no resource left, refunded
	ItemCancelled       ItemState = 10
	ItemStuck           ItemState = 11 // clean-up ran out of retries: needs a person
)

var itemStateNames = map[ItemState]string{
	ItemPending: "pending", ItemQueued: "queued", ItemProvisioning: "provisioning", ItemActive: "active",
	ItemDelivered: "delivered", ItemRetryWait: "retry_wait", ItemWaitingCapacity: "waiting_capacity",
	ItemCompensating: "compensating", ItemRolledBack: "rolled_back", ItemCancelled: "cancelled", ItemStuck: "stuck",
}

// ItemStates lists all eleven states.
func ItemStates() []ItemState {
	return []ItemState{
		ItemPending, ItemQueued, ItemProvisioning, ItemActive, ItemDelivered, ItemRetryWait, ItemWaitingCapacity,
		ItemCompensating, ItemRolledBack, ItemCancelled, ItemStuck,
	}
}

// String returns the name used in the API and in events.
func (s ItemState) String() string { return itemStateNames[s] }

// Terminal reports whether the item has ended. Only the order's restore moves it after that. Stuck is not
// terminal.
func (s ItemState) Terminal() bool {
	return s == ItemDelivered || s == ItemRolledBack || s == ItemCancelled
}
