package harness_test

import (
	"slices"
	"strings"
	"time"
)

// model is what an order should do, written from the tables of the specification (D1 to D12) and
// knowing nothing of the code's: commands are foreseen exactly, work within bounds.
type model struct {
	state, closing string
	held, allOr    bool // held back; all_or_nothing
	settled        bool
	items          []string // states, by line
	refunds        []string
	expires        time.Time
	quoted         time.Time
}

func (m *model) before() bool { // provisioning has not begun, and nothing stops it
	return (m.state == "payment_confirmed" || m.state == "validating") && m.closing == ""
}

func (m *model) building() bool {
	return m.state == "provisioning" || m.state == "partially_fulfilled"
}

// over tells that no item may be taken back any more: all_or_nothing has begun to deliver.
func (m *model) over() bool {
	return m.allOr && m.building() && !slices.ContainsFunc(m.items, func(s string) bool {
		return s != "active" && s != "delivered"
	})
}

// actions are what anybody may ask now, in the order in which they are shown.
func (m *model) actions() []string {
	switch {
	case m.state == "draft":
		return []string{"edit", "submit", "cancel"}
	case m.state == "pending_payment":
		return []string{"confirm-payment", "cancel"}
	case m.before() && m.held:
		return []string{"revert-payment", "cancel", "release"}
	case m.before():
		return []string{"revert-payment", "cancel", "hold"}
	case m.building() && m.closing == "" && !m.over():
		return []string{"cancel"}
	case m.state == "cancelled" && m.settled:
		return []string{"restore"}
	}
	return []string{}
}

// mine are the actions of a role: money and holds are an operator's, an auditor changes nothing.
func (m *model) mine(role string) []string {
	mine := []string{}
	for _, a := range m.actions() {
		if role == "operator" || role == "customer" && slices.Contains([]string{"edit", "submit", "cancel", "restore"}, a) {
			mine = append(mine, a)
		}
	}
	return mine
}

// refusal is the code with which a command is refused; "" when it is taken, "same" when it is taken
// and changes nothing. The caller says what is wrong with the command itself.
func (m *model) refusal(command, role string, wrong string) string {
	switch {
	case role == "auditor" ||
		role == "customer" && !slices.Contains([]string{"edit", "submit", "cancel", "restore"}, command):
		return "forbidden"
	case role == "stranger":
		return "not-found"
	case command == "confirm-payment" && wrong != "" && wrong != "payment-amount-mismatch":
		return wrong // a reference is known before anything else is asked
	case command == "cancel" && (m.state == "cancelled" ||
		m.closing != "" && m.state != "fulfilled" && m.state != "failed"):
		return "same"
	case !slices.Contains(m.actions(), command):
		return "illegal-transition"
	}
	return wrong
}

// do takes a command that was not refused.
func (m *model) do(command string, now time.Time) {
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

// derived is the state that follows from items and refunds; the present one where nothing follows.
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
		return m.state // no move of the matrix
	}
	return to
}

// worked are the states to which any amount of work, and no person, can take an order.
func (m *model) worked() []string {
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

// lawful are the moves of an item; pending to queued has no event of its own.
var lawful = []string{
	"pending cancelled", "queued cancelled", "queued provisioning", "provisioning active", "provisioning retry_wait",
	"provisioning waiting_capacity",
	"provisioning compensating", "retry_wait provisioning", "retry_wait compensating", "waiting_capacity provisioning",
	"waiting_capacity compensating",
	"active delivered", "active compensating", "compensating rolled_back", "compensating stuck", "stuck compensating",
	"stuck rolled_back",
}

// followed reports whether an item may go from where it was last seen to where an event takes it.
func followed(last, from, to string) bool {
	restored := last == "rolled_back" || last == "cancelled"
	reached := last == from || last == "pending" && from == "queued" || restored && (from == "pending" || from == "queued")
	return reached && (from == to || slices.Contains(lawful, strings.Join([]string{from, to}, " ")))
}
