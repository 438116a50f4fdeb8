// Package auditlog holds the rules of the audit log: what an entry is and how it is hashed, when a chain of
// entries is whole, and what is wrong with a record that does not follow from those before it. It is pure: it
// must not know a database or a broker, so that an auditor can check an exported chain anywhere.
package auditlog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// TopicID identifies a topic: one that was rebuilt under the same name has another id. It is zero in entries
// that are older than this field.
type TopicID = id.Of[Topic]

// Topic is a marker that gives TopicID a type of its own.
type Topic struct{}

// Hash is a SHA-256. The zero hash precedes a chain's first entry.
type Hash [sha256.Size]byte

// String returns the hash in lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether this is the hash that precedes a chain's first entry.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText returns the digits, so that JSON carries them as a string.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// ErrHash is returned for a text that is not a SHA-256.
var ErrHash = errors.New("not a SHA-256 of 64 hexadecimal digits")

// UnmarshalText reads the digits.
func (h *Hash) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(h) {
		return ErrHash
	}
	copy(h[:], raw)
	return nil
}

// Entry is a row of the audit log: one record as the Audit consumer read it from the topic. N counts a tenant's
// entries from 1 without a gap. Times are in whole microseconds.
type Entry struct {
	Tenant     tenant.ID  `json:"tenant_id"`
	N          int64      `json:"n"`
	Order      order.ID   `json:"order_id"`
	Seq        int        `json:"seq"`
	Event      event.ID   `json:"event_id"`
	Type       event.Type `json:"type"`
	At         time.Time  `json:"at"` // of the event
	SeenAt     time.Time  `json:"seen_at"`
	DataSHA256 Hash       `json:"data_sha256"`
	Topic      TopicID    `json:"topic_id"`
	Partition  int32      `json:"partition"`
	Offset     int64      `json:"off"`
	PrevHash   Hash       `json:"prev_hash"` // of entry N-1
	Hash       Hash       `json:"hash"`
}

// Saw returns the entry of an event that was read at a time. It has no place in a chain yet; After gives it one.
func NewEntry(ev event.Event, at time.Time) Entry {
	return Entry{
		Tenant: ev.Tenant, Order: ev.Order, Seq: ev.Seq, Event: ev.ID, Type: ev.Type, At: whole(ev.At), SeenAt: whole(at),
		DataSHA256: sha256.Sum256(ev.Data), Topic: ev.TopicID, Partition: ev.Partition, Offset: ev.Offset,
	}
}

// whole truncates a time to the microsecond, which is the precision that is stored and hashed.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// After returns the entry as the next one of a chain.
func (entry Entry) After(h Head) Entry {
	entry.Tenant, entry.N, entry.PrevHash = h.Tenant, h.N+1, h.Hash
	entry.Hash = entry.Sum()
	return entry
}

// Sum computes the entry's hash: SHA-256 over the previous entry's hash, then over every other member in the
// order of their declaration, each as its length in four bytes followed by its bytes. Ids are 16 bytes, texts
// UTF-8, seq and partition four bytes, n and off eight, times eight bytes of microseconds since 1970. All
// numbers are big-endian. docs/audit.md says the same for auditors who write a program of their own.
func (entry Entry) Sum() Hash {
	h := sha256.New()
	h.Write(entry.PrevHash[:])
	field(h, entry.Tenant[:])
	field(h, eight(entry.N))
	field(h, entry.Order[:])
	field(h, four(int32(entry.Seq)))
	field(h, entry.Event[:])
	field(h, []byte(entry.Type))
	field(h, eight(entry.At.UnixMicro()))
	field(h, eight(entry.SeenAt.UnixMicro()))
	field(h, entry.DataSHA256[:])
	field(h, entry.Topic[:])
	field(h, four(entry.Partition))
	field(h, eight(entry.Offset))
	return Hash(h.Sum(nil))
}

func field(h hash.Hash, b []byte) {
	h.Write(four(int32(len(b))))
	h.Write(b)
}

func four(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func eight(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
