package witness

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

// Fresh tells whether a record with such a finding continues the chain all the same.
func (k Kind) Fresh() bool { return k == Gap || k == Misplaced }

// Finding is one thing that is wrong about the topic. Its kind and place name it: the same record read
// again is the same finding. A foreign one has no order that could be believed, and without a usable tenant
// it is the zero tenant's.
type Finding struct {
	Tenant    tenant.ID `json:"tenant_id"`
	Kind      Kind      `json:"kind"`
	Topic     TopicID   `json:"topic_id"`
	Partition int32     `json:"part"`
	Offset    int64     `json:"off"`
	Order     order.ID  `json:"order_id"`
	Seq       int       `json:"seq"`
	Detail    string    `json:"detail"`
	At        time.Time `json:"at"`
}

// about makes a finding of a record.
func (l Link) about(k Kind, format string, args ...any) *Finding {
	return &Finding{
		Tenant: l.Tenant, Kind: k, Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Order: l.Order, Seq: l.Seq,
		Detail: fmt.Sprintf(format, args...), At: l.SeenAt,
	}
}

// Stranger is the finding of a record whose tenant is none of ours: it is nobody's.
func Stranger(l Link) Finding {
	f := *l.about(Foreign, "tenant-unknown: there is no tenant %s", l.Tenant)
	f.Tenant, f.Order, f.Seq = tenant.ID{}, order.ID{}, 0
	return f
}

// Judge tells what a record is beside what was seen of its order before: known is the link of the same
// number, last the one with the highest; nil when there is none. A fresh record continues the chain, and
// does so even with a finding: the log says what the topic carried. What is not fresh changes nothing;
// without a finding it is a redelivery, or a rebuilt topic that tells the same again.
func Judge(l Link, known, last *Link) (fresh bool, f *Finding) {
	if known != nil {
		return false, l.repeats(known)
	}
	before := 0
	if last != nil {
		before = last.Seq
	}
	switch {
	case l.Seq > before+1:
		return true, l.about(Gap, "number %d came after %d", l.Seq, before)
	case l.Seq < before && l.Topic == last.Topic: // of a rebuilt topic it is what the one before it lacked
		return true, l.about(Misplaced, "number %d came after %d", l.Seq, before)
	}
	return true, nil
}

// repeats compares a record with the link of the same number.
func (l Link) repeats(k *Link) *Finding {
	switch {
	case l.DataSHA256 != k.DataSHA256:
		return l.about(Conflict, "number %d has data of hash %s; n %d has %s", l.Seq, l.DataSHA256, k.N, k.DataSHA256)
	case l.Event != k.Event || l.Type != k.Type || !l.At.Equal(k.At):
		return l.about(Conflict, "number %d is event %s %s of %s; n %d is %s %s of %s", l.Seq, l.Event, l.Type, l.At.Format(time.RFC3339Nano), k.N, k.Event, k.Type, k.At.Format(time.RFC3339Nano))
	case l.Topic == k.Topic && (l.Partition != k.Partition || l.Offset != k.Offset):
		return l.about(Duplicate, "number %d stood at %d/%d already (n %d)", l.Seq, k.Partition, k.Offset, k.N)
	}
	return nil
}
