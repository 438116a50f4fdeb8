package postgres

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

type fulfilUnitID = fulfil.UnitID

const (
	unitColumns = `order_id, id, item_id, payment_id, subject_id, kind, provider, state, step, try, undoing, sent, epoch, next_at,
		deadline_at, waited_ms, cause, progress, detail, claim_part, claim_ref`
	// Webhooks are many, and nothing to the order.
	sqlUnits = `
		SELECT ` + unitColumns + ` FROM saga_units
		WHERE tenant_id = $1 AND order_id = ANY ($2::uuid[]) AND kind <> ` + taskWebhook + ` ORDER BY order_id, id`
	// A unit that lives already for the same thing stands for the new one.
	sqlUnitsInsert = `
		INSERT INTO saga_units (tenant_id, ` + unitColumns + `)
		SELECT $1, x.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::smallint[], $8::text[], $9::smallint[],
			$10::smallint[], $11::smallint[], $12::boolean[], $13::boolean[], $14::bigint[], $15::timestamptz[], $16::timestamptz[],
			$17::bigint[], $18::uuid[], $19::smallint[], $20::text[], $21::text[], $22::text[]) AS x
		ON CONFLICT DO NOTHING`
	// The fence once more: the epoch is still the one that was read under the order's lock.
	sqlUnitsUpdate = `
		WITH hit AS (
			UPDATE saga_units u SET provider = x.provider, state = x.state, step = x.step, try = x.try, undoing = x.undoing, sent = x.sent,
				epoch = x.epoch, next_at = x.next_at, deadline_at = x.deadline_at, waited_ms = x.waited_ms, progress = x.progress,
				detail = x.detail, claim_part = x.claim_part, claim_ref = x.claim_ref
			FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::smallint[], $6::smallint[], $7::smallint[], $8::boolean[], $9::boolean[],
				$10::bigint[], $11::timestamptz[], $12::timestamptz[], $13::bigint[], $14::smallint[], $15::text[], $16::text[], $17::text[])
				AS x(id, was, provider, state, step, try, undoing, sent, epoch, next_at, deadline_at, waited_ms, progress, detail,
					claim_part, claim_ref)
			WHERE u.tenant_id = $1 AND u.id = x.id AND u.epoch = x.was RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = cardinality($2::uuid[]), 'unit moved under the lock of its order')`
)

// unitRow is a unit as it is stored, comparable.
type unitRow struct {
	order, id, item, payment, subject, cause pgtype.UUID
	kind, state, step, try, progress         int16
	queue, detail, claimPart, claimRef       string
	undoing, sent                            bool
	epoch, waited                            int64
	next, deadline                           pgtype.Timestamptz
}

func unitRowOf(u fulfil.Unit) unitRow {
	return unitRow{
		order: uid(u.Order), id: uid(u.ID), item: uid(u.Item), payment: uid(u.Payment), subject: uid(u.Subject), cause: uid(u.Cause),
		kind: int16(u.Kind), state: int16(u.State), step: int16(u.Step), try: int16(u.Try), progress: int16(u.Progress), queue: u.Queue, detail: u.Detail,
		undoing: u.Undoing, sent: u.Sent, epoch: u.Epoch, waited: u.Waited.Milliseconds(),
		next: stamp(u.NextAt), deadline: stamp(u.Deadline), claimPart: u.Claim.Part, claimRef: u.Claim.Ref,
	}
}

func scanUnit(r pgx.Rows) (fulfil.Unit, error) {
	var u fulfil.Unit
	var waited int64
	err := r.Scan(intoID(&u.Order), intoID(&u.ID), intoID(&u.Item), intoID(&u.Payment), intoID(&u.Subject), &u.Kind, &u.Queue, &u.State, &u.Step, &u.Try,
		&u.Undoing, &u.Sent, &u.Epoch, intoTime(&u.NextAt), intoTime(&u.Deadline), &waited, intoID(&u.Cause), &u.Progress, &u.Detail, &u.Claim.Part, &u.Claim.Ref)
	if err != nil {
		return u, fmt.Errorf("read unit: %w", err)
	}
	u.Waited = time.Duration(waited) * time.Millisecond
	return u, nil
}

