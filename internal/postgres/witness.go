package postgres

import (
	"crypto/sha256"

	"github.com/platforma-cloud/orders/internal/app"
)

// The key is the witness's own inbox: the same event again changes nothing.
const sqlWitness = `
	INSERT INTO audit_log (tenant_id, order_id, seq, event_id, type, at, seen_at, data_sha256, part, off)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant_id, order_id, seq) DO NOTHING`

// Witness queues a row of the witness log.
func (x *tx) Witness(w app.WitnessRow) {
	hash := sha256.Sum256(w.Event.Data)
	x.queue(sqlWitness, uid(x.tenant), uid(w.Event.Order), w.Event.Seq, uid(w.Event.ID), string(w.Event.Type), stamp(w.Event.At), stamp(w.At), hash[:], w.Event.Partition, w.Event.Offset)
}
