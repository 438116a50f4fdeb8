package auditlog

import (
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Kind is the kind of a finding. The names are stored and never change.
type Kind string

// The kinds. docs/runbook.md says what to do about each.
const (
	Gap       Kind = "gap"       // a number was skipped: a record before this one was never seen
	Duplicate Kind = "duplicate" // an event is on the topic a second time
	Misplaced Kind = "order"     // a record came after a later one of its order
	Conflict  Kind = "conflict"  // the number was seen before with other content
	Foreign   Kind = "foreign"   // the record cannot be ours: the guard refused it, or its tenant does not exist
)

// Kinds lists all of them.
func Kinds() []Kind { return []Kind{Gap, Duplicate, Misplaced, Conflict, Foreign} }

// Fresh reports whether a record with such a finding still continues the chain.
func (k Kind) ContinuesChain() bool { return k == Gap || k == Misplaced }

// Finding is one thing that is wrong with the topic. Its kind and its place on the topic identify it, so that
// the same record read again gives the same finding. A foreign one has no order, because the record's claim
// cannot be trusted, and the zero tenant where the record names no usable one.
type Finding struct {
	Tenant    tenant.ID `json:"tenant_id"`
	Kind      Kind      `json:"kind"`
	Topic     TopicID   `json:"topic_id"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"off"`
	Order     order.ID  `json:"order_id"`
	Seq       int       `json:"seq"`
	Detail    string    `json:"detail"`
	At        time.Time `json:"at"`
}

// about makes a finding of a record.
func (entry Entry) about(k Kind, format string, args ...any) *Finding {
	return &Finding{
		Tenant: entry.Tenant, Kind: k, Topic: entry.Topic, Partition: entry.Partition, Offset: entry.Offset,
		Order: entry.Order, Seq: entry.Seq, Detail: fmt.Sprintf(format, args...), At: entry.SeenAt,
	}
}

// Stranger returns the finding about a record whose tenant does not exist. It belongs to no tenant.
func UnknownTenant(entry Entry) Finding {
	f := *entry.about(Foreign, "tenant-unknown: there is no tenant %s", entry.Tenant)
	f.Tenant, f.Order, f.Seq = tenant.ID{}, order.ID{}, 0
	return f
}

// Judge checks a record against the entries of its order. known is the entry with the same number, last the one
// with the highest number; each is nil when there is none. A fresh record continues the chain even when there
// is a finding, because the log says what the topic carried. A record that is not fresh adds no entry; without
// a finding it is a redelivery, or the same record on a rebuilt topic.
func Check(entry Entry, known, last *Entry) (fresh bool, f *Finding) {
	if known != nil {
		return false, entry.repeats(known)
	}
	before := 0
	if last != nil {
		before = last.Seq
	}
	switch {
	case entry.Seq > before+1:
		return true, entry.about(Gap, "number %d came after %d", entry.Seq, before)
	case entry.Seq < before && entry.Topic == last.Topic: // on a rebuilt topic it is one that the old topic lacked
		return true, entry.about(Misplaced, "number %d came after %d", entry.Seq, before)
	}
	return true, nil
}

// repeats compares a record with the entry of the same number; nil when it is only a redelivery.
func (entry Entry) repeats(known *Entry) *Finding {
	switch {
	case entry.DataSHA256 != known.DataSHA256:
		return entry.about(Conflict, "number %d has data of hash %s; n %d has %s",
			entry.Seq, entry.DataSHA256, known.N, known.DataSHA256)
	case entry.Event != known.Event || entry.Type != known.Type || !entry.At.Equal(known.At):
		return entry.about(Conflict, "number %d is event %s %s of %s; n %d is %s %s of %s",
			entry.Seq, entry.Event, entry.Type, entry.At.Format(time.RFC3339Nano),
			known.N, known.Event, known.Type, known.At.Format(time.RFC3339Nano))
	case entry.Topic == known.Topic && (entry.Partition != known.Partition || entry.Offset != known.Offset):
		return entry.about(Duplicate, "number %d is at %d/%d already (n %d)",
			entry.Seq, known.Partition, known.Offset, known.N)
	}
	return nil
}
