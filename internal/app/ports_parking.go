package app

import (
	"context"
	"errors"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// ErrBlocked ends a consumer's transaction when an earlier event of the order is parked: what was heard is
// noted, that commits, and nothing of the effect does.
var ErrBlocked = errors.New("held behind a parked event")

// Mark is how far a consumer has come with an order, and what it has set aside of it.
type Checkpoint struct {
	Consumer  string
	Order     order.ID
	Seq       int // the highest applied
	Parked    int // the event that was set aside; 0: none
	BlockedTo int // the last heard while one is parked
	Blocked   int // how many wait behind it; they stand in order_event
	Redrive   int // the event that may be applied though one is parked; 0: none
}

// Hearing is what becomes of an event at a mark.
type Admission uint8

// What becomes of an event.
const (
	Fresh    Admission = iota // it is its turn; the mark has moved to it
	Repeated                  // the mark has passed it
	Waiting                   // an earlier one is parked; the mark has noted that it waits
	Missed                    // events before it were never heard, and the mark stays
)

// Hear moves a mark that is read and put in one transaction, of a consumer that hears every event of an order.
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

// hold notes that an event was heard behind the parked one. The same again changes nothing.
func (cp *Checkpoint) block(seq int) {
	if seq > cp.BlockedTo {
		cp.BlockedTo, cp.Blocked = seq, cp.Blocked+1
	}
}

// CheckpointTx is the part of Tx that parks. A mark's lock comes before the lock of its order, as in every
// consumer's transaction.
type CheckpointTx interface {
	// LockCheckpoint locks a consumer's mark, and makes one that has applied nothing when there is none.
	// fault.Absent() when the tenant has no such order.
	LockCheckpoint(ctx context.Context, consumer string, o order.ID) (Checkpoint, error)
	// PutCheckpoint queues the mark.
	PutCheckpoint(cp Checkpoint)
}

// CheckpointStore is the part of Store that tells what is parked.
type CheckpointStore interface {
	// ParkedCounts counts a tenant's parked and held events by consumer, in the order of their names;
	// consumers without any are left out.
	ParkedCounts(ctx context.Context, t tenant.ID) ([]ParkedCount, error)
}

// ParkedCount is what one consumer has set aside of one tenant's.
type ParkedCount struct {
	Consumer string
	Parked   int // orders, each behind one event
	Blocked  int // later events of them
}

// ParkedEvent is the event behind a dead letter of the source event.
type ParkedEvent struct {
	Consumer  string // its name in the inbox; "" of every other letter
	ID        event.ID
	Type      event.Type
	Seq       int
	TopicID   [16]byte // where it was read; zero when it was held, and so read from order_event
	Partition int32
	Offset    int64
	LoggedAt  time.Time // by the broker

	// Set when read, and only while it is parked:

	Blocked   int  // later events of the order that wait behind it
	Redriving bool // it is being tried again
}

// Poison is an event that a consumer could not apply, after its last retry.
type Poison struct {
	Consumer      string // its name in the inbox
	Event         event.Event
	Attempts      int
	FirstFailedAt time.Time
	Err           error
}

// Park sets an event aside, once: ErrDuplicate when that was done already, or when the event was applied
// meanwhile. A fault of KindUnavailable means that nothing was done, and that it may be tried again.
type Park func(ctx context.Context, p Poison) error

// Listener is a consumer as a process wires it: who may hear an event, and what it does with one.
type ConsumerHandler struct {
	Name  string         // in the inbox, on dead letters and in the name of their topic
	As    event.Consumer // whose row of the routing matrix it hears
	Apply Effect
}
