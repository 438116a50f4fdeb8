package invariant

import "fmt"

// Violation is one way in which an installation breaks a promise.
type Violation struct {
	Invariant string `json:"invariant"` // such as "I7"
	Order     string `json:"order,omitempty"`
	Detail    string `json:"detail"`
}

// String returns the violation as one line.
func (v Violation) String() string {
	if v.Order == "" {
		return v.Invariant + ": " + v.Detail
	}
	return v.Invariant + ": order " + v.Order + ": " + v.Detail
}

// Result is the result of checking one promise.
type Result struct {
	Invariant string `json:"invariant"`
	Promise   string `json:"promise"`
	Checked   bool   `json:"checked"`
	// Seen is the number of things that were checked. 0 with Checked means that there was nothing to check.
	Seen int `json:"seen"`
	// Limits says what was left out, or why nothing was checked.
	Limits     string      `json:"limits,omitempty"`
	Violations []Violation `json:"violations"`
}

// rule is one promise. A rule without a check is verified by other means, which limits names.
type rule struct {
	name, promise, limits string
	check                 func(*inspection)
}

func rules() []rule {
	return []rule{
		{"I1", "every change of state is in the matrix, in a chain from draft to the row", "", allowedMoves},
		{"I2", "every cell of the matrices is decided", "a promise of the code: checked by the lifecycle's tests", nil},
		{"I3", "events = outbox history = topic = audit log, to the byte", "", sameHistory},
		{"I4", "the topic keeps each order's order: key, partition, tenant", "", orderOnTopic},
		{"I5", "a read_committed reader sees each event once", "", onceOnTopic},
		{"I6", "each consumer applied each event routed to it, once", "", routedOnce},
		{"I7", "captured - refunded = allocations of live items", "", balancedMoney},
		{"I8", "the gateway's list of payments equals our rows", "no reader fetches a gateway's list", nil},
		{"I9", "no more is refunded than was paid, no reference is used twice", "", refundsBounded},
		{"I10", "what exists at the provider is what was delivered, and nothing else", "", noOrphans},
		{"I11", "one key per resource, one resource per key, generations rise", "", oneKeyEach},
		{"I12", "failed and cancelled are true: nothing is left, all is refunded", "", trueEnds},
		{"I13", "state, outcome and settlement follow from items and refunds", "", derivedState},
		{"I14", "whatever has not ended has something that will move it", "", causeToMove},
		{"I15", "no task for an item that has ended, one task at a time", "only what rows show", noWorkAfterEnd},
		{"I16", "at most six calls per step, with the promised gaps", "", boundedRetries},
		{"I17", "a dead letter is complete, and on its topic once", "", completeDeadLetters},
		{"I18", "clean-up is the exact reverse of creation", "", reverseOrder},
		{"I19", "what was ordered and its price never change", "", frozenSnapshots},
		{"I20", "a key has one effect, and a replay has the same bytes", "", oneEffectPerKey},
		{"I21", "versions returned by writes rise", "needs the clients' own record of answers: checked by tests", nil},
		{"I22", "rows are never lost, logs never rewritten", "", nothingLost},
		{"I23", "no secret anywhere, every delivery a mail", "", noSecrets},
		{"I24", "no tenant sees another's", "needs canaries in every tenant's input: checked by tests", nil},
		{"I25", "the figures are those of the rows", "", matchingFigures},
	}
}

// Names lists the promises that Check checks.
func Names() []string {
	var names []string
	for _, r := range rules() {
		if r.check != nil {
			names = append(names, r.name)
		}
	}
	return names
}

// Check returns all violations, or nil if there are none.
func Check(f Facts) []Violation {
	var all []Violation
	for _, r := range Examine(f) {
		all = append(all, r.Violations...)
	}
	return all
}

// Examine checks all promises, I1 to I25 in order. The result of a promise that was not checked says why.
func Examine(f Facts) []Result {
	x := newIndex(&f)
	var results []Result
	for _, r := range rules() {
		l := inspection{index: x, name: r.name, limits: r.limits, checked: r.check != nil}
		if r.check != nil {
			r.check(&l)
		}
		if l.violations == nil {
			l.violations = []Violation{}
		}
		results = append(results, Result{
			Invariant: r.name, Promise: r.promise, Checked: l.checked, Seen: l.seen, Limits: l.limits, Violations: l.violations,
		})
	}
	return results
}

// inspection is the check of one promise.
type inspection struct {
	*index
	name, limits string
	checked      bool
	seen         int
	violations   []Violation
}

func (l *inspection) broken(order, format string, args ...any) {
	l.violations = append(l.violations, Violation{Invariant: l.name, Order: order, Detail: fmt.Sprintf(format, args...)})
}

// without records what the check left out.
func (l *inspection) without(limit string) {
	if l.limits != "" {
		l.limits += "; "
	}
	l.limits += limit
}

// skip records why the promise was not checked.
func (l *inspection) skip(why string) {
	l.checked = false
	l.without(why)
}
