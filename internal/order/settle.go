package order

// Facts are everything that an order's state is derived from.
type Facts struct {
	// State is the present state. It stays when the matrix has no move to the derived one (docs/order-lifecycle.md).
	State         State
	Closing       Closing
	Items         []ItemState
	Refunds       []RefundState
	DeliveryStuck bool // a delivery ran out of retries; its item stays active
}

// Settled is the result of a derivation.
type Settled struct {
	State      State
	Outcome    Outcome
	Settlement Settlement
}

// Settle derives an order's state from its items and refunds (D2). The first rule below that matches decides.
// Settle is pure, and the derivation is nowhere else. It is called under the order's lock whenever items or
// refunds have moved.
//
//  1. an item not yet terminal, one or more active or delivered → partially_fulfilled
//  2. an item not yet terminal → provisioning
//  3. all terminal, one or more delivered → fulfilled, full if none was rolled back or cancelled
//  4. all terminal, none delivered, no refund open or stuck, cancel requested → cancelled
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
	open, active, delivered := 0, 0, 0
	for _, s := range f.Items {
		if !s.Terminal() {
			open++
		}
		if s == ItemActive || s == ItemDelivered {
			active++
		}
		if s == ItemDelivered {
			delivered++
		}
	}
	refundOpen := false
	for _, r := range f.Refunds {
		refundOpen = refundOpen || r == RefundRequested || r == RefundStuck
	}
	switch {
	case open > 0 && active > 0:
		return PartiallyFulfilled, true
	case open > 0:
		return Provisioning, true
	case delivered > 0:
		return Fulfilled, true
	case refundOpen:
		return 0, false
	case f.Closing == ClosingCancel:
		return Cancelled, true
	default:
		return Failed, true
	}
}

func settlement(f Facts) Settlement {
	stuck, compensating := f.DeliveryStuck, false
	terminal := len(f.Items) > 0 || f.State.Terminal()
	for _, s := range f.Items {
		stuck = stuck || s == ItemStuck
		compensating = compensating || s == ItemCompensating
		terminal = terminal && s.Terminal()
	}
	for _, r := range f.Refunds {
		stuck = stuck || r == RefundStuck
		compensating = compensating || r == RefundRequested
	}
	switch {
	case stuck:
		return SettlementStuck
	case compensating:
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

// isMove reports whether the matrix allows a derived change: by items-changed, or by a move of a closing order
// that has no resource left (How == Closes).
func isMove(from, to State) bool {
	for _, t := range Lifecycle {
		if t.From == from && t.To == to && (t.On == ItemsChanged || t.How == Closes) {
			return true
		}
	}
	return false
}