func (l *loader) scanUnit(r pgx.Rows) error {
	u, err := scanUnit(r)
	if err != nil {
		return err
	}
	u.Tenant = l.tenant
	if d := l.byOrder[u.Order]; d != nil {
		d.Units = append(d.Units, u)
		l.loaded[d].units[u.ID] = unitRowOf(u)
	}
	return nil
}

// saveUnits writes what became of the known units before the new ones, so that a closed one makes
// room for its successor.
func (x *tx) saveUnits(d *app.Dossier) {
	was := x.loaded[d].units
	var added, changed []unitRow
	var epochs []int64
	for _, u := range d.Units {
		row := unitRowOf(u)
		old, known := was[u.ID]
		switch {
		case !known:
			added = append(added, row)
		case old != row:
			changed = append(changed, row)
			epochs = append(epochs, old.epoch)
		}
	}
	if len(changed) > 0 {
		x.queue(sqlUnitsUpdate, uid(x.tenant),
			column(changed, func(r *unitRow) pgtype.UUID { return r.id }), epochs,
			column(changed, func(r *unitRow) string { return r.queue }),
			column(changed, func(r *unitRow) int16 { return r.state }),
			column(changed, func(r *unitRow) int16 { return r.step }),
			column(changed, func(r *unitRow) int16 { return r.try }),
			column(changed, func(r *unitRow) bool { return r.undoing }),
			column(changed, func(r *unitRow) bool { return r.sent }),
			column(changed, func(r *unitRow) int64 { return r.epoch }),
			column(changed, func(r *unitRow) pgtype.Timestamptz { return r.next }),
			column(changed, func(r *unitRow) pgtype.Timestamptz { return r.deadline }),
			column(changed, func(r *unitRow) int64 { return r.waited }),
			column(changed, func(r *unitRow) int16 { return r.progress }),
			column(changed, func(r *unitRow) string { return r.detail }),
			column(changed, func(r *unitRow) string { return r.claimPart }),
			column(changed, func(r *unitRow) string { return r.claimRef }))
	}
	if len(added) > 0 {
		x.insertUnits(added)
	}
}

func (x *tx) insertUnits(rows []unitRow) {
	x.queue(sqlUnitsInsert, uid(x.tenant),
		column(rows, func(r *unitRow) pgtype.UUID { return r.order }),
		column(rows, func(r *unitRow) pgtype.UUID { return r.id }),
		column(rows, func(r *unitRow) pgtype.UUID { return r.item }),
		column(rows, func(r *unitRow) pgtype.UUID { return r.payment }),
		column(rows, func(r *unitRow) pgtype.UUID { return r.subject }),
		column(rows, func(r *unitRow) int16 { return r.kind }),
		column(rows, func(r *unitRow) string { return r.queue }),
		column(rows, func(r *unitRow) int16 { return r.state }),
		column(rows, func(r *unitRow) int16 { return r.step }),
		column(rows, func(r *unitRow) int16 { return r.try }),
		column(rows, func(r *unitRow) bool { return r.undoing }),
		column(rows, func(r *unitRow) bool { return r.sent }),
		column(rows, func(r *unitRow) int64 { return r.epoch }),
		column(rows, func(r *unitRow) pgtype.Timestamptz { return r.next }),
		column(rows, func(r *unitRow) pgtype.Timestamptz { return r.deadline }),
		column(rows, func(r *unitRow) int64 { return r.waited }),
		column(rows, func(r *unitRow) pgtype.UUID { return r.cause }),
		column(rows, func(r *unitRow) int16 { return r.progress }),
		column(rows, func(r *unitRow) string { return r.detail }),
		column(rows, func(r *unitRow) string { return r.claimPart }),
		column(rows, func(r *unitRow) string { return r.claimRef }))
}

