// Package failpoint names the moments at which a process may die, and ends a process there. It wraps the ports of
// the use cases, which therefore know nothing of it. Tests use it in their own process; a binary that is built with
// the tag crashpoints kills itself with it. No shipped binary contains it, and it must not know how anything is
// stored or sent.
package failpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Point is a moment of an order's life at which something is committed or called.
type Point string

// The points: CP-D from submission to delivery, CP-C in the compensation.
const (
	Submitted       Point = "CP-D1"  // the submission is committed
	PaymentIntent   Point = "CP-D2"  // the intent of the checkout is committed
	GatewayCall     Point = "CP-D3"  // the checkout call to the payment provider
	PaymentRecorded Point = "CP-D4"  // payment and allocations are committed
	Validated       Point = "CP-D5"  // the result of the validation is committed
	StepIntent      Point = "CP-D6"  // the intent of a step is committed, which also registers its compensation
	ProviderCreate  Point = "CP-D7"  // the create call to the cloud
	RefRecorded     Point = "CP-D8"  // the cloud's id of the resource is committed
	ReadyRecorded   Point = "CP-D9"  // the resource is recorded as ready
	Sealed          Point = "CP-D10" // the credentials are sealed
	ItemActive      Point = "CP-D11" // the item is active
	StateDerived    Point = "CP-D12" // the state of the order was derived from its items
	OnTopic         Point = "CP-D13" // a batch of events is on the topic
	EffectApplied   Point = "CP-D14" // a consumer's effect and inbox row are committed, its offset is not yet
	MailAccepted    Point = "CP-D15" // the mail server accepted the delivery
	Delivered       Point = "CP-D16" // the item is delivered

	CompensationBegun Point = "CP-C1" // the compensation and the refund request are committed together
	ProviderDelete    Point = "CP-C2" // the delete call to the cloud
	Absent            Point = "CP-C3" // the resource is confirmed gone, or the compensation ran out of retries
	RefundTaken       Point = "CP-C4" // the intent of the refund is committed
	RefundCall        Point = "CP-C5" // the refund call to the payment provider
	RefundRecorded    Point = "CP-C6" // the refund is recorded as accepted
	RolledBack        Point = "CP-C7" // the item is rolled back: its resources are gone and its refund is accepted
	OrderClosed       Point = "CP-C8" // the order is closed and its last event written
)

// Points returns all points, in the order in which an order meets them.
func Points() []Point {
	return []Point{
		Submitted, PaymentIntent, GatewayCall, PaymentRecorded, Validated, StepIntent, ProviderCreate, RefRecorded,
		ReadyRecorded, Sealed, ItemActive, StateDerived, OnTopic, EffectApplied, MailAccepted, Delivered,
		CompensationBegun, ProviderDelete, Absent, RefundTaken, RefundCall, RefundRecorded, RolledBack, OrderClosed,
	}
}

// Side is a side of a point. Before a commit everything is decided and queued, and nothing is committed. After it
// everything is committed, and the caller has no answer yet. The sides of a call are meant in the same way.
type Side string

// The sides.
const (
	Before Side = "before"
	After  Side = "after"
)

// Sides returns both sides.
func Sides() []Side { return []Side{Before, After} }

// Moment is a side of a point at its nth occurrence; 0 and 1 are the first.
type Moment struct {
	Point Point
	Side  Side
	Nth   int
}

// String returns the text that Parse reads, such as "CP-D7 before" or "CP-D7 before:2".
func (m Moment) String() string {
	s := string(m.Point) + " " + string(m.Side)
	if m.Nth > 1 {
		s += ":" + strconv.Itoa(m.Nth)
	}
	return s
}

// Parse reads a moment from its text.
func Parse(s string) (Moment, error) {
	at, nth, counted := strings.Cut(s, ":")
	point, side, _ := strings.Cut(at, " ")
	m := Moment{Point: Point(point), Side: Side(side)}
	if !slices.Contains(Points(), m.Point) || !slices.Contains(Sides(), m.Side) {
		return m, fmt.Errorf("crash point %q: want one such as %q", s, "CP-D7 before:2")
	}
	if !counted {
		return m, nil
	}
	n, err := strconv.Atoi(nth)
	if err != nil || n < 1 {
		return m, fmt.Errorf("crash point %q: the count after the colon must be 1 or more", s)
	}
	m.Nth = n
	return m, nil
}

// Failpoint ends the process at its moments, each once, by calling die, which does not return. It counts how often
// each side of each point was met. It is safe for concurrent use.
type Failpoint struct {
	die func(Moment)

	mu      sync.Mutex
	moments []Moment       // guarded by mu
	hits    map[string]int // guarded by mu
	fired   int            // guarded by mu
}

// NewFailpoint returns a failpoint with these moments.
func NewFailpoint(die func(Moment), set ...Moment) *Failpoint {
	return &Failpoint{die: die, moments: set, hits: map[string]int{}}
}

// Set replaces the moments and starts all counts again.
func (f *Failpoint) Set(set ...Moment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moments, f.hits, f.fired = set, map[string]int{}, 0
}

// Fired returns how many moments have come since they were set.
func (f *Failpoint) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// hit counts a side of a point, and ends the process if one of the moments has come.
func (f *Failpoint) hit(p Point, s Side) {
	if m, due := f.due(p, s); due {
		f.die(m)
	}
}

func (f *Failpoint) due(p Point, s Side) (Moment, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := string(p) + " " + string(s)
	f.hits[at]++
	for _, m := range f.moments {
		if m.Point == p && m.Side == s && f.hits[at] == max(1, m.Nth) {
			f.fired++
			return m, true
		}
	}
	return Moment{}, false
}

// around hits both sides of a call. A call that failed has no effect that could be lost, so the second is skipped.
func (f *Failpoint) around(p Point, call func() error) error {
	f.hit(p, Before)
	if err := call(); err != nil {
		return err
	}
	f.hit(p, After)
	return nil
}
