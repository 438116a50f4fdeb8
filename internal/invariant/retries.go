package invariant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// mostCalls is how often a step may be called in one direction of one fulfilment: once and five retries (D5).
const mostCalls = 6

// backoff returns the retry schedule of D5: the wait before each retry. It repeats fulfil.Backoff on purpose: the
// checker shares nothing with what it checks, so that a schedule that is changed there by mistake is found here.
func backoff() []time.Duration {
	return []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}
}

// unclearSlack is by how much the gap after an unclear answer may be shorter than its wait. Such a wait begins with
// the intent, but the provider's log has the time of the request, which is a commit later.
const unclearSlack = 250 * time.Millisecond

// attempt is one call of a step as the provider saw it: the read by key with which it begins, and the create that
// follows if nothing was found.
type attempt struct {
	at      time.Time
	result  string
	fault   string
	posted  bool
	counted bool // as one of the six
}

// boundedRetries is I16, by the provider's own log. A step is called at most six times in one direction of one
// fulfilment, and never after a hard refusal. The gap between two calls is never shorter than the wait of D5, divided
// by the clock's speed, and at most 10 % longer, if Slack says how late a call may come. Rate limits, a refused login
// and missing capacity use up no call.
func boundedRetries(l *inspection) {
	if l.Cloud == nil {
		l.skip("no provider's ledger was read")
		return
	}
	if l.Slack == 0 {
		l.without("only that no retry comes early, because no slack is given")
	}
	for i := range l.Items {
		it := &l.Items[i]
		if len(l.calls[it.ID]) == 0 {
			continue
		}
		attempts := l.attempts(it)
		for _, step := range slices.Sorted(maps.Keys(attempts)) {
			l.seen++
			l.checkAttempts(it, step, attempts[step])
		}
		l.boundedDeletes(it)
	}
}

// attempts returns the creating calls of an item by step and fulfilment.
func (l *inspection) attempts(it *Item) map[string][]attempt {
	restores := l.restores(it.Order)
	steps := map[string][]attempt{}
	for _, c := range l.calls[it.ID] {
		step := fmt.Sprintf("%s, fulfilment %d", c.Step, fulfilmentOf(restores, c.At)+1)
		all := steps[step]
		switch {
		case c.Operation == "look":
			steps[step] = append(all, attempt{at: c.At, result: c.Result, fault: c.Fault, counted: !usesNoCall(c)})
		case c.Operation == "create" && c.Fault == "late" && c.Result != "late": // took effect after its caller gave up
		case c.Operation == "create" && len(all) > 0 && !all[len(all)-1].posted:
			last := &all[len(all)-1]
			last.posted, last.result, last.fault, last.counted = true, c.Result, c.Fault, !usesNoCall(c)
		case c.Operation == "create":
			steps[step] = append(all, attempt{at: c.At, result: c.Result, fault: c.Fault, posted: true, counted: !usesNoCall(c)})
		}
	}
	return steps
}

// usesNoCall reports whether a call does not count as one of the six: a 429 with a time to wait, a refused login, or
// no capacity.
func usesNoCall(c *Call) bool {
	switch c.Result {
	case "unauthorized", "no_capacity":
		return true
	case "rate_limited":
		return c.Fault != "rate_limited_bare"
	}
	return false
}

// hardRefusal reports whether an answer forbids further calls.
func hardRefusal(result string) bool {
	return result == "invalid_input" || result == "forbidden" || result == "quota_exceeded" ||
		result == "unknown_reference"
}

// certainlyRefused reports whether an answer says that the provider certainly did nothing.
func certainlyRefused(result string) bool {
	return result == "maintenance" || result == "locked" || result == "in_use" || result == "not_ready" ||
		result == "being_deleted"
}

