package invariant

import "fmt"

// Violation is one way in which the world is wrong.
type Violation struct {
	Invariant string `json:"invariant"` // such as "I7"
	Order     string `json:"order,omitempty"`
	Detail    string `json:"detail"`
}

// String is the violation in a line.
func (v Violation) String() string {
	if v.Order == "" {
		return v.Invariant + ": " + v.Detail
	}
	return v.Invariant + ": order " + v.Order + ": " + v.Detail
}

// Result says of one promise whether it was looked at, at how many things, and what was found.
type Result struct {
	Invariant string `json:"invariant"`
	Promise   string `json:"promise"`
	Checked   bool   `json:"checked"`
	// Seen is the number of things it was asked of: 0 with Checked means that there was nothing to ask.
	Seen int `json:"seen"`
	// Limits says in words what was left out, or why nothing was checked.
	Limits     string      `json:"limits,omitempty"`
	Violations []Violation `json:"violations"`
}

// rule is one promise. A rule without a check is held by other means, which limits names.
type rule struct {
	name, promise, limits string
	check                 func(*look)
}

func rules() []rule {
	return []rule{
		{"I1", "every change of state is in the matrix, in a chain from draft to the row", "", lawfulMoves},
		{"I2", "every cell of the matrices is decided", "a promise of the code: held by the lifecycle's tests", nil},
		{"I3", "events = outbox history = topic = audit log, to the byte", "", sameHistory},
		{"I4", "the topic keeps each order's order: key, partition, tenant", "", orderOnTopic},
		{"I5", "a read_committed reader sees each event once", "", onceOnTopic},
		{"I6", "each consumer applied each event routed to it, once", "", routedOnce},
		{"I7", "captured - refunded = allocations of live items", "", balancedBooks},
		{"I8", "the gateway's books equal ours", "needs the gateway's listing, which no reader gives yet", nil},
		{"I9", "no payment is refunded beyond itself, no reference used twice", "", refundsBounded},
		{"I10", "what lives at the provider is what was delivered, and nothing else", "", noOrphans},
		{"I11", "one key a resource, one resource a key, generations rise", "", oneKeyEach},
		{"I12", "failed and cancelled tell the truth", "", truthfulEnds},
		{"I13", "state, outcome and settlement follow from items and refunds", "", derivedState},
		{"I14", "nothing stands still without a cause to move", "", causeToMove},
		{"I15", "no work for an item that is over, one task at a time", "the rows alone; leases and fences show in a run", noWorkForTheEnded},
		{"I16", "at most six calls a step, with the promised gaps", "", boundedRetries},
		{"I17", "a dead letter tells all, and once", "", wholeDeadLetters},
		{"I18", "clean-up is the exact reverse of creation", "", reverseOrder},
		{"I19", "what was ordered and its price never change", "", frozenSnapshots},
		{"I20", "a key has one effect, a replay the same bytes", "", oneEffectPerKey},
		{"I21", "versions returned by writes rise", "needs the clients' own record of answers: held by tests", nil},
		{"I22", "rows are never lost, logs never rewritten", "", nothingLost},
		{"I23", "no secret anywhere, every delivery a mail", "", noSecrets},
		{"I24", "no tenant sees another's", "needs canaries in every tenant's input: held by tests", nil},
		{"I25", "the figures are those of the rows", "", countedRight},
	}
}

// Names lists the promises that Check can look at.
func Names() []string {
	var names []string
	for _, r := range rules() {
		if r.check != nil {
			names = append(names, r.name)
		}
	}
	return names
}

// Check lists everything that is wrong; nil when nothing is.
func Check(f Facts) []Violation {
	var all []Violation
	for _, r := range Examine(f) {
		all = append(all, r.Violations...)
	}
	return all
}

// Examine looks at all promises, I1 to I25 in order, and says of those it did not check why.
func Examine(f Facts) []Result {
	x := newIndex(&f)
	var results []Result
	for _, r := range rules() {
		l := look{index: x, name: r.name, limits: r.limits, checked: r.check != nil}
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

// look is one promise being checked.
type look struct {
	*index
	name, limits string
	checked      bool
	seen         int
	violations   []Violation
}

func (l *look) broken(order, format string, args ...any) {
	l.violations = append(l.violations, Violation{Invariant: l.name, Order: order, Detail: fmt.Sprintf(format, args...)})
}

// without says what of the promise was left out.
func (l *look) without(limit string) {
	if l.limits != "" {
		l.limits += "; "
	}
	l.limits += limit
}

// skip says why nothing of the promise was checked.
func (l *look) skip(why string) {
	l.checked = false
	l.without(why)
}
