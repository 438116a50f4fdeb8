package invariant

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/order"
)

// The checker has its own copy of the lifecycles, so that a mistake in the tables does not excuse itself. A move
// that is in one of them only was forgotten in the other.
func TestTheCopiesOfTheLifecyclesHaveTheMovesOfTheTables(t *testing.T) {
	t.Parallel()
	want := map[move]bool{}
	for _, m := range order.Moves() {
		want[move{m[0].String(), m[1].String()}] = true
	}
	if diff := cmp.Diff(want, keys(orderMoves()), cmp.AllowUnexported(move{})); diff != "" {
		t.Errorf("orderMoves in internal/invariant/lifecycle.go (-internal/order/lifecycle.go +copy):\n%s", diff)
	}
	want = map[move]bool{}
	for _, m := range order.ItemMoves() {
		want[move{m[0].String(), m[1].String()}] = true
	}
	if diff := cmp.Diff(want, keys(itemMoves()), cmp.AllowUnexported(move{})); diff != "" {
		t.Errorf("itemMoves in internal/invariant/lifecycle.go (-internal/order/lifecycle.go +copy):\n%s", diff)
	}
}

func TestTheCopiesOfTheLifecyclesNameTheEventsOfTheTables(t *testing.T) {
	t.Parallel()
	for _, r := range order.Lifecycle {
		m := move{r.From.String(), r.To.String()}
		// A trigger that only marks the order as closing emits the request; the move has an event of its own.
		if r.How != order.AtOnce || m.from == m.to {
			continue
		}
		if got := orderMoves()[m]; got != string(r.Emits) {
			t.Errorf("orderMoves in internal/invariant/lifecycle.go has %q for %s to %s, the table emits %s",
				got, m.from, m.to, r.Emits)
		}
	}
	for _, r := range order.ItemLifecycle {
		m := move{r.From.String(), r.To.String()}
		if r.Emits == "" { // the order's event carries it
			continue
		}
		if got := itemMoves()[m]; got != string(r.Emits) {
			t.Errorf("itemMoves in internal/invariant/lifecycle.go has %q for %s to %s, the table emits %s",
				got, m.from, m.to, r.Emits)
		}
	}
}

func keys(moves map[move]string) map[move]bool {
	set := map[move]bool{}
	for m := range moves {
		set[m] = true
	}
	return set
}
