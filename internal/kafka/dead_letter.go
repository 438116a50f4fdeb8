package kafka

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
)

// deadLetter is the value of a dead letter of the saga on its topic. It says by ids and codes of
// closed sets what failed and how often. The work itself stays in the database; its hash identifies it.
type deadLetter struct {
	ID            string    `json:"id"`
	TenantID      string    `json:"tenant_id"`
	OrderID       string    `json:"order_id"`
	ItemID        string    `json:"item_id,omitempty"`
	TaskID        string    `json:"task_id,omitempty"`
	Source        string    `json:"source"`
	Class         string    `json:"class"`
	Code          string    `json:"code"`
	Step          string    `json:"step,omitempty"`
	Attempts      int       `json:"attempts"`
	PayloadSHA256 string    `json:"payload_sha256"`
	FirstFailedAt time.Time `json:"first_failed_at"`
	At            time.Time `json:"at"`
}

// parkedRecord returns the record of an event that a consumer has parked: the record as it was
// published, byte for byte, with additional headers that say where it came from and why it was parked.
// An event that was blocked behind another is read from the database when it is tried, so it has no
// partition and offset.
func parkedRecord(names Names, row app.OutboxRow) *kgo.Record {
	l, e := row.DeadLetter, row.DeadLetter.Event
	m := event.Encode(row.Record)
	rec := &kgo.Record{Topic: names.Parked(e.Consumer), Key: m.Key, Value: m.Value}
	add := func(key string, value []byte) {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: key, Value: value})
	}
	for _, h := range m.Headers {
		add(h.Key, h.Value)
	}
	add("dlq.original-topic", []byte(names.Events))
	if e.TopicID != [16]byte{} {
		add("dlq.original-partition", strconv.AppendInt(nil, int64(e.Partition), 10))
		add("dlq.original-offset", strconv.AppendInt(nil, e.Offset, 10))
		add("dlq.original-timestamp", strconv.AppendInt(nil, e.LoggedAt.UnixMilli(), 10))
	}
	add("dlq.consumer-group", []byte(names.Group(e.Consumer)))
	for _, h := range failure(l) {
		add(h[0], []byte(h[1]))
	}
	return rec
}

// failure returns the headers with which every dead letter describes its failure. The message is a
// code of a closed set.
func failure(l *app.DeadLetter) [][2]string {
	return [][2]string{
		{"dlq.attempts", strconv.Itoa(l.Attempts)},
		{"dlq.error-class", l.Class.String()},
		{"dlq.error-message", l.Message()},
		{"dlq.first-failed-at", l.FirstFailedAt.UTC().Format(time.RFC3339Nano)},
	}
}

func deadLetterRecord(names Names, row app.OutboxRow) (*kgo.Record, error) {
	if row.DeadLetter.Event.Consumer != "" {
		return parkedRecord(names, row), nil
	}
	l, tenant, order := row.DeadLetter, row.Record.Tenant.String(), row.Record.Order.String()
	v := deadLetter{
		ID: l.ID.String(), TenantID: tenant, OrderID: order,
		Source: l.Source, Class: l.Class.String(), Code: l.Code, Step: l.Step, Attempts: l.Attempts,
		PayloadSHA256: hex.EncodeToString(l.PayloadSHA256[:]),
		FirstFailedAt: l.FirstFailedAt.UTC(), At: l.At.UTC(),
	}
	if !l.Item.IsZero() {
		v.ItemID = l.Item.String()
	}
	if !l.Task.IsZero() {
		v.TaskID = l.Task.String()
	}
	value, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode dead letter %s: %w", l.ID, err)
	}
	rec := &kgo.Record{Topic: names.DeadLetters, Key: []byte(order), Value: value}
	for _, h := range append([][2]string{
		{"ce_tenantid", tenant},
		{"ce_subject", order},
		{"content-type", "application/json"},
	}, failure(l)...) {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	return rec, nil
}
