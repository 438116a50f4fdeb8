package order

// Facts are all that the state of an order is derived from.
type Facts struct {
	State         State // as it stands; a derived state that is no move of the matrix leaves it (docs/order-lifecycle.md)
	Closing       Closing
	Items         []ItemState
	Refunds       []RefundState
	DeliveryStuck bool // a delivery ran out of retries: its item stays active
}

// Settled is what follows from the facts.
type Settled struct {
	State      State
	Outcome    Outcome
	Settlement Settlement
}

// Settle derives an order's state from its items and refunds (D2): the first of the five rules
// below that matches. It is pure and the only place that knows the derivation; it is called
// wherever items or refunds move, under the order's lock.
//
//  1. an item not yet terminal, one or more active or delivered → partially_fulfilled
//  2. an item not yet terminal → provisioning
//  3. all terminal, one or more delivered → fulfilled, full if none was rolled back or cancelled
//  4. all terminal, none delivered, no refund open or stuck, cancel asked → cancelled
//  5. all terminal, none delivered, no refund open or stuck → failed
func Settle(f Facts) Settled {
	s := Settled{State: f.State, Outcome: OutcomeNone, Settlement: settlement(f)}
	if f.State.Terminal() || f.Closing == NotClosing && f.State != Provisioning && f.State != PartiallyFulfilled {
		if f.State == Fulfilled {
			s.Outcome = outcome(f.Items)
		}
		return s
	}
	to, ok := derive(f)
	if ok && isMove(f.State, to) {
		s.State = to
	}
	if s.State == Fulfilled {
		s.Outcome = outcome(f.Items)
	}
	return s
}

func derive(f Facts) (State, bool) {
	open, up, delivered := 0, 0, 0
	for _, s := range f.Items {
		if !s.Terminal() {
			open++
		}
		if s == ItemActive || s == ItemDelivered {
			up++
		}
		if s == ItemDelivered {
			delivered++
		}
	}
	owing := false
	for _, r := range f.Refunds {
		owing = owing || r == RefundRequested || r == RefundStuck
	}
	switch {
	case open > 0 && up > 0:
		return PartiallyFulfilled, true
	case open > 0:
		return Provisioning, true
	case delivered > 0:
		return Fulfilled, true
	case owing:
		return 0, false
	case f.Closing == ClosingCancel:
		return Cancelled, true
	default:
		return Failed, true
	}
}

func settlement(f Facts) Settlement {
	going, terminal := false, len(f.Items) > 0 || f.State.Terminal()
	stuck := f.DeliveryStuck
	for _, s := range f.Items {
		stuck = stuck || s == ItemStuck
		going = going || s == ItemCompensating
		terminal = terminal && s.Terminal()
	}
	for _, r := range f.Refunds {
		stuck = stuck || r == RefundStuck
		going = going || r == RefundRequested
	}
	switch {
	case stuck:
		return SettlementStuck
	case going:
		return SettlementCompensating
	case terminal:
		return SettlementSettled
	default:
		return SettlementOpen
	}
}

func outcome(items []ItemState) Outcome {
	o := OutcomeFull
	for _, s := range items {
		if s == ItemRolledBack || s == ItemCancelled {
			o = OutcomePartial
		}
	}
	return o
}

// isMove reports whether the matrix lets a derived change happen: by items-changed, or by a move that
// a closing order takes once nothing is left of it (How == Closes).
func isMove(from, to State) bool {
	for _, t := range Lifecycle {
		if t.From == from && t.To == to && (t.On == ItemsChanged || t.How == Closes) {
			return true
		}
	}
	return false
}
