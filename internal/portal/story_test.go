package portal

import (
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/order"
)

func TestPathShowsSkippedStates(t *testing.T) {
	t.Parallel()
	visited := func(states ...string) []record {
		var events []record
		for _, s := range states {
			r := record{}
			r.Payload.To = s
			events = append(events, r)
		}
		return events
	}
	marks := func(o *order.Order, events []record) string {
		path, exits := pathOf(o, events)
		var list []string
		for _, s := range append(path, exits...) {
			list = append(list, s.Is)
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct {
		name   string
		state  order.State
		events []record
		want   string
	}{
		{
			"one item", order.Fulfilled,
			visited("draft", "pending_payment", "payment_confirmed", "validating", "provisioning", "fulfilled"),
			"done done done done done skipped here ahead ahead",
		},
		{"draft", order.Draft, visited("draft"), "here ahead ahead ahead ahead ahead ahead ahead ahead"},
		{
			"cancelled unpaid", order.Cancelled, visited("draft", "pending_payment", "cancelled"),
			"done done ahead ahead ahead ahead ahead here ahead",
		},
		{
			"restored", order.Draft, visited("draft", "pending_payment", "cancelled", "draft"),
			"here ahead ahead ahead ahead ahead ahead ahead ahead",
		},
	} {
		if got := marks(&order.Order{State: c.state}, c.events); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
