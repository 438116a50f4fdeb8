package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// The envelope is CloudEvents 1.0 in the binary mode of its Kafka binding: attributes are headers
// named ce_…, and the value is the stored data, unchanged. Decode also accepts the structured mode, which
// is one JSON document.
// See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md.

// Major is the current major version of every payload. Members are only ever added to it. A breaking
// change would be published as a second version beside it.
const Major = 1

// Values of every envelope.
const (
	specVersion = "1.0"
	source      = "/orders"
	jsonType    = "application/json"
	structured  = "application/cloudevents+json"
)

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Message is a record as a broker carries it.
type Message struct {
	Key     []byte // the order's id: all events of an order share a partition, which keeps their order
	Headers []Header
	Value   []byte
}

// RefusalCode says why a message is refused. The codes are stored and never change.
type RefusalCode string

// The codes.
const (
	RefusedTenantMissing   RefusalCode = "tenant-missing"
	RefusedTenantMalformed RefusalCode = "tenant-malformed"
	RefusedTenantMismatch  RefusalCode = "tenant-mismatch" // of the header with the data or with the database
	RefusedSubject         RefusalCode = "subject-mismatch"
	RefusedSequence        RefusalCode = "sequence-mismatch"
	RefusedUnknownType     RefusalCode = "unknown-type"
	RefusedUnknownVersion  RefusalCode = "unknown-version"
	RefusedUndecodable     RefusalCode = "undecodable"
)

// Refused is the error of Decode for a message that must not be applied.
type Refused struct {
	Code   RefusalCode
	Detail string // it names attributes, but quotes nothing else of the message
}

// Error returns the code and its detail.
func (r *Refused) Error() string { return string(r.Code) + ": " + r.Detail }

