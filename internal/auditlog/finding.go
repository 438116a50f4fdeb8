package auditlog

import (
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Kind of a finding. The names are stored and never change.
type Kind string

// The kinds. docs/runbook.md says what to do about each.
const (
	Gap       Kind = "gap"       // a record is later than the next one due: one before it was never seen
	Duplicate Kind = "duplicate" // an event stands on the topic a second time
	Misplaced Kind = "order"     // a record came behind a later one of its order
	Conflict  Kind = "conflict"  // a number was seen before with other content
	Foreign   Kind = "foreign"   // a record that cannot be ours: the guard refused it, or there is no such tenant
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Gap, Duplicate, Misplaced, Conflict, Foreign} }

// Fresh reports whether a record with such a finding continues the chain all the same.
func (k Kind) Fresh() bool { return k == Gap || k == Misplaced }

// Finding is one thing that is wrong about the topic. Its kind and place name it: the same record read
// again is the same finding. A foreign one has no order that could be believed, and without a usable tenant
// it is the zero tenant's.
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
		Order: entry.Order, Seq: entry.Seq,
		Detail: fmt.Sprintf(format, args...), At: entry.SeenAt,
	}
}

// Stranger is the finding of a record whose tenant is none of ours: it is nobody's.
func Stranger(entry Entry) Finding {
	f := *entry.about(Foreign, "tenant-unknown: there is no tenant %s", entry.Tenant)
	f.Tenant, f.Order, f.Seq = tenant.ID{}, order.ID{}, 0
	return f
}

// Judge tells what a record is beside what was seen of its order before: known is the link of the same
// number, last the one with the highest; nil when there is none. A fresh record continues the chain, and
// does so even with a finding: the log says what the topic carried. What is not fresh changes nothing;
// without a finding it is a redelivery, or a rebuilt topic that tells the same again.
func Judge(entry Entry, known, last *Entry) (fresh bool, f *Finding) {
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
	case entry.Seq < before && entry.Topic == last.Topic: // of a rebuilt topic it is what the one before it lacked
		return true, entry.about(Misplaced, "number %d came after %d", entry.Seq, before)
	}
	return true, nil
}

// repeats compares a record with the link of the same number.
func (entry Entry) repeats(k *Entry) *Finding {
	switch {
	case entry.DataSHA256 != k.DataSHA256:
		return entry.about(Conflict, "number %d has data of hash %s; n %d has %s", entry.Seq, entry.DataSHA256, k.N,
			k.DataSHA256)
	case entry.Event != k.Event || entry.Type != k.Type || !entry.At.Equal(k.At):
		return entry.about(Conflict, "number %d is event %s %s of %s; n %d is %s %s of %s", entry.Seq, entry.Event,
			entry.Type, entry.At.Format(time.RFC3339Nano), k.N, k.Event, k.Type, k.At.Format(time.RFC3339Nano))
	case entry.Topic == k.Topic && (entry.Partition != k.Partition || entry.Offset != k.Offset):
		return entry.about(Duplicate, "number %d stood at %d/%d already (n %d)", entry.Seq, k.Partition, k.Offset, k.N)
	}
	return nil
}
