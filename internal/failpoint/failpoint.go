// Package failpoint names the moments at which a process may die, and lets one die there: it stands
// between the use cases and their ports, so that the use cases themselves know nothing of it. Tests use it in
// their own process, and a binary that is built with the tag crashpoints kills itself; no shipped
// binary holds it. It must not know how anything is stored or sent.
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

// The points: CP-D on the way forward to delivery, CP-C on the way back (compensation).
const (
	Submitted       Point = "CP-D1"  // submit committed
	PaymentIntent   Point = "CP-D2"  // the payment's intent
	GatewayCall     Point = "CP-D3"  // the payment provider's call
	PaymentRecorded Point = "CP-D4"  // payment and allocations
	Validated       Point = "CP-D5"  // the validation's result
	StepIntent      Point = "CP-D6"  // a step's intent, and with it its undo
	ProviderCreate  Point = "CP-D7"  // the provider's create
	RefRecorded     Point = "CP-D8"  // the provider's id
	ReadyRecorded   Point = "CP-D9"  // read back as ready
	Sealed          Point = "CP-D10" // credentials sealed
	ItemActive      Point = "CP-D11" // item active
	StateDerived    Point = "CP-D12" // the order's state follows from its items
	OnTopic         Point = "CP-D13" // events on the topic
	EffectApplied   Point = "CP-D14" // a consumer's effect and inbox row, before the offset
	MailAccepted    Point = "CP-D15" // the mail server took the delivery
	Delivered       Point = "CP-D16" // item delivered, order settled

	CompensationBegun Point = "CP-C1" // undo intent and refund request, in one commit
	ProviderDelete    Point = "CP-C2" // the provider's delete
	Absent            Point = "CP-C3" // absence confirmed, or the undo exhausted
	RefundTaken       Point = "CP-C4" // the refund's task taken
	RefundCall        Point = "CP-C5" // the payment provider's refund
	RefundRecorded    Point = "CP-C6" // refund accepted
	RolledBack        Point = "CP-C7" // item rolled back, by whichever lane ended second
	OrderClosed       Point = "CP-C8" // order closed, its event written
)

// Points are all of them, in the order of an order's life.
func Points() []Point {
	return []Point{
		Submitted, PaymentIntent, GatewayCall, PaymentRecorded, Validated, StepIntent, ProviderCreate, RefRecorded,
		ReadyRecorded, Sealed, ItemActive, StateDerived, OnTopic, EffectApplied, MailAccepted, Delivered,
		CompensationBegun, ProviderDelete, Absent, RefundTaken, RefundCall, RefundRecorded, RolledBack, OrderClosed,
	}
}

// Side of a point. Before a commit means: everything decided and queued, nothing committed. After it:
// committed, and whoever asked has not heard yet. Around a call likewise.
type Side string

// The sides.
const (
	Before Side = "before"
	After  Side = "after"
)

// Sides are both.
func Sides() []Side { return []Side{Before, After} }

// Moment is a side of a point, the nth time it is met; 0 is the first.
type Moment struct {
	Point Point
	Side  Side
	Nth   int
}

// String is what Parse reads, such as "CP-D7 before" or "CP-D7 before:2".
func (m Moment) String() string {
	s := string(m.Point) + " " + string(m.Side)
	if m.Nth > 1 {
		s += ":" + strconv.Itoa(m.Nth)
	}
	return s
}

// Parse reads a moment.
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

// Trap ends the process at its moments, each once, through die, which does not return. It counts how
// often every point was met. It may be used by many goroutines.
type Failpoint struct {
	die func(Moment)

	mu    sync.Mutex
	set   []Moment       // guarded by mu
	met   map[string]int // guarded by mu
	fired int            // guarded by mu
}

// NewFailpoint makes a trap with some moments.
func NewFailpoint(die func(Moment), set ...Moment) *Failpoint {
	return &Failpoint{die: die, set: set, met: map[string]int{}}
}

// Set replaces the moments; what was met before is forgotten.
func (t *Failpoint) Set(set ...Moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set, t.met, t.fired = set, map[string]int{}, 0
}

// Fired is how many moments have come since they were set.
func (t *Failpoint) Fired() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fired
}

// hit meets a point.
func (t *Failpoint) hit(p Point, s Side) {
	if m, due := t.due(p, s); due {
		t.die(m)
	}
}

func (t *Failpoint) due(p Point, s Side) (Moment, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := string(p) + " " + string(s)
	t.met[at]++
	for _, m := range t.set {
		if m.Point == p && m.Side == s && t.met[at] == max(1, m.Nth) {
			t.fired++
			return m, true
		}
	}
	return Moment{}, false
}

// around meets a call's two sides; after a call that failed there is nothing that could be lost.
func (t *Failpoint) around(p Point, call func() error) error {
	t.hit(p, Before)
	if err := call(); err != nil {
		return err
	}
	t.hit(p, After)
	return nil
}
