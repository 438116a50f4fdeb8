// Package fulfil decides what a task does next. From the task and the result of one call it computes what the task
// becomes and which trigger its item gets. It is pure: it has no clock, network, randomness or database. Package app
// makes the calls, and package queue schedules the tasks.
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

// Kind is a task's kind of work; the numbers are stored.
type Kind uint8

// The kinds of work.
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

// String returns the kind's name in the saga log. It is also the name of its queue, except for Provision, whose
// queue is named after the account.
func (k Kind) String() string { return kindNames[k] }

// TaskState is the state of a task; the numbers are stored.
type TaskState uint8

// The states of a task.
const (
	Queued TaskState = 0 // waits for the feeder
	Open   TaskState = 1 // has a job
	Stuck  TaskState = 2 // needs a person; or a webhook delivery that waits for its endpoint
	Closed TaskState = 3 // over
)

// String returns the name used in the saga log.
func (s TaskState) String() string { return [...]string{"queued", "open", "stuck", "closed"}[s] }

// Task is a durable piece of work. A job of the queue only points at it.
type Task struct {
	ID           TaskID
	Tenant       tenant.ID
	Order        order.ID
	Item         order.ItemID    // of provision, refund, deliver
	Payment      order.PaymentID // of validate, refund
	Subject      id.Of[Subject]  // of notify, webhook, redrive: the event, webhook delivery or dead letter
	Kind         Kind
	Queue        string // for provision the account's name, otherwise the kind's
	State        TaskState
	Step         int                // index into Steps
	Try          int                // retries used up at this step, 0 to 5
	Compensating bool               // the steps are being reversed
	Sent         bool               // an intent is committed and its call has no final result yet
	Epoch        int64              // the fence: a move names the epoch from which it was made
	NextAt       time.Time          // when the task is due; zero while it is held
	Deadline     time.Time          // of the long operation (D6); zero before its first start
	Waited       time.Duration      // for capacity
	Cause        id.Of[order.Event] // the event that called for the work; the cause of the events that it records
	Progress     int                // of the item, in percent
	Detail       string
	Assertion    Assertion // the resource that a person asserts is there; zero for none

	// From the adapter's plan, the catalogue and the clock; not stored.

	Steps         []string      // in the order of creation; "credentials" is last
	Limit         time.Duration // for all steps, from the first start
	DeleteTimeout time.Duration // for the removal of one resource
	CapacityLimit time.Duration // for all waits for capacity
	Speed         int           // policy waits are divided by it; 1 outside dev and tests
}

// Assertion is a resource that a person found at the provider and says is the item's. It has no effect until a
// worker has checked it.
type Assertion struct {
	Step string
	Ref  string // the provider's own id
}

// Subject is the type of the ids in Task.Subject.
type Subject struct{}

// Live reports whether the task still runs by itself.
func (task Task) Live() bool { return task.State == Queued || task.State == Open }

// Phase is the phase of a resource in the journal; the numbers are stored.
type Phase uint8

// The phases.
const (
	Intent   Phase = 1 // the call may have happened
	Created  Phase = 2 // the provider returned an id
	Ready    Phase = 3 // observed as ready
	Deleting Phase = 4 // a delete may have happened
	Gone     Phase = 5 // confirmed absent
)

// String returns the name used in the saga log.
func (p Phase) String() string {
	return [...]string{"", "intent", "created", "ready", "deleting", "gone"}[p]
}

// Resource is a row of the journal: what exists at a provider, or may exist, under one key. The row is committed
// before the call.
type Resource struct {
	Task        TaskID
	Step        string
	Generation  int
	Key         string
	Phase       Phase
	Refs        []string  // ids from the provider; the first one's resource is kept
	CalledAt    time.Time // when the create was called
	SettleUntil time.Time // until then a create without an answer may still take effect
	AbsentSince time.Time // when nothing was first found after a create without an answer
}

// Result is the result of one call.
type Result struct {
	Class         fault.Class
	At            time.Time // when the call ended
	After         time.Duration
	NotSent       bool // certainly nothing was done, so the next turn calls again
	FailedRemoved bool // the removal of a failed resource was accepted, so the generation rises
	Ref           string
	Note          string // in our own words, for the saga log; never a provider's text
	Code          string
	// Phase is the resource's new phase in the journal; 0 leaves it.
	Phase            Phase
	Progress         int
	Detail           string
	Sealed           []byte // of the credentials step
	Absent           bool   // observed as absent, but not confirmed yet
	AssertionChecked bool   // the task's assertion was checked; Ref is set when it holds
	Took             time.Duration
}

// Move is a decision: what the task becomes, and which trigger its item gets.
type Move struct {
	Task          Task
	Item          order.ItemTrigger // 0: none
	Dead          bool              // a dead letter is written
	Done          bool              // a single call's work is done
	NewGeneration bool              // the item's generation rises
	Result        Result
}
