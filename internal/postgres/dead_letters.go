package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
)

type deadLetterID = id.Of[app.DeadLetter]

const (
	deadLetterColumns = `id, order_id, item_id, task_id, source, class, error_code, detail, step, attempts,
		payload_sha256, state, first_failed_at, at, closed_at, reason, abandon_reason, abandon_text, proof, first_by,
		first_at, second_by, consumer, seq, event_id, event_type, topic_id, part, off, logged_at`
	// A parked event also has the number of events that are blocked behind it, and whether a redrive is under way.
	deadLetterRead = deadLetterColumns + `,
		(SELECT i.blocked
			FROM inbox i
			WHERE i.tenant_id = dead_letters.tenant_id
				AND i.order_id = dead_letters.order_id
				AND i.consumer = dead_letters.consumer
				AND i.parked_seq = dead_letters.seq
				AND dead_letters.state = ` + deadLetterParked + `),
		source = 'event' AND state = ` + deadLetterParked + ` AND EXISTS (
			SELECT FROM saga_tasks u
			WHERE u.tenant_id = dead_letters.tenant_id
				AND u.id = dead_letters.task_id
				AND u.state IN (` + taskLive + `))`
	sqlOpenDeadLetters = `
		SELECT ` + deadLetterRead + `
		FROM dead_letters
		WHERE tenant_id = $1
			AND order_id = ANY ($2::uuid[])
			AND state IN (` + deadLetterOpen + `, ` + deadLetterParked + `)
		ORDER BY id`
	sqlDeadLetter = `
		SELECT ` + deadLetterRead + `
		FROM dead_letters
		WHERE tenant_id = $1 AND id = $2`
	sqlDeadLetterPage = `
		SELECT set_config('app.page', coalesce((
			SELECT array_agg(order_id)::text
			FROM dead_letters
			WHERE tenant_id = $1 AND id = $2 AND order_id IS NOT NULL), '{}'), true)`
	sqlDeadLetterInsert = `
		INSERT INTO dead_letters (tenant_id, ` + deadLetterColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
			$12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
			$22, $23, $24, $25, $26, $27, $28, $29, $30, $31)`
	sqlDeadLetterUpdate = `
		UPDATE dead_letters
		SET state = $3, attempts = $4, at = $5, closed_at = $6, reason = $7, abandon_reason = $8, abandon_text = $9,
			proof = $10, first_by = $11, first_at = $12, second_by = $13, class = $14, error_code = $15, detail = $16
		WHERE tenant_id = $1 AND id = $2`
	// The member who signs now, and the one who signed first.
	sqlSigners = `
		SELECT ` + memberColumns + `
		FROM members
		WHERE tenant_id = $1
			AND (id = $2 OR id = (SELECT l.first_by FROM dead_letters l WHERE l.tenant_id = $1 AND l.id = $3))
			AND revoked_at IS NULL`
	sqlDeadLetterOutbox = `
		INSERT INTO outbox (tenant_id, order_id, dead_letter_id)
		VALUES ($1, $2, $3)`
)

// deadLetterRow holds the columns of a dead letter that may change. It is comparable.
type deadLetterRow struct {
	state    int16
	attempts int
	class    string
	code     string
	detail   string
	at       pgtype.Timestamptz
	closed   pgtype.Timestamptz
	reason   string

	abandonReason, abandonText, proof string
	firstBy, secondBy                 pgtype.UUID
	firstAt                           pgtype.Timestamptz
}

func deadLetterRowOf(d *app.DeadLetter) deadLetterRow {
	a := d.Abandonment
	return deadLetterRow{
		state: int16(d.State), attempts: d.Attempts, class: d.Class.String(), code: d.Code, detail: d.Detail,
		at: stamp(d.At), closed: stampOf(d.ClosedAt), reason: d.Reason,
		abandonReason: string(a.AbandonReason), abandonText: a.Text, proof: a.Proof, firstBy: uid(a.FirstBy),
		firstAt: stampOf(a.FirstAt), secondBy: uid(a.SecondBy),
	}
}

func scanDeadLetter(r pgx.Row) (app.DeadLetter, error) {
	var d app.DeadLetter
	var class string
	var hash []byte
	var parked parkedRow
	err := r.Scan(intoID(&d.ID), intoID(&d.Order), intoID(&d.Item), intoID(&d.Task), &d.Source, &class, &d.Code,
		&d.Detail, &d.Step, &d.Attempts, &hash, &d.State,
		intoTime(&d.FirstFailedAt), intoTime(&d.At), intoTimePtr(&d.ClosedAt), &d.Reason,
		&d.Abandonment.AbandonReason, &d.Abandonment.Text, &d.Abandonment.Proof, intoID(&d.Abandonment.FirstBy),
		intoTimePtr(&d.Abandonment.FirstAt), intoID(&d.Abandonment.SecondBy),
		&parked.consumer, &parked.seq, intoID(&d.Event.ID), &parked.eventType, &parked.topic, &parked.partition,
		&parked.offset, intoTime(&d.Event.LoggedAt), &parked.blocked, &parked.redriving)
	if err != nil {
		return d, fmt.Errorf("read dead letter: %w", err)
	}
	d.Class = classOf(class)
	copy(d.PayloadSHA256[:], hash)
	parked.into(&d.Event)
	return d, nil
}

// parkedRow holds the columns that only the dead letter of a parked event has. They are null in all others.
type parkedRow struct {
	consumer, eventType     pgtype.Text
	seq, partition, blocked pgtype.Int4
	offset                  pgtype.Int8
	topic                   pgtype.UUID
	redriving               bool
}

func parkedRowOf(e *app.ParkedEvent) parkedRow {
	published := e.TopicID != [16]byte{}
	return parkedRow{
		consumer: text(e.Consumer), eventType: text(string(e.Type)), seq: number(e.Seq),
		topic:     pgtype.UUID{Bytes: e.TopicID, Valid: published},
		partition: pgtype.Int4{Int32: e.Partition, Valid: published},
		offset:    pgtype.Int8{Int64: e.Offset, Valid: published},
	}
}

func (r parkedRow) into(e *app.ParkedEvent) {
	e.Consumer, e.Type, e.Seq = r.consumer.String, event.Type(r.eventType.String), int(r.seq.Int32)
	e.TopicID, e.Partition, e.Offset = r.topic.Bytes, r.partition.Int32, r.offset.Int64
	e.Blocked, e.Redriving = int(r.blocked.Int32), r.redriving
}

func (l *loader) scanDeadLetter(r pgx.Rows) error {
	d, err := scanDeadLetter(r)
	if err != nil {
		return err
	}
	if agg := l.byOrder[d.Order]; agg != nil {
		agg.DeadLetters = append(agg.DeadLetters, d)
		l.loaded[agg].deadLetters[d.ID] = deadLetterRowOf(&d)
	}
	return nil
}

// queueDeadLetter queues the read of one dead letter with its order and, if asked for, its signers.
func (l *loader) queueDeadLetter(b *pgx.Batch) {
	b.Queue(sqlDeadLetterPage, uid(l.tenant), uid(l.also.DeadLetter))
	l.queuePage(b)
	each(b.Queue(sqlDeadLetter, uid(l.tenant), uid(l.also.DeadLetter)), func(r pgx.Rows) error {
		d, err := scanDeadLetter(r)
		if agg := l.byOrder[d.Order]; agg != nil {
			agg.DeadLetter = d
		}
		return err
	})
	if l.also.Signer.IsZero() {
		return
	}
	each(b.Queue(sqlSigners, uid(l.tenant), uid(l.also.Signer), uid(l.also.DeadLetter)), func(r pgx.Rows) error {
		m, err := scanMember(r)
		for _, agg := range l.aggregates { // only one, the dead letter's
			agg.Signers = append(agg.Signers, m)
		}
		return err
	})
}

// saveDeadLetters queues the changed dead letters, and the new ones with their outbox rows.
func (x *tx) saveDeadLetters(agg *app.Aggregate) {
	was := x.loaded[agg].deadLetters
	for i := range agg.DeadLetters {
		d := &agg.DeadLetters[i]
		if row := deadLetterRowOf(d); was[d.ID] != row {
			x.queue(sqlDeadLetterUpdate, uid(x.tenant), uid(d.ID), row.state, row.attempts, row.at, row.closed,
				row.reason, row.abandonReason, row.abandonText, row.proof, row.firstBy, row.firstAt, row.secondBy,
				row.class, row.code, row.detail)
		}
	}
	for i := range agg.Added.DeadLetters {
		d := &agg.Added.DeadLetters[i]
		row, parked := deadLetterRowOf(d), parkedRowOf(&d.Event)
		x.queue(sqlDeadLetterInsert, uid(x.tenant), uid(d.ID), uid(agg.Order.ID), uid(d.Item), uid(d.Task),
			d.Source, d.Class.String(), d.Code, d.Detail, d.Step, d.Attempts, d.PayloadSHA256[:],
			row.state, stamp(d.FirstFailedAt), row.at, row.closed, row.reason,
			row.abandonReason, row.abandonText, row.proof, row.firstBy, row.firstAt, row.secondBy,
			parked.consumer, parked.seq, uid(d.Event.ID), parked.eventType, parked.topic, parked.partition,
			parked.offset, stamp(d.Event.LoggedAt))
		x.queue(sqlDeadLetterOutbox, uid(x.tenant), uid(agg.Order.ID), uid(d.ID))
	}
}
