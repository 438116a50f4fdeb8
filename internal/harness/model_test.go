package harness_test

import (
	"slices"
	"strings"
	"time"
)

// model predicts what an order does. It is written from the decisions (D1 to D12) and does not use the tables of the
// code. It predicts the effect of a command exactly, and the effect of work within bounds.
type model struct {
	state, closing     string
	held, allOrNothing bool // on hold; the policy all_or_nothing
	settled            bool
	items              []string // states, by line
	refunds            []string
	expires            time.Time
	quoted             time.Time
}

// beforeProvisioning reports whether provisioning has not begun and the order is not closing.
func (m *model) beforeProvisioning() bool {
	return (m.state == "payment_confirmed" || m.state == "validating") && m.closing == ""
}

func (m *model) building() bool {
	return m.state == "provisioning" || m.state == "partially_fulfilled"
}

// deliveryBegun reports whether an all_or_nothing order has begun to deliver, so that no item may be compensated.
func (m *model) deliveryBegun() bool {
	return m.allOrNothing && m.building() && !slices.ContainsFunc(m.items, func(s string) bool {
		return s != "active" && s != "delivered"
	})
}

// actions returns the actions that are possible now, in the order in which they are shown.
func (m *model) actions() []string {
	switch {
	case m.state == "draft":
		return []string{"edit", "submit", "cancel"}
	case m.state == "pending_payment":
		return []string{"confirm-payment", "cancel"}
	case m.beforeProvisioning() && m.held:
		return []string{"revert-payment", "cancel", "release"}
	case m.beforeProvisioning():
		return []string{"revert-payment", "cancel", "hold"}
	case m.building() && m.closing == "" && !m.deliveryBegun():
		return []string{"cancel"}
	case m.state == "cancelled" && m.settled:
		return []string{"restore"}
	}
	return []string{}
}

// actionsOf returns the actions of a role. Only operators confirm and revert payments, hold and release. An auditor
// changes nothing.
func (m *model) actionsOf(role string) []string {
	allowed := []string{}
	for _, a := range m.actions() {
		if role == "operator" || role == "customer" && slices.Contains([]string{"edit", "submit", "cancel", "restore"}, a) {
			allowed = append(allowed, a)
		}
	}
	return allowed
}

// refusal returns the code with which a command is refused. It returns "" when the command is accepted, and "same" when
// it is accepted and changes nothing. The caller says in wrong what is wrong with the command itself.
func (m *model) refusal(command, role string, wrong string) string {
	switch {
	case role == "auditor" ||
		role == "customer" && !slices.Contains([]string{"edit", "submit", "cancel", "restore"}, command):
		return "forbidden"
	case role == "stranger":
		return "not-found"
	case command == "confirm-payment" && wrong != "" && wrong != "payment-amount-mismatch":
		return wrong // the reference is checked before everything else
	case command == "cancel" && (m.state == "cancelled" ||
		m.closing != "" && m.state != "fulfilled" && m.state != "failed"):
		return "same"
	case !slices.Contains(m.actions(), command):
		return "illegal-transition"
	}
	return wrong
}

// apply changes the model by a command that was not refused.
func (m *model) apply(command string, now time.Time) {
	switch command {
	case "edit":
		m.quoted = now
	case "submit":
		m.state, m.expires = "pending_payment", now.AddDate(0, 0, 14)
	case "confirm-payment":
		m.state = "payment_confirmed"
	case "revert-payment":
		m.state, m.held, m.expires = "pending_payment", false, now.AddDate(0, 0, 14)
	case "hold":
		m.held = true
	case "release":
		m.held = false
	case "restore":
		m.state, m.closing, m.settled = "draft", "", false
	case "cancel":
		m.held = false
		if m.state == "draft" || m.state == "pending_payment" {
			m.state, m.settled = "cancelled", true
			return
		}
		m.closing = "cancel"
	}
}

// derived returns the state that follows from items and refunds, or the present state when none follows.
func (m *model) derived() string {
	n := func(list []string, states ...string) (count int) {
		for _, s := range list {
			if slices.Contains(states, s) {
				count++
			}
		}
		return count
	}
	to := "failed"
	switch {
	case !m.building() && (m.closing == "" || m.state == "cancelled" || m.state == "failed"):
		return m.state
	case n(m.items, "delivered", "rolled_back", "cancelled") < len(m.items) && n(m.items, "active", "delivered") > 0:
		to = "partially_fulfilled"
	case n(m.items, "delivered", "rolled_back", "cancelled") < len(m.items):
		to = "provisioning"
	case n(m.items, "delivered") > 0:
		to = "fulfilled"
	case n(m.refunds, "requested", "stuck") > 0:
		return m.state
	case m.closing == "cancel":
		to = "cancelled"
	}
	if m.state == "partially_fulfilled" && to == "provisioning" || !m.building() && to != "cancelled" && to != "failed" {
		return m.state // the lifecycle has no such transition
	}
	return to
}

// statesAfterWork returns the states that an order can reach by any amount of work, without a command.
func (m *model) statesAfterWork() []string {
	closing := []string{"cancelled", "failed"}
	switch m.state {
	case "payment_confirmed":
		if m.closing != "" {
			return append(closing, "payment_confirmed")
		}
		return append(closing, "payment_confirmed", "validating", "provisioning", "partially_fulfilled", "fulfilled")
	case "validating":
		return append(closing, "validating", "provisioning", "partially_fulfilled", "fulfilled")
	case "provisioning":
		return append(closing, "provisioning", "partially_fulfilled", "fulfilled")
	case "partially_fulfilled":
		return append(closing, "partially_fulfilled", "fulfilled")
	}
	return []string{m.state}
}

// itemMoves are the transitions of an item. The one from pending to queued has no event of its own.
var itemMoves = []string{
	"pending cancelled",
	"queued cancelled", "queued provisioning",
	"provisioning active", "provisioning retry_wait", "provisioning waiting_capacity", "provisioning compensating",
	"retry_wait provisioning", "retry_wait compensating",
	"waiting_capacity provisioning", "waiting_capacity compensating",
	"active delivered", "active compensating",
	"compensating rolled_back", "compensating stuck",
	"stuck compensating", "stuck rolled_back",
}

// itemMayMove reports whether an item that was last seen in a state may make the transition of an event.
func itemMayMove(last, from, to string) bool {
	restored := last == "rolled_back" || last == "cancelled"
	reached := last == from || last == "pending" && from == "queued" || restored && (from == "pending" || from == "queued")
	return reached && (from == to || slices.Contains(itemMoves, strings.Join([]string{from, to}, " ")))
}
