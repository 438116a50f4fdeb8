package app

import (
	"context"
	"errors"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
)

// OutboxRow is one committed event, or one dead letter, that does not stand on the topic yet.
type OutboxRow struct {
	ID int64
	// Record is the event. Of a dead letter only its Tenant and Order are set.
	Record event.Record
	// Letter is set instead, when a dead letter waits for its own topic.
	Letter *DeadLetter
}

// RelayPosition is the last batch that stands on the topic, as it was committed there together with
// its events. A shard that was never relayed stands at epoch 0, batch 0, without ids.
type RelayPosition struct {
	Shard int
	Epoch int64 // +1 whenever the topic was rebuilt
	Batch int64
	IDs   []int64 // outbox ids of the batch
}

// ErrRelayPosition stops a relay: topic and database disagree about what was published, because one
// of them is not the one it was (restored, lost, another cluster's). A person decides.
var ErrRelayPosition = errors.New("relay-position-mismatch")

// Outbox hands a shard's outbox to one relay at a time (events.md §3).
type Outbox interface {
	// TryLease takes the shard's advisory lock on a connection of its own, on which everything the
	// lease does then runs. ok is false while another relay has it; that is no error.
	TryLease(ctx context.Context, shard int) (lease OutboxLease, ok bool, err error)
}

// OutboxLease is the outbox while its lock is held. It lives as long as its connection: when that is
// lost every call fails, and the relay ends. It is used by one goroutine.
type OutboxLease interface {
	// Pending reads up to limit rows in the order of their ids, always from the smallest: a row that
	// is present is unpublished. There is no cursor, for an id that is drawn early may commit late.
	Pending(ctx context.Context, limit int) ([]OutboxRow, error)
	// Done deletes the rows of a batch that stands on the topic and notes its number, in one
	// transaction with synchronous commit. It compares first: the noted batch again → no row may go;
	// the one after it → exactly len(IDs) rows must go; anything else, or another epoch →
	// ErrRelayPosition, and nothing is changed.
	Done(ctx context.Context, p RelayPosition) error
	// Release gives lock and connection back.
	Release()
}

// Effect applies one event to the database, exactly once: it opens InTenant with the event's tenant
// and the consumer's InboxMark, so its rows and the mark commit together. It returns ErrDuplicate when
// the mark has passed the event, a fault of KindNotFound when the event's tenant has no such order, and
// a fault of KindUnavailable when the database is away (that costs no retry). It makes no network
// call: an effect is rows, work among them.
type Effect func(ctx context.Context, ev event.Event) error

// Refusal is a record that a consumer did not apply, because it could not be trusted.
type Refusal struct {
	Consumer   string
	TopicID    [16]byte
	Partition  int32
	Offset     int64
	Code       string            // one of event's refusal codes
	Headers    map[string]string // valid UTF-8 without NUL, cut to a bound
	DataSHA256 [32]byte
	At         time.Time
}

// Refusals keeps refused records. They have no tenant: what a record claims is what was not believed.
type Refusals interface {
	// Refuse stores one; the same consumer, topic, partition and offset again changes nothing.
	Refuse(ctx context.Context, r Refusal) error
}

// ConsumerStatus is how a consumer of this process stands, for GET /v1/routing.
type ConsumerStatus struct {
	Consumer   string        // its group
	Age        time.Duration // of the oldest event read and not yet done with; 0 when caught up
	Applied    int64         // since the process started, as the other counts
	Duplicates int64         // redelivered, and absorbed by the inbox
	Retried    int64
	Refused    int64
	Stopped    int // partitions standing still behind an event that cannot be applied
}
