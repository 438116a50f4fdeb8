// Package fulfil decides what happens next to a task: given the task and the result of one
// call it says what the task becomes and which move its item makes. It is pure: no clock, no network,
// no randomness, no database. Doing the calls is app's matter, carrying the tasks is queue's.
package fulfil

import (
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// TaskID names a task.
type TaskID = id.Of[Task]

// Kind of work; the numbers are stored.
type Kind uint8

// The kinds.
const (
	Validate  Kind = 1 // one per order and payment
	Provision Kind = 2 // one per item
	Refund    Kind = 3 // one per payment and item
	Deliver   Kind = 4 // one per item
	Notify    Kind = 5 // one per event
	Webhook   Kind = 6 // one per webhook delivery
	Redrive   Kind = 7 // one per dead letter of an event
	Checkout  Kind = 8 // one per submit to a payment provider that confirms by itself (D28)
)

var kindNames = map[Kind]string{
	Validate: "validate", Provision: "provision", Refund: "refund", Deliver: "deliver", Notify: "notify",
	Webhook: "webhook", Redrive: "redrive", Checkout: "checkout",
}

// String is the kind's name in the saga record, and the name of its queue but for Provision, whose
// queue is named after the provider.
func (k Kind) String() string { return kindNames[k] }

// TaskState of a task; the numbers are stored.
type TaskState uint8

// The states of a task.
const (
	Queued TaskState = 0 // waits for the feeder
	Open   TaskState = 1 // has a job
	Stuck  TaskState = 2 // stands on the fallout desk
	Closed TaskState = 3 // over
)

// String is the name used in the saga record.
func (s TaskState) String() string { return [...]string{"queued", "open", "stuck", "closed"}[s] }

// Task is a piece of work: the truth that a job of the queue merely points at.
type Task struct {
	ID           TaskID
	Tenant       tenant.ID
	Order        order.ID
	Item         order.ItemID    // of provision, refund, deliver
	Payment      order.PaymentID // of validate, refund
	Subject      id.Of[Subject]  // of notify, webhook, redrive: the event, delivery or dead letter
	Kind         Kind
	Queue        string // the provider's name for provision, else the kind's
	State        TaskState
	Step         int       // index into Parts
	Try          int       // retries used up at this step, 0..5
	Compensating bool      // going back
	Sent         bool      // an intent was committed and has no result yet
	Epoch        int64     // the fence: each move matches the epoch it was made from
	NextAt       time.Time // when it is due; zero while held
	// Deadline of the long operation (D6); zero before its first start.
	Deadline  time.Time
	Waited    time.Duration      // for capacity
	Cause     id.Of[order.Event] // the event that asked for the work: causation of what it records
	Progress  int
	Detail    string
	Assertion Assertion // what a person says is there; zero when nobody does

	// What the adapter's plan and the catalogue say; not stored.
	Steps         []string // in order of creation, then "credentials", the pivot
	Limit         time.Duration
	DeleteTimeout time.Duration
	CapacityLimit time.Duration
	Speed         int // the clock's scale: policy waits are divided by it; 1 outside dev and tests
}

// Claim is a resource that a person found at the provider and says is a part of the item. It is worth
// nothing until a worker has looked at it.
type Assertion struct {
	Step string
	Ref  string // the provider's own id
}

// Subject only gives its ids a type.
type Subject struct{}

// Live reports whether the task still has something to do by itself.
func (task Task) Live() bool { return task.State == Queued || task.State == Open }

// Phase of a part in the journal; the numbers are stored.
type Phase uint8

// The phases.
const (
	Intent   Phase = 1 // the call may have happened
	Created  Phase = 2 // the provider gave an id
	Ready    Phase = 3 // read back as ready
	Deleting Phase = 4 // a delete may have happened
	Gone     Phase = 5 // confirmed absent
)

// String is the name used in the saga record.
func (p Phase) String() string {
	return [...]string{"", "intent", "created", "ready", "deleting", "gone"}[p]
}

// Part is a line of the journal: one resource under one key. It is written before the call.
type Resource struct {
	Task        TaskID
	Step        string
	Generation  int
	Key         string
	Phase       Phase
	Refs        []string // ids the provider gave; the first is kept
	CalledAt    time.Time
	SettleUntil time.Time
	AbsentSince time.Time // first sighting of nothing after an ambiguous create
}

// Result of one call, as app tells it to Next.
type Result struct {
	Class         fault.Class
	At            time.Time // when the call ended
	After         time.Duration
	NotSent       bool // nothing was done for certain: the next turn calls anew
	FailedRemoved bool // a failed resource was removed and is confirmed absent
	Ref           string
	Note          string // our own words, for the saga record; never a provider's raw text
	Code          string
	// Phase is what the part's journal line becomes; 0 leaves it.
	Phase            Phase
	Progress         int
	Detail           string
	Sealed           []byte // of the credentials step
	Absent           bool   // seen absent, not yet for good
	AssertionChecked bool   // the task's claim was looked at: Ref is the claimed one when it holds
	Took             time.Duration
}

// Move is what Next and Intend decide: what the task becomes, and what its item does.
type Move struct {
	Task          Task
	Item          order.ItemTrigger // 0: the item stays as it is
	Dead          bool              // a dead letter is written
	Done          bool              // a single call's work is done
	NewGeneration bool              // the item's generation rises
	Result        Result
}
