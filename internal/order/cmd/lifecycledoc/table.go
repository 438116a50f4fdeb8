package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/order"
)

// lifecycle is the table of an order's or an item's moves, in words.
type lifecycle struct {
	of       string // order, item
	states   []string
	triggers []string
	start    string
	terminal []string
	rows     []row
}

// row is a transition in words. to is "" if the row does not decide the state.
type row struct {
	from, on, to, how, event, why string
}

// moves reports whether the row changes the state.
func (r row) moves() bool { return r.to != "" && r.to != r.from }

var hows = map[order.How]string{
	order.AtOnce: "at once", order.Closes: "when no resource is left and the refund is accepted",
	order.Request: "a request: the state follows from the items", order.NoOp: "nothing changes",
}

func orders() lifecycle {
	l := lifecycle{of: "order", start: order.Draft.String()}
	for _, s := range order.States() {
		l.states = append(l.states, s.String())
		if s.Terminal() {
			l.terminal = append(l.terminal, s.String())
		}
	}
	for _, t := range order.Triggers() {
		l.triggers = append(l.triggers, t.String())
	}
	for _, t := range order.Lifecycle {
		l.rows = append(l.rows, row{t.From.String(), t.On.String(), t.To.String(), hows[t.How], string(t.Emits), t.Why})
	}
	return l
}

func items() lifecycle {
	l := lifecycle{of: "item", start: order.ItemPending.String()}
	for _, s := range order.ItemStates() {
		l.states = append(l.states, s.String())
		if s.Terminal() {
			l.terminal = append(l.terminal, s.String())
		}
	}
	for _, t := range order.ItemTriggers() {
		l.triggers = append(l.triggers, t.String())
	}
	for _, t := range order.ItemLifecycle {
		l.rows = append(l.rows, row{
			t.From.String(), t.On.String(), t.To.String(), hows[order.AtOnce], string(t.Emits), t.Why,
		})
	}
	return l
}

// cell returns what a trigger does in a state, in the words of the matrix, or "" if it is refused.
func (l lifecycle) cell(state, trigger string) string {
	var to []string
	for _, r := range l.rows {
		if r.from != state || r.on != trigger {
			continue
		}
		switch {
		case r.how == hows[order.NoOp]:
			to = append(to, "*no-op*")
		case r.to == "":
			to = append(to, "*request*")
		case r.how == hows[order.Closes]:
			to = append(to, r.to+" ¹")
		default:
			to = append(to, r.to)
		}
	}
	return strings.Join(to, " / ")
}

// report walks the table and lists what is wrong with it, or that nothing is.
func (l lifecycle) report() []string {
	filled := 0
	for _, s := range l.states {
		for _, t := range l.triggers {
			if l.cell(s, t) != "" {
				filled++
			}
		}
	}
	cells := len(l.states) * len(l.triggers)
	lines := []string{
		fmt.Sprintf("%d states × %d triggers = %d cells: %d hold a move, a request or a no-op, %d refuse.", len(l.states),
			len(l.triggers), cells, filled, cells-filled),
	}
	return append(lines,
		list("States that cannot be reached from "+l.start, l.unreached(l.start)),
		list("States from which no terminal state can be reached", l.stranded()),
		list("Triggers that no state takes", l.unused()),
		list("Terminal states that can be left", l.reopened()),
		list("Cells with more than one target", l.ambiguous()),
	)
}

func list(what string, found []string) string {
	if len(found) == 0 {
		return what + ": none."
	}
	return what + ": " + strings.Join(found, ", ") + "."
}

// reach lists the states that can be reached from a state, including itself.
func (l lifecycle) reach(from string) []string {
	seen := []string{from}
	for i := 0; i < len(seen); i++ {
		for _, r := range l.rows {
			if r.from == seen[i] && r.moves() && !slices.Contains(seen, r.to) {
				seen = append(seen, r.to)
			}
		}
	}
	return seen
}

func (l lifecycle) unreached(from string) []string {
	seen := l.reach(from)
	return filter(l.states, func(s string) bool { return !slices.Contains(seen, s) })
}

func (l lifecycle) stranded() []string {
	return filter(l.states, func(s string) bool {
		return !slices.ContainsFunc(l.reach(s), func(to string) bool { return slices.Contains(l.terminal, to) })
	})
}

func (l lifecycle) unused() []string {
	return filter(l.triggers, func(t string) bool {
		return !slices.ContainsFunc(l.rows, func(r row) bool { return r.on == t })
	})
}

func (l lifecycle) reopened() []string {
	var found []string
	for _, r := range l.rows {
		if slices.Contains(l.terminal, r.from) && r.moves() {
			found = append(found, r.from+" by "+r.on)
		}
	}
	return found
}

func (l lifecycle) ambiguous() []string {
	var found []string
	for _, s := range l.states {
		for _, t := range l.triggers {
			if strings.Contains(l.cell(s, t), " / ") {
				found = append(found, s+" on "+t)
			}
		}
	}
	return found
}

func filter(names []string, match func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(s string) bool { return !match(s) })
}
