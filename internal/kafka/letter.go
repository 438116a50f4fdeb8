package kafka

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
)

// letter is a dead letter of the saga as it stands on its topic: what failed and how often, by ids
// and closed codes. The work itself stays in the database; its hash tells it apart.
type letter struct {
	ID            string    `json:"id"`
	TenantID      string    `json:"tenant_id"`
	OrderID       string    `json:"order_id"`
	ItemID        string    `json:"item_id,omitempty"`
	UnitID        string    `json:"unit_id,omitempty"`
	Source        string    `json:"source"`
	Class         string    `json:"class"`
	Code          string    `json:"code"`
	Step          string    `json:"step,omitempty"`
	Attempts      int       `json:"attempts"`
	PayloadSHA256 string    `json:"payload_sha256"`
	FirstFailedAt time.Time `json:"first_failed_at"`
	At            time.Time `json:"at"`
}

func letterRecord(topic string, row app.OutboxRow) (*kgo.Record, error) {
	l, tenant, order := row.Letter, row.Record.Tenant.String(), row.Record.Order.String()
	v := letter{
		ID: l.ID.String(), TenantID: tenant, OrderID: order, Source: l.Source, Class: l.Class.String(), Code: l.Code, Step: l.Step, Attempts: l.Attempts,
		PayloadSHA256: hex.EncodeToString(l.PayloadSHA256[:]), FirstFailedAt: l.FirstFailedAt.UTC(), At: l.At.UTC(),
	}
	if !l.Item.IsZero() {
		v.ItemID = l.Item.String()
	}
	if !l.Unit.IsZero() {
		v.UnitID = l.Unit.String()
	}
	value, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode dead letter %s: %w", l.ID, err)
	}
	rec := &kgo.Record{Topic: topic, Key: []byte(order), Value: value}
	for _, h := range [][2]string{
		{"ce_tenantid", tenant},
		{"ce_subject", order},
		{"content-type", "application/json"},
		{"dlq.attempts", strconv.Itoa(l.Attempts)},
		{"dlq.error-class", v.Class},
		{"dlq.error-message", l.Code},
		{"dlq.first-failed-at", v.FirstFailedAt.Format(time.RFC3339Nano)},
	} {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	return rec, nil
}
