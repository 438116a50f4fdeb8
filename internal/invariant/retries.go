package invariant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// mostCalls is how many calls a step may take in one direction of one fulfilment: one and five retries (D5).
const mostCalls = 6

// backoff is the retry schedule of D5: the wait before the retry of each number. It repeats fulfil.Backoff on
// purpose: the checker shares nothing with what it checks, so that a schedule that is changed there by mistake
// is found here.
func backoff() []time.Duration {
	return []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}
}

// unclearSlack is what a gap after an unclear answer may be short of its wait. Our clock starts such
// a wait with the intent; the request, whose arrival the provider's log tells, is a commit later.
const unclearSlack = 250 * time.Millisecond

// attempt is one call of a step as the provider saw it: the look by key that begins it, and the
// request that follows when nothing was there.
type attempt struct {
	at      time.Time
	result  string
	fault   string
	posted  bool
	counted bool // against the six
}

// boundedRetries is I16, by the provider's own log: at most six calls of a step in one direction of
// one fulfilment, none after a hard refusal, and between two of them never less than the wait of
// D5, divided by the clock's speed; not more than 10 % above it where Slack says how late a call may
// come. Rate limits, a refused login and want of room use up no call.
func boundedRetries(l *look) {
	if l.Cloud == nil {
		l.skip("no provider's ledger was read")
		return
	}
	if l.Slack == 0 {
		l.without("no retry comes early; how late one may come was not said, so not checked")
	}
	for i := range l.Items {
		it := &l.Items[i]
		if len(l.calls[it.ID]) == 0 {
			continue
		}
		made := l.attempts(it)
		for _, step := range slices.Sorted(maps.Keys(made)) {
			l.seen++
			l.bounded(it, step, made[step])
		}
		l.boundedUndo(it)
	}
}

// attempts are the creating calls of an item by part and fulfilment.
func (l *look) attempts(it *Item) map[string][]attempt {
	lives := l.lives(it.Order)
	steps := map[string][]attempt{}
	for _, c := range l.calls[it.ID] {
		step := fmt.Sprintf("%s, fulfilment %d", c.Part, lifeOf(lives, c.At)+1)
		all := steps[step]
		switch {
		case c.Operation == "look":
			steps[step] = append(all, attempt{at: c.At, result: c.Result, fault: c.Fault, counted: !free(c)})
		case c.Operation == "create" && c.Fault == "late" && c.Result != "late": // took effect after its caller gave up
		case c.Operation == "create" && len(all) > 0 && !all[len(all)-1].posted:
			last := &all[len(all)-1]
			last.posted, last.result, last.fault, last.counted = true, c.Result, c.Fault, !free(c)
		case c.Operation == "create":
			steps[step] = append(all, attempt{at: c.At, result: c.Result, fault: c.Fault, posted: true, counted: !free(c)})
		}
	}
	return steps
}

// free reports whether a call uses up none of the six: 429 that says how long, a login refused, no room.
func free(c *Call) bool {
	switch c.Result {
	case "unauthorized", "no_capacity":
		return true
	case "rate_limited":
		return c.Fault != "rate_limited_bare"
	}
	return false
}

// hard reports whether an answer forbids every further call.
func hard(result string) bool {
	return result == "invalid_input" || result == "forbidden" || result == "quota_exceeded" ||
		result == "unknown_reference"
}

// refusedSurely reports whether an answer said for certain that nothing was done.
func refusedSurely(result string) bool {
	return result == "maintenance" || result == "locked" || result == "in_use" || result == "not_ready" ||
		result == "being_deleted"
}

func (l *look) bounded(it *Item, step string, all []attempt) {
	part, _, _ := strings.Cut(step, ",")
	var last *attempt
	n := 0
	for i := range all {
		a := &all[i]
		until := time.Time{}
		if i+1 < len(all) {
			until = all[i+1].at
		}
		if i > 0 && hard(all[i-1].result) && !l.Died {
			l.broken(it.Order, "item %s, %s: called again after %s", it.ID, step, all[i-1].result)
		}
		if !a.counted || l.noRoom(it, part, a.at, until) {
			continue
		}
		if n++; last != nil && n <= mostCalls {
			l.gap(it, step, n-1, *last, *a, i > 0 && last == &all[i-1])
		}
		last = a
	}
	if n > mostCalls {
		l.broken(it.Order, "item %s, %s: %d calls, at most %d are allowed", it.ID, step, n, mostCalls)
	}
}

// noRoom reports whether a call was a wait for capacity that only our own log shows: the provider took it, and
// found out afterwards that there was no room. It is one where a line of the part says so between the
// call and the next.
func (l *look) noRoom(it *Item, part string, from, until time.Time) bool {
	return slices.ContainsFunc(l.Log, func(g LogLine) bool {
		u := l.tasks[g.Task]
		return g.Class == "capacity" && g.Part == part && u != nil && u.Item == it.ID && !g.At.Before(from) &&
			(until.IsZero() || g.At.Before(until))
	})
}

// gap compares the time between two counted calls with the wait of the retry's number.
func (l *look) gap(it *Item, step string, retry int, a, b attempt, neighbours bool) {
	speed := time.Duration(max(l.Speed, 1))
	want, got := backoff()[retry-1]/speed, b.at.Sub(a.at)
	short := time.Millisecond // what a column of the database cuts off
	if a.posted && !refusedSurely(a.result) {
		short = min(want/2, unclearSlack)
	}
	if got < want-short {
		l.broken(it.Order, "item %s, %s: retry %d came after %s, want no less than %s", it.ID, step, retry, got, want)
	}
	if most := want*11/10 + l.Slack; l.Slack > 0 && neighbours && refusedSurely(a.result) && got > most &&
		!l.heldBack(it, a.at, b.at) {
		l.broken(it.Order, "item %s, %s: retry %d came after %s, want no more than %s", it.ID, step, retry, got, most)
	}
}

// heldBack reports whether a wait that is no retry's came between two calls: the account's breaker was
// open, its login refused, or its budget used up. None of that reaches the provider, so only our own log
// tells; it lengthens a gap and never shortens one.
func (l *look) heldBack(it *Item, from, to time.Time) bool {
	return slices.ContainsFunc(l.Log, func(g LogLine) bool {
		u := l.tasks[g.Task]
		return (g.Class == "suspended" || g.Class == "rate-limited") && u != nil && u.Item == it.ID && !g.At.Before(from) &&
			!g.At.After(to)
	})
}

// boundedUndo counts the deletes that were refused for certain since the item went back: at most six
// for each time an operator had it tried. Deletes that were accepted may be repeated while the part is
// still seen, which is a look and no retry.
func (l *look) boundedUndo(it *Item) {
	lives := l.lives(it.Order)
	back, tries := map[int]time.Time{}, map[int]int{}
	for _, e := range l.events[it.Order] {
		if e.Type != "order.item-compensating" || e.Item == nil || e.Item.ID != it.ID {
			continue
		}
		life := lifeOf(lives, e.At)
		if _, known := back[life]; !known {
			back[life] = e.At
		}
		tries[life]++
	}
	refused := map[string]int{}
	for _, c := range l.calls[it.ID] {
		life := lifeOf(lives, c.At)
		since, going := back[life]
		if c.Operation != "delete" || !going || c.At.Before(since) || !refusedSurely(c.Result) {
			continue
		}
		step := fmt.Sprintf("%s, fulfilment %d", c.Part, life+1)
		if refused[step]++; refused[step] == mostCalls*tries[life]+1 {
			l.broken(it.Order, "item %s, %s: the delete was refused more than %d times and asked again", it.ID,
				step, mostCalls*tries[life])
		}
	}
}
