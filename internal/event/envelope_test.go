package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	t.Parallel()
	for typ, r := range examples(t) {
		m := event.Encode(r)
		got, err := event.Decode(m.Headers, m.Value)
		if err != nil {
			t.Errorf("Decode(Encode(%s)) = %v", typ, err)
			continue
		}
		if diff := cmp.Diff(r, got.Record); diff != "" {
			t.Errorf("%s (-written +read):\n%s", typ, diff)
		}
	}
}

// structuredOf returns a message in structured mode: one JSON document.
func structuredOf(m event.Message) ([]event.Header, []byte) {
	doc := map[string]any{"data": json.RawMessage(m.Value), "datacontenttype": "application/json"}
	for _, h := range m.Headers {
		if name, ok := cutCE(h.Key); ok {
			doc[name] = string(h.Value)
		}
	}
	for _, h := range m.Headers {
		if h.Key == "traceparent" {
			doc["traceparent"] = string(h.Value)
		}
	}
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return []event.Header{{Key: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}}, body
}

func cutCE(key string) (string, bool) {
	if len(key) > 3 && key[:3] == "ce_" {
		return key[3:], true
	}
	return "", false
}

func TestStructuredModeIsReadLikeBinaryMode(t *testing.T) {
	t.Parallel()
	r := examples(t)[order.EvServiceDelivered]
	m := event.Encode(r)
	headers, body := structuredOf(m)
	got, err := event.Decode(headers, body)
	if err != nil {
		t.Fatalf("Decode(structured) = %v", err)
	}
	if diff := cmp.Diff(r, got.Record); diff != "" {
		t.Errorf("(-binary +structured):\n%s", diff)
	}
	if _, err := event.Decode(append(headers, m.Headers[7]), body); err != nil { // the same tenant again, in a header
		t.Errorf("Decode(structured, with an equal header) = %v", err)
	}
	contradicting := append(headers, event.Header{
		Key: "ce_tenantid", Value: []byte("01900000-0000-7000-8000-00000000000b"),
	})
	wantRefused(t, "header contradicts document", contradicting, body, event.RefusedUndecodable)
}

func wantRefused(t *testing.T, name string, headers []event.Header, value []byte, want event.RefusalCode) {
	t.Helper()
	_, err := event.Decode(headers, value)
	var r *event.Refused
	if !errors.As(err, &r) || r.Code != want {
		t.Errorf("%s: Decode() = %v, want %s", name, err, want)
	}
}

func TestGuardRefusesWhatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	const other = "01900000-0000-7000-8000-00000000000b"
	set := func(pairs ...string) func(event.Message) event.Message {
		return func(m event.Message) event.Message {
			for i := range m.Headers {
				for p := 0; p < len(pairs); p += 2 {
					if m.Headers[i].Key == pairs[p] {
						m.Headers[i].Value = []byte(pairs[p+1])
					}
				}
			}
			return m
		}
	}
	drop := func(key string) func(event.Message) event.Message {
		return func(m event.Message) event.Message {
			m.Headers = slices.DeleteFunc(m.Headers, func(h event.Header) bool { return h.Key == key })
			return m
		}
	}
	value := func(v string) func(event.Message) event.Message {
		return func(m event.Message) event.Message { m.Value = []byte(v); return m }
	}
	for _, tc := range []struct {
		name  string
		spoil func(event.Message) event.Message
		want  event.RefusalCode
	}{
		{"no headers at all", func(m event.Message) event.Message { m.Headers = nil; return m }, "tenant-missing"},
		{"no tenant", drop("ce_tenantid"), "tenant-missing"},
		{"empty tenant", set("ce_tenantid", ""), "tenant-missing"},
		{"tenant is no UUID", set("ce_tenantid", "*"), "tenant-malformed"},
		{"nil tenant", set("ce_tenantid", "00000000-0000-0000-0000-000000000000"), "tenant-malformed"},
		{"another tenant than the data's", set("ce_tenantid", other), "tenant-mismatch"},
		{"two tenants", func(m event.Message) event.Message {
			m.Headers = append(m.Headers, event.Header{Key: "CE_TenantID", Value: []byte(other)})
			return m
		}, "undecodable"},
		{"another order than the data's", set("ce_subject", other, "ce_partitionkey", other), "subject-mismatch"},
		{"partition key of another order", set("ce_partitionkey", other), "subject-mismatch"},
		{"no subject", drop("ce_subject"), "subject-mismatch"},
		{"another number than the data's", set("ce_sequence", "0000000099"), "sequence-mismatch"},
		{"number zero", set("ce_sequence", "0000000000"), "sequence-mismatch"},
		{"negative number", set("ce_sequence", "-000000001"), "sequence-mismatch"},
		{"number that overflows", set("ce_sequence", "99999999999999999999"), "sequence-mismatch"},
		{"no number", drop("ce_sequence"), "sequence-mismatch"},
		{"type without a route", set("ce_type", "order.exploded"), "unknown-type"},
		{"no type", drop("ce_type"), "unknown-type"},
		{"next major version", set("ce_dataschema", "/schemas/events/order.created/2.json"), "unknown-version"},
		{"schema of another type", set("ce_dataschema", "/schemas/events/order.updated/1.json"), "unknown-version"},
		{"another CloudEvents version", set("ce_specversion", "0.3"), "undecodable"},
		{"another source", set("ce_source", "/invoices"), "undecodable"},
		{"no id", drop("ce_id"), "undecodable"},
		{"no time", drop("ce_time"), "undecodable"},
		{"causation is no UUID", set("ce_causationid", "x"), "undecodable"},
		{"data is XML", set("content-type", "application/xml"), "undecodable"},
		{"data is truncated", value(`{"tenant_id":`), "undecodable"},
		{"data is empty", value(""), "undecodable"},
		{"data is null", value("null"), "tenant-mismatch"},
		{"structured in Avro", set("content-type", "application/cloudevents+avro"), "undecodable"},
		{"structured without data", func(m event.Message) event.Message {
			m.Headers = []event.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}
			m.Value = []byte(`{"tenantid":"` + other + `"}`)
			return m
		}, "undecodable"},
	} {
		m := tc.spoil(event.Encode(withCause(examples(t)[order.EvCreated])))
		wantRefused(t, tc.name, m.Headers, m.Value, tc.want)
	}
}

func withCause(r event.Record) event.Record {
	r.Causation = r.ID
	return r
}

func TestRefusalQuotesNothingOfTheMessage(t *testing.T) {
	t.Parallel()
	m := event.Encode(examples(t)[order.EvCreated])
	for i := range m.Headers {
		if m.Headers[i].Key == "ce_tenantid" {
			m.Headers[i].Value = []byte("hunter2")
		}
	}
	_, err := event.Decode(m.Headers, m.Value)
	if got, want := fmt.Sprint(err), "tenant-malformed: tenantid is not a UUID"; got != want {
		t.Errorf("Decode() = %q, want %q", got, want)
	}
}

// Whatever the message is, Decode does not panic, and does not accept attributes that contradict the data.
func FuzzDecode(f *testing.F) {
	f.Add("application/cloudevents+json", "", `{"specversion":"1.0"}`)
	f.Add("application/json", "01900000-0000-7000-8000-00000000000a",
		`{"tenant_id":"01900000-0000-7000-8000-00000000000a"}`)
	f.Fuzz(func(t *testing.T, contentType, tenant, value string) {
		headers := []event.Header{
			{Key: "content-type", Value: []byte(contentType)}, {Key: "ce_tenantid", Value: []byte(tenant)},
		}
		ev, err := event.Decode(headers, []byte(value))
		if err == nil && (ev.Tenant != ev.Payload.TenantID || ev.Order != ev.Payload.OrderID || ev.Seq != ev.Payload.Seq) {
			t.Errorf("accepted %q %q", headers, value)
		}
		var r *event.Refused
		if err != nil && !errors.As(err, &r) {
			t.Errorf("Decode() = %v, which is no refusal", err)
		}
	})
}
