package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
)

// OutboxRow is one committed event, or one dead letter, that does not stand on the topic yet.
type OutboxRow struct {
	ID int64
	// Record is the event. Of a dead letter it is the event that was parked, or only Tenant and Order are set.
	Record event.Record
	// Letter is set instead, when a dead letter waits for its own topic.
	DeadLetter *DeadLetter
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

// ErrRebuilding is ErrRelayPosition of a shard whose topic is being filled anew, or was, by somebody
// who died over it: only finishing a rebuild ends it.
var ErrRebuilding = fmt.Errorf("%w: a rebuild of the topic was begun and is not finished (platforma events rebuild)",
	ErrRelayPosition)

// Outbox hands a shard's outbox to one relay at a time (ADR 0004).
type Outbox interface {
	// TryLease takes the shard's advisory lock on a connection of its own, on which everything the
	// lease does then runs. ok is false while another relay has it; that is no error. It is
	// ErrRebuilding while the topic is being rebuilt.
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

// History hands a shard's events from the first one on to whoever fills its topic anew.
type History interface {
	// TryRebuild takes the relay's advisory lock, as TryLease does. ok is false while a relay, or another
	// rebuild, has it.
	TryRebuild(ctx context.Context, shard int) (r Rebuild, ok bool, err error)
}

// Rebuild is the database's side of filling a topic again (docs/runbook.md), while the relay's lock is held.
// Its calls come in the order in which they stand here. Whatever ends it early leaves the mark that Begin
// set: no relay runs until a later rebuild was finished. It is used by one goroutine.
type Rebuild interface {
	// Begin marks the shard as being rebuilt, with synchronous commit, and tells the position that stands
	// on the topic once it is filled: the next epoch, batch 0.
	Begin(ctx context.Context) (RelayPosition, error)
	// Held is an error unless the lock is still held: asked before what cannot be taken back.
	Held(ctx context.Context) error
	// Snapshot opens the one snapshot that Next reads, and tells how many events it holds. Writers go on;
	// what they commit from now on stays in the outbox, and follows when the rebuild is finished.
	Snapshot(ctx context.Context) (events int, err error)
	// Next reads up to limit events, each order's in the order of their numbers; none at the end.
	Next(ctx context.Context, limit int) ([]event.Record, error)
	// Finish ends the rebuild in one transaction: the outbox rows of the snapshot's events are deleted,
	// the position of Begin is noted, the mark goes. It tells how many rows there were.
	Finish(ctx context.Context) (rows int, err error)
	// Release gives lock and connection back.
	Release()
}

// OutboxStatus is how the outbox stands in the database.
type OutboxStatus struct {
	Rows int64         // not on the topic yet
	Lag  time.Duration // age of the oldest of them; 0 when there is none
	// XminHeld is for how long, at least, the oldest snapshot in use has been the same: one that is held
	// for long keeps dead outbox rows, and polls grow slow (alert from 60 s on). It is counted from the
	// first time that it was seen here, so it needs being asked now and again.
	XminHeld time.Duration
}

// RelayStatus is how a relay of this process stands.
type RelayStatus struct {
	Shard   int
	Leader  bool  // it holds the lock and has compared topic and database
	Batch   int   // rows of the last batch that it published
	Fenced  int64 // how often another relay took over, since the process started
	Failing bool  // its last try ended with an error: the broker is away, or a person is needed
}

// Effect applies one event to the database, exactly once: it opens InTenant with the event's tenant
// and the consumer's InboxPosition, so its rows and the mark commit together. It returns ErrDuplicate when
// the mark has passed the event, ErrBlocked when an earlier one of the order is parked (the wait is noted then,
// and committed), a fault of KindNotFound when the event's tenant has no such order, and a fault of
// KindUnavailable when the database is away (that costs no retry). It makes no network call: an effect is
// rows, work among them.
type Effect func(ctx context.Context, ev event.Event) error

// EffectAll applies many events, of any tenants and each order's in their order, as Effect applies one, in as
// few transactions as it can. Redelivered and held ones are counted and are no error. After an error any of
// them may have been applied, and counted: giving them again adds nothing.
type EffectAll func(ctx context.Context, evs []event.Event) (Handled, error)

// Handled counts what became of events.
type Handled struct{ Applied, Duplicates, Blocked int }

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
	Consumer string        // its group
	Name     string        // in the inbox and on dead letters
	Age      time.Duration // of the oldest event read and not yet done with; 0 when caught up
	// events not done with, an upper bound (a transaction of the relay may count as one more); 0 when caught up
	Behind     int64
	Applied    int64 // since the process started, as the other counts
	Duplicates int64 // redelivered, and absorbed by the inbox
	Retried    int64
	Parked     int64 // set aside after the last retry
	Blocked    int64 // heard behind a parked event of their order, redelivered ones too
	Refused    int64
	Stopped    int // partitions standing still behind an event that cannot be applied: of a consumer that parks nothing
}
