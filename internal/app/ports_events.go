package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
)

// OutboxRow is a committed event, or a dead letter, that is not on its topic yet.
type OutboxRow struct {
	ID int64
	// Record is the event. For a dead letter it is the parked event, or has only Tenant and Order set.
	Record event.Record
	// DeadLetter is set when the row is a dead letter, which has a topic of its own.
	DeadLetter *DeadLetter
}

// RelayPosition is the last batch on the topic. It was committed there together with the batch's events. The
// position of a shard that was never relayed is epoch 0, batch 0, without ids.
type RelayPosition struct {
	Shard int
	Epoch int64 // rises by one with each rebuild of the topic
	Batch int64
	IDs   []int64 // outbox ids of the batch
}

// ErrRelayPosition stops a relay: the topic and the database disagree about what was published, because one of
// them was restored, lost or replaced by another cluster's. A person must decide.
var ErrRelayPosition = errors.New("relay-position-mismatch")

// ErrRebuilding is the ErrRelayPosition of a shard whose rebuild was begun and is not finished. It ends only when
// a rebuild is finished.
var ErrRebuilding = fmt.Errorf("%w: a rebuild of the topic was begun and is not finished (platforma events rebuild)",
	ErrRelayPosition)

// Outbox gives a shard's outbox to one relay at a time (ADR 0004).
type Outbox interface {
	// TryLease takes the shard's advisory lock, on a connection that the lease then uses for everything. ok is
	// false while another relay has the lock; that is no error. It returns ErrRebuilding while the topic is being
	// rebuilt.
	TryLease(ctx context.Context, shard int) (lease OutboxLease, ok bool, err error)
}

// OutboxLease is access to the outbox while its lock is held. It ends with its connection: once that is lost every
// call fails, and the relay ends. One goroutine uses it.
type OutboxLease interface {
	// Pending reads up to limit rows by ascending id, always from the smallest, because a row that exists is
	// unpublished. There is no cursor, because an id that was drawn early may commit late.
	Pending(ctx context.Context, limit int) ([]OutboxRow, error)
	// Done deletes the rows of a batch that is on the topic and stores its number, in one transaction with
	// synchronous commit. The stored batch again must delete no row; the batch after it must delete exactly
	// len(IDs) rows. Anything else, or another epoch, is ErrRelayPosition and changes nothing.
	Done(ctx context.Context, p RelayPosition) error
	// Release returns the lock and the connection.
	Release()
}

// History gives access to all events of a shard, to fill its topic again.
type History interface {
	// TryRebuild takes the relay's advisory lock, as TryLease does. ok is false while a relay or another rebuild
	// has it.
	TryRebuild(ctx context.Context, shard int) (r Rebuild, ok bool, err error)
}

// Rebuild is the database's side of filling a topic again (docs/runbook.md), while the relay's lock is held. Its
// methods are called in the sequence in which they are declared. If it ends early, the flag that Begin set
// remains, and no relay runs until a later rebuild is finished. One goroutine uses it.
type Rebuild interface {
	// Begin flags the shard as being rebuilt, with synchronous commit. It returns the position that the filled
	// topic will have: the next epoch, batch 0.
	Begin(ctx context.Context) (RelayPosition, error)
	// Held returns an error unless the lock is still held. It is called before a step that cannot be reversed.
	Held(ctx context.Context) error
	// Snapshot opens the one snapshot that Next reads and returns its number of events. Writers continue; what
	// they commit from now on stays in the outbox and is published once the rebuild is finished.
	Snapshot(ctx context.Context) (events int, err error)
	// Next reads up to limit events, those of an order by ascending number. It returns none at the end.
	Next(ctx context.Context, limit int) ([]event.Record, error)
	// Finish ends the rebuild in one transaction: it deletes the outbox rows of the snapshot's events, stores the
	// position of Begin and removes the flag. It returns the number of deleted rows.
	Finish(ctx context.Context) (rows int, err error)
	// Release returns the lock and the connection.
	Release()
}

// OutboxStatus is the state of the outbox in the database.
type OutboxStatus struct {
	Rows int64         // not on the topic yet
	Lag  time.Duration // age of the oldest row; 0 when there is none
	// XminHeld is for how long, at least, the oldest snapshot in use has been the same. A snapshot that is held for
	// long keeps dead outbox rows, which makes polls slow (alert from 60 s on). It is measured from the first time
	// that this process saw the snapshot, so it must be read regularly.
	XminHeld time.Duration
}

// RelayStatus is the state of a relay of this process.
type RelayStatus struct {
	Shard   int
	Leader  bool  // it holds the lock and has compared the topic with the database
	Batch   int   // rows of the last batch that it published
	Fenced  int64 // how often another relay took over since the process started
	Failing bool  // its last try ended with an error: the broker is down, or a person is needed
}

// Effect applies one event to the database, exactly once. It calls InTenant with the event's tenant and the
// consumer's InboxPosition, so its rows and the checkpoint commit together. It makes no network call: an effect
// is rows, tasks among them. It returns
//
//   - ErrDuplicate when the event was applied before,
//   - ErrBlocked when an earlier event of the order is parked; that this one waits is noted and committed,
//   - a fault of KindNotFound when the event's tenant has no such order,
//   - a fault of KindUnavailable when the database is down, which uses up no retry.
type Effect func(ctx context.Context, ev event.Event) error

// EffectAll applies many events as Effect applies one, in as few transactions as it can. The events may be of any
// tenants; those of one order come in sequence. Duplicate and blocked events are counted and are no error. After
// an error any of the events may have been applied; it is safe to give them again.
type EffectAll func(ctx context.Context, evs []event.Event) (Handled, error)

// Handled counts events by their outcome.
type Handled struct{ Applied, Duplicates, Blocked int }

// Refusal is a record that a consumer did not apply because it could not be trusted.
type Refusal struct {
	Consumer   string
	TopicID    [16]byte
	Partition  int32
	Offset     int64
	Code       string            // one of package event's refusal codes
	Headers    map[string]string // valid UTF-8 without NUL, truncated
	DataSHA256 [32]byte
	At         time.Time
}

// Refusals stores refused records. They have no tenant, because a refused record's own claim cannot be trusted.
type Refusals interface {
	// Refuse stores a record; the same consumer, topic, partition and offset again changes nothing.
	Refuse(ctx context.Context, r Refusal) error
}

// ConsumerStatus is the state of a consumer of this process, for GET /v1/routing. Its counts begin with the
// process.
type ConsumerStatus struct {
	Group string        // the consumer group
	Name  string        // in the inbox and on dead letters
	Lag   time.Duration // of the oldest event that was read and is not handled yet; 0 when caught up
	// Behind is an upper bound of the events that are not handled yet, because a transaction of the relay may count
	// as one more. It is 0 when caught up.
	LagEvents  int64
	Applied    int64
	Duplicates int64 // redelivered events, which the inbox recognised
	Retried    int64
	Parked     int64 // after the last retry
	Blocked    int64 // received behind a parked event of their order, redelivered ones too
	Refused    int64
	Stopped    int // partitions that wait for an event that cannot be applied, of a consumer that parks nothing
}