func (l *inspection) checkAttempts(it *Item, step string, all []attempt) {
	name, _, _ := strings.Cut(step, ",")
	var last *attempt
	n := 0
	for i := range all {
		a := &all[i]
		until := time.Time{}
		if i+1 < len(all) {
			until = all[i+1].at
		}
		if i > 0 && hardRefusal(all[i-1].result) && !l.Died {
			l.broken(it.Order, "item %s, %s: called again after %s", it.ID, step, all[i-1].result)
		}
		if !a.counted || l.foundNoCapacity(it, name, a.at, until) {
			continue
		}
		if n++; last != nil && n <= mostCalls {
			l.checkGap(it, step, n-1, *last, *a, i > 0 && last == &all[i-1])
		}
		last = a
	}
	if n > mostCalls {
		l.broken(it.Order, "item %s, %s: %d calls, at most %d are allowed", it.ID, step, n, mostCalls)
	}
}

// foundNoCapacity reports whether a call led to a wait for capacity that only the saga log shows: the provider
// accepted the call and found out later that it had no capacity. A line of the step between this call and the next
// one says so.
func (l *inspection) foundNoCapacity(it *Item, step string, from, until time.Time) bool {
	return slices.ContainsFunc(l.Log, func(g LogLine) bool {
		u := l.tasks[g.Task]
		return g.Class == "capacity" && g.Step == step && u != nil && u.Item == it.ID && !g.At.Before(from) &&
			(until.IsZero() || g.At.Before(until))
	})
}

// checkGap compares the time between two counted calls with the wait before the retry.
func (l *inspection) checkGap(it *Item, step string, retry int, a, b attempt, neighbours bool) {
	speed := time.Duration(max(l.Speed, 1))
	want, got := backoff()[retry-1]/speed, b.at.Sub(a.at)
	short := time.Millisecond // the precision of the database's columns
	if a.posted && !certainlyRefused(a.result) {
		short = min(want/2, unclearSlack)
	}
	if got < want-short {
		l.broken(it.Order, "item %s, %s: retry %d came after %s, want no less than %s", it.ID, step, retry, got, want)
	}
	most := want*11/10 + l.Slack
	if l.Slack > 0 && neighbours && certainlyRefused(a.result) && got > most && !l.wasDelayed(it, a.at, b.at) {
		l.broken(it.Order, "item %s, %s: retry %d came after %s, want no more than %s", it.ID, step, retry, got, most)
	}
}

// wasDelayed reports whether something other than a retry's wait delayed the second of two calls: the circuit breaker
// was open, the login was refused, or the budget was used up. None of that reaches the provider, so only the saga log
// shows it. It makes a gap longer and never shorter.
func (l *inspection) wasDelayed(it *Item, from, to time.Time) bool {
	return slices.ContainsFunc(l.Log, func(g LogLine) bool {
		u := l.tasks[g.Task]
		return (g.Class == "suspended" || g.Class == "rate-limited") && u != nil && u.Item == it.ID && !g.At.Before(from) &&
			!g.At.After(to)
	})
}

// boundedDeletes counts the deletes that were certainly refused since the item's compensation began: at most six for
// each time that a compensation began, which an operator's redrive does again. A delete that was accepted may be
// repeated while the resource still exists; that is not a retry.
func (l *inspection) boundedDeletes(it *Item) {
	restores := l.restores(it.Order)
	began, times := map[int]time.Time{}, map[int]int{}
	for _, e := range l.events[it.Order] {
		if e.Type != "order.item-compensating" || e.Item == nil || e.Item.ID != it.ID {
			continue
		}
		fulfilment := fulfilmentOf(restores, e.At)
		if _, known := began[fulfilment]; !known {
			began[fulfilment] = e.At
		}
		times[fulfilment]++
	}
	refused := map[string]int{}
	for _, c := range l.calls[it.ID] {
		fulfilment := fulfilmentOf(restores, c.At)
		since, compensating := began[fulfilment]
		if c.Operation != "delete" || !compensating || c.At.Before(since) || !certainlyRefused(c.Result) {
			continue
		}
		step := fmt.Sprintf("%s, fulfilment %d", c.Step, fulfilment+1)
		if refused[step]++; refused[step] == mostCalls*times[fulfilment]+1 {
			l.broken(it.Order, "item %s, %s: the delete was refused %d times and sent again",
				it.ID, step, mostCalls*times[fulfilment])
		}
	}
}