const (
	sqlParts = `
		SELECT u.order_id, p.unit_id, p.part, p.generation, p.key, p.phase, p.refs, p.called_at, p.settle_until, p.absent_since
		FROM saga_units u JOIN saga_parts p ON p.tenant_id = u.tenant_id AND p.unit_id = u.id
		WHERE u.tenant_id = $1 AND u.order_id = ANY ($2::uuid[]) ORDER BY p.unit_id, p.generation, p.called_at, p.part`
	// refs come as JSON texts: unnest would flatten an array of arrays.
	sqlPartsPut = `
		INSERT INTO saga_parts (tenant_id, unit_id, part, generation, key, phase, refs, called_at, settle_until, absent_since)
		SELECT $1, x.unit_id, x.part, x.generation, x.key, x.phase, ARRAY(SELECT json_array_elements_text(x.refs::json)), x.called_at, x.settle_until, x.absent_since
		FROM unnest($2::uuid[], $3::text[], $4::int[], $5::text[], $6::smallint[], $7::text[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[])
			AS x(unit_id, part, generation, key, phase, refs, called_at, settle_until, absent_since)
		ON CONFLICT (tenant_id, unit_id, part, generation) DO UPDATE SET key = excluded.key, phase = excluded.phase, refs = excluded.refs,
			called_at = excluded.called_at, settle_until = excluded.settle_until, absent_since = excluded.absent_since`
)

// partKey names a line of the journal.
type partKey struct {
	unit       fulfilUnitID
	part       string
	generation int
}

// partRow is a line of the journal as it is stored, comparable.
type partRow struct {
	unit                   pgtype.UUID
	part, key, refs        string
	generation             int32
	phase                  int16
	called, settle, absent pgtype.Timestamptz
}

func partRowOf(p *fulfil.Part) partRow {
	return partRow{
		unit: uid(p.Unit), part: p.Part, key: p.Key, refs: jsonTexts(p.Refs), generation: int32(p.Generation), phase: int16(p.Phase),
		called: stamp(p.CalledAt), settle: stamp(p.SettleUntil), absent: stamp(p.AbsentSince),
	}
}

func (l *loader) scanPart(r pgx.Rows) error {
	var o order.ID
	p, err := scanPart(r, &o)
	if err != nil {
		return err
	}
	if d := l.byOrder[o]; d != nil {
		d.Parts = append(d.Parts, p)
		l.loaded[d].parts[partKey{p.Unit, p.Part, p.Generation}] = partRowOf(&p)
	}
	return nil
}

func scanPart(r pgx.Rows, o *order.ID) (fulfil.Part, error) {
	var p fulfil.Part
	err := r.Scan(intoID(o), intoID(&p.Unit), &p.Part, &p.Generation, &p.Key, &p.Phase, &p.Refs, intoTime(&p.CalledAt), intoTime(&p.SettleUntil), intoTime(&p.AbsentSince))
	if err != nil {
		return p, fmt.Errorf("read part: %w", err)
	}
	if len(p.Refs) == 0 {
		p.Refs = nil
	}
	return p, nil
}

func (x *tx) saveParts(d *app.Dossier) {
	was := x.loaded[d].parts
	var rows []partRow
	for i := range d.Parts {
		p := &d.Parts[i]
		if row := partRowOf(p); was[partKey{p.Unit, p.Part, p.Generation}] != row {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return
	}
	x.queue(sqlPartsPut, uid(x.tenant),
		column(rows, func(r *partRow) pgtype.UUID { return r.unit }),
		column(rows, func(r *partRow) string { return r.part }),
		column(rows, func(r *partRow) int32 { return r.generation }),
		column(rows, func(r *partRow) string { return r.key }),
		column(rows, func(r *partRow) int16 { return r.phase }),
		column(rows, func(r *partRow) string { return r.refs }),
		column(rows, func(r *partRow) pgtype.Timestamptz { return r.called }),
		column(rows, func(r *partRow) pgtype.Timestamptz { return r.settle }),
		column(rows, func(r *partRow) pgtype.Timestamptz { return r.absent }))
}