func refuse(code RefusalCode, format string, args ...any) error {
	return &Refused{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// SchemaPath returns the path at which the API serves the JSON Schema of a type's data. It is the value of
// ce_dataschema.
func SchemaPath(t Type) string {
	return schemaPrefix + string(t) + "/" + strconv.Itoa(Major) + ".json"
}

const schemaPrefix = "/schemas/events/"

// Encode returns the message of a record, in binary mode.
func Encode(r Record) Message {
	m := Message{Key: []byte(r.Order.String()), Value: r.Data}
	add := func(key, value string) {
		if value != "" {
			m.Headers = append(m.Headers, Header{Key: key, Value: []byte(value)})
		}
	}
	add("ce_specversion", specVersion)
	add("ce_id", r.ID.String())
	add("ce_source", source)
	add("ce_type", string(r.Type))
	add("ce_subject", r.Order.String())
	add("ce_time", r.At.UTC().Format(time.RFC3339Nano))
	add("ce_dataschema", SchemaPath(r.Type))
	add("ce_tenantid", r.Tenant.String())
	add("ce_partitionkey", r.Order.String())
	add("ce_sequence", fmt.Sprintf("%010d", r.Seq)) // the extension requires a text that sorts
	add("ce_causationid", idText(r.Causation))
	add("ce_correlationid", idText(r.Correlation))
	add("traceparent", r.Traceparent)
	add("content-type", jsonType)
	return m
}

func idText(i ID) string {
	if i.IsZero() {
		return ""
	}
	return i.String()
}

// Decode reads a message and is the guard before every consumer. It returns *Refused if the tenant is
// missing or malformed, if attributes and data contradict each other, or if the type is unknown. Whether
// the tenant really has this order is checked by the database when the event is applied.
func Decode(headers []Header, value []byte) (Event, error) {
	a, data, err := attributes(headers, value)
	if err != nil {
		return Event{}, err
	}
	ev, err := a.record()
	if err != nil {
		return Event{}, err
	}
	if err := json.Unmarshal(data, &ev.Payload); err != nil {
		return Event{}, refuse(RefusedUndecodable, "the data is not what the type's schema says")
	}
	p := &ev.Payload
	switch {
	case p.TenantID != ev.Tenant:
		return Event{}, refuse(RefusedTenantMismatch, "tenantid is not data.tenant_id")
	case p.OrderID != ev.Order:
		return Event{}, refuse(RefusedSubject, "subject is not data.order_id")
	case p.Seq != ev.Seq:
		return Event{}, refuse(RefusedSequence, "sequence is not data.seq")
	}
	ev.Actor, ev.Data = p.Actor, data
	return ev, nil
}

// attrs are an envelope's attributes by their CloudEvents names.
type attrs map[string]string

// attributes reads the envelope of either mode and returns it with the data.
func attributes(headers []Header, value []byte) (attrs, json.RawMessage, error) {
	a := attrs{}
	for _, h := range headers {
		name, isAttribute := strings.CutPrefix(strings.ToLower(h.Key), "ce_")
		switch {
		case isAttribute:
		case name == "content-type":
			name = "datacontenttype"
		case name == "traceparent":
		default:
			continue
		}
		if err := a.set(name, string(h.Value)); err != nil {
			return nil, nil, err
		}
	}
	if !strings.HasPrefix(strings.ToLower(a["datacontenttype"]), "application/cloudevents") {
		return a, value, nil
	}
	media, _, _ := strings.Cut(strings.ToLower(a["datacontenttype"]), ";")
	if strings.TrimSpace(media) != structured {
		return nil, nil, refuse(RefusedUndecodable, "a structured message must be JSON")
	}
	delete(a, "datacontenttype") // it is that of the document, not of the data
	return a.document(value)
}

// document adds the attributes of a structured message, and returns its data. Headers may repeat the
// attributes but must not contradict them.
func (a attrs) document(value []byte) (attrs, json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil {
		return nil, nil, refuse(RefusedUndecodable, "the structured message is not a JSON object")
	}
	data, ok := members["data"]
	if !ok {
		return nil, nil, refuse(RefusedUndecodable, "the structured message has no data member")
	}
	delete(members, "data")
	for name, raw := range members {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, nil, refuse(RefusedUndecodable, "an attribute of the structured message is not a text")
		}
		if err := a.set(name, text); err != nil {
			return nil, nil, err
		}
	}
	return a, data, nil
}

// set sets an attribute. It refuses a second value: we must not guess which of two tenants is meant.
func (a attrs) set(name, value string) error {
	if old, ok := a[name]; ok && old != value {
		return refuse(RefusedUndecodable, "an attribute has two values")
	}
	a[name] = value
	return nil
}

// record makes an event of the attributes. It reads the tenant first, because all else belongs to it.
func (a attrs) record() (Event, error) {
	var (
		ev  Event
		err error
	)
	text, ok := a["tenantid"]
	if !ok || text == "" {
		return ev, refuse(RefusedTenantMissing, "there is no tenantid")
	}
	if ev.Tenant, err = id.Parse[tenant.Tenant](text); err != nil || ev.Tenant.IsZero() {
		return ev, refuse(RefusedTenantMalformed, "tenantid is not a UUID")
	}
	if a["specversion"] != specVersion || a["source"] != source {
		return ev, refuse(RefusedUndecodable, "specversion or source is not ours")
	}
	if ct, ok := a["datacontenttype"]; ok && !isJSON(ct) {
		return ev, refuse(RefusedUndecodable, "the data is not JSON")
	}
	ev.Type = Type(a["type"])
	if !Known(ev.Type) {
		return ev, refuse(RefusedUnknownType, "this type is not in the routing matrix")
	}
	if a["dataschema"] != SchemaPath(ev.Type) {
		return ev, refuse(RefusedUnknownVersion, "dataschema is not that of version %d of the type", Major)
	}
	if ev.Order, err = id.Parse[order.Order](a["subject"]); err != nil {
		return ev, refuse(RefusedSubject, "subject is not a UUID")
	}
	if key, ok := a["partitionkey"]; ok && key != a["subject"] {
		return ev, refuse(RefusedSubject, "partitionkey is not the subject")
	}
	if ev.Seq, err = sequence(a["sequence"]); err != nil {
		return ev, refuse(RefusedSequence, "sequence is not a positive number")
	}
	if ev.ID, err = id.Parse[order.Event](a["id"]); err != nil || ev.ID.IsZero() {
		return ev, refuse(RefusedUndecodable, "id is not a UUID")
	}
	if ev.At, err = time.Parse(time.RFC3339Nano, a["time"]); err != nil {
		return ev, refuse(RefusedUndecodable, "time is not RFC 3339")
	}
	if ev.Causation, err = optionalID(a["causationid"]); err != nil {
		return ev, refuse(RefusedUndecodable, "causationid is not a UUID")
	}
	if ev.Correlation, err = optionalID(a["correlationid"]); err != nil {
		return ev, refuse(RefusedUndecodable, "correlationid is not a UUID")
	}
	ev.At, ev.Traceparent = ev.At.UTC(), a["traceparent"]
	return ev, nil
}

func isJSON(mediaType string) bool {
	media, _, _ := strings.Cut(mediaType, ";")
	return strings.EqualFold(strings.TrimSpace(media), jsonType)
}

var errSequence = errors.New("not a sequence number")

func sequence(s string) (int, error) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, errSequence
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 {
		return 0, errSequence
	}
	return int(n), nil
}

func optionalID(s string) (ID, error) {
	if s == "" {
		return ID{}, nil
	}
	return id.Parse[order.Event](s)
}
