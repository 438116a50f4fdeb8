package app

import (
	"context"
	"errors"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// ErrBlocked ends a consumer's transaction when an earlier event of the order is parked. The checkpoint's note that
// the event waits commits, and nothing of the effect does.
var ErrBlocked = errors.New("blocked behind a parked event")

// Checkpoint is how far a consumer has come with an order, and which of its events is parked. The blocked events
// are read from order_event later.
type Checkpoint struct {
	Consumer  string
	Order     order.ID
	Seq       int // the last event applied
	Parked    int // the parked event; 0 for none
	BlockedTo int // the last event received while one is parked
	Blocked   int // how many events wait behind the parked one
	Redrive   int // the event that may be applied although one is parked; 0 for none
}

// Admission is a checkpoint's decision about an event.
type Admission uint8

// The decisions.
const (
	Fresh    Admission = iota // the event is next; the checkpoint has moved to it
	Repeated                  // the event was applied before
	Waiting                   // an earlier event is parked; the checkpoint has noted that this one waits
	Missed                    // events before it were never received; the checkpoint has not moved
)

// Admit moves the checkpoint of a consumer that receives every event of an order. The caller reads and writes the
// checkpoint in one transaction.
func (cp *Checkpoint) Admit(seq int) Admission {
	switch {
	case seq <= cp.Seq:
		return Repeated
	case cp.Parked != 0 && cp.Redrive != seq:
		cp.block(seq)
		return Waiting
	case seq != cp.Seq+1:
		return Missed
	case seq > cp.Parked && cp.Parked != 0:
		cp.Blocked = max(0, cp.Blocked-1)
	}
	cp.Seq = seq
	return Fresh
}

// block notes that an event was received behind the parked one. The same event again changes nothing.
func (cp *Checkpoint) block(seq int) {
	if seq > cp.BlockedTo {
		cp.BlockedTo, cp.Blocked = seq, cp.Blocked+1
	}
}

// CheckpointTx is the part of Tx for checkpoints. A checkpoint is locked before its order, as in every consumer's
// transaction.
type CheckpointTx interface {
	// LockCheckpoint locks a consumer's checkpoint. When there is none, it creates one that has applied nothing. It
	// is fault.Absent() when the tenant has no such order.
	LockCheckpoint(ctx context.Context, consumer string, o order.ID) (Checkpoint, error)
	// PutCheckpoint queues the checkpoint.
	PutCheckpoint(cp Checkpoint)
}

// CheckpointStore is the part of Store for checkpoints.
type CheckpointStore interface {
	// ParkedCounts counts a tenant's parked and blocked events by consumer, sorted by name. It leaves out consumers
	// without any.
	ParkedCounts(ctx context.Context, t tenant.ID) ([]ParkedCount, error)
}

// ParkedCount counts what one consumer has parked for one tenant.
type ParkedCount struct {
	Consumer string
	Parked   int // orders with a parked event
	Blocked  int // later events of those orders
}

// ParkedEvent is the event of a dead letter whose source is event.
type ParkedEvent struct {
	Consumer  string // its name in the inbox; "" for any other dead letter
	ID        event.ID
	Type      event.Type
	Seq       int
	TopicID   [16]byte // where it was read; zero when it had been blocked and was read from order_event
	Partition int32
	Offset    int64
	LoggedAt  time.Time // by the broker

	// Set on read, and only while the event is parked.

	Blocked   int  // later events of the order that wait behind it
	Redriving bool // a redrive is under way
}

// Poison is an event that a consumer could not apply after its last retry.
type Poison struct {
	Consumer      string // its name in the inbox
	Event         event.Event
	Attempts      int
	FirstFailedAt time.Time
	Err           error
}

// Park parks an event, once. It returns ErrDuplicate when the event was parked or applied already. A fault of
// KindUnavailable means that nothing was done, and the call can be repeated.
type Park func(ctx context.Context, p Poison) error

// ConsumerHandler is a consumer as a process wires it: which events it receives, and how it applies one.
type ConsumerHandler struct {
	Name  string         // in the inbox, on dead letters and in the name of their topic
	As    event.Consumer // its row in the routing matrix
	Apply Effect
}
