package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
)

type letterID = id.Of[app.DeadLetter]

const (
	letterColumns = `id, order_id, item_id, unit_id, source, class, error_code, detail, step, attempts, payload_sha256, state, first_failed_at, at, closed_at, reason, grounds, words, proof, first_by, first_at, second_by,
		consumer, seq, event_id, event_type, topic_id, part, off, logged_at`
	// Of a parked event also what stands behind it now.
	letterRead = letterColumns + `,
		(SELECT i.held FROM inbox i
			WHERE i.tenant_id = dead_letters.tenant_id AND i.order_id = dead_letters.order_id AND i.consumer = dead_letters.consumer
				AND i.parked_seq = dead_letters.seq AND dead_letters.state = ` + deadLetterParked + `),
		source = 'event' AND state = ` + deadLetterParked + ` AND EXISTS (SELECT FROM saga_units u
			WHERE u.tenant_id = dead_letters.tenant_id AND u.id = dead_letters.unit_id AND u.state IN (` + taskLive + `))`
	sqlOpenLetters = `
		SELECT ` + letterRead + ` FROM dead_letters
		WHERE tenant_id = $1 AND order_id = ANY ($2::uuid[]) AND state IN (` + deadLetterOpen + `, ` + deadLetterParked + `) ORDER BY id`
	sqlLetter       = `SELECT ` + letterRead + ` FROM dead_letters WHERE tenant_id = $1 AND id = $2`
	sqlLetterPage   = `SELECT set_config('app.page', coalesce((SELECT array_agg(order_id)::text FROM dead_letters WHERE tenant_id = $1 AND id = $2 AND order_id IS NOT NULL), '{}'), true)`
	sqlLetterInsert = `INSERT INTO dead_letters (tenant_id, ` + letterColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31)`
	sqlLetterUpdate = `
		UPDATE dead_letters SET state = $3, attempts = $4, at = $5, closed_at = $6, reason = $7, grounds = $8, words = $9, proof = $10, first_by = $11, first_at = $12, second_by = $13,
			class = $14, error_code = $15, detail = $16
		WHERE tenant_id = $1 AND id = $2`
	// Who signs now, and who did first.
	sqlSigners = `
		SELECT ` + memberColumns + ` FROM members
		WHERE tenant_id = $1 AND (id = $2 OR id = (SELECT l.first_by FROM dead_letters l WHERE l.tenant_id = $1 AND l.id = $3)) AND revoked_at IS NULL`
	sqlLetterOutbox = `INSERT INTO outbox (tenant_id, order_id, dead_letter_id) VALUES ($1, $2, $3)`
)

// letterRow is what of a dead letter may change, comparable.
type letterRow struct {
	state    int16
	attempts int
	class    string
	code     string
	detail   string
	at       pgtype.Timestamptz
	closed   pgtype.Timestamptz
	reason   string

	grounds, words, proof string
	firstBy, secondBy     pgtype.UUID
	firstAt               pgtype.Timestamptz
}

func letterRowOf(d *app.DeadLetter) letterRow {
	a := d.Abandonment
	return letterRow{
		state: int16(d.State), attempts: d.Attempts, class: d.Class.String(), code: d.Code, detail: d.Detail, at: stamp(d.At), closed: stampOf(d.ClosedAt), reason: d.Reason,
		grounds: string(a.Grounds), words: a.Text, proof: a.Proof, firstBy: uid(a.FirstBy), firstAt: stampOf(a.FirstAt), secondBy: uid(a.SecondBy),
	}
}

func scanLetter(r pgx.Row) (app.DeadLetter, error) {
	var d app.DeadLetter
	var class string
	var hash []byte
	var parked parkedRow
	err := r.Scan(intoID(&d.ID), intoID(&d.Order), intoID(&d.Item), intoID(&d.Unit), &d.Source, &class, &d.Code, &d.Detail, &d.Step, &d.Attempts, &hash, &d.State,
		intoTime(&d.FirstFailedAt), intoTime(&d.At), intoTimePtr(&d.ClosedAt), &d.Reason,
		&d.Abandonment.Grounds, &d.Abandonment.Text, &d.Abandonment.Proof, intoID(&d.Abandonment.FirstBy), intoTimePtr(&d.Abandonment.FirstAt), intoID(&d.Abandonment.SecondBy),
		&parked.consumer, &parked.seq, intoID(&d.Event.ID), &parked.eventType, &parked.topic, &parked.part, &parked.off, intoTime(&d.Event.LoggedAt), &parked.held, &parked.redoing)
	if err != nil {
		return d, fmt.Errorf("read dead letter: %w", err)
	}
	d.Class = classOf(class)
	copy(d.PayloadSHA256[:], hash)
	parked.into(&d.Event)
	return d, nil
}

// parkedRow is what a letter of a parked event has besides; null in all others.
type parkedRow struct {
	consumer, eventType pgtype.Text
	seq, part, held     pgtype.Int4
	off                 pgtype.Int8
	topic               pgtype.UUID
	redoing             bool
}

func parkedRowOf(e *app.ParkedEvent) parkedRow {
	placed := e.TopicID != [16]byte{}
	return parkedRow{
		consumer: text(e.Consumer), eventType: text(string(e.Type)), seq: number(e.Seq),
		topic: pgtype.UUID{Bytes: e.TopicID, Valid: placed}, part: pgtype.Int4{Int32: e.Partition, Valid: placed}, off: pgtype.Int8{Int64: e.Offset, Valid: placed},
	}
}

func (r parkedRow) into(e *app.ParkedEvent) {
	e.Consumer, e.Type, e.Seq, e.TopicID, e.Partition, e.Offset = r.consumer.String, event.Type(r.eventType.String), int(r.seq.Int32), r.topic.Bytes, r.part.Int32, r.off.Int64
	e.Held, e.Redoing = int(r.held.Int32), r.redoing
}

func (l *loader) scanLetter(r pgx.Rows) error {
	letter, err := scanLetter(r)
	if err != nil {
		return err
	}
	if d := l.byOrder[letter.Order]; d != nil {
		d.Letters = append(d.Letters, letter)
		l.loaded[d].letters[letter.ID] = letterRowOf(&letter)
	}
	return nil
}

// queueLetter puts the order of the dead letter asked for on the page, and the statements for it into
// the batch.
func (l *loader) queueLetter(b *pgx.Batch) {
	b.Queue(sqlLetterPage, uid(l.tenant), uid(l.also.Letter))
	l.queuePage(b)
	each(b.Queue(sqlLetter, uid(l.tenant), uid(l.also.Letter)), func(r pgx.Rows) error {
		letter, err := scanLetter(r)
		if d := l.byOrder[letter.Order]; d != nil {
			d.Letter = letter
		}
		return err
	})
	if l.also.Signer.IsZero() {
		return
	}
	each(b.Queue(sqlSigners, uid(l.tenant), uid(l.also.Signer), uid(l.also.Letter)), func(r pgx.Rows) error {
		m, err := scanMember(r)
		for _, d := range l.dossiers { // one: the letter's
			d.Signers = append(d.Signers, m)
		}
		return err
	})
}

// saveLetters writes what became of the open letters, and the new ones with their way to the topic.
func (x *tx) saveLetters(d *app.Dossier) {
	was := x.loaded[d].letters
	for i := range d.Letters {
		letter := &d.Letters[i]
		if row := letterRowOf(letter); was[letter.ID] != row {
			x.queue(sqlLetterUpdate, uid(x.tenant), uid(letter.ID), row.state, row.attempts, row.at, row.closed, row.reason,
				row.grounds, row.words, row.proof, row.firstBy, row.firstAt, row.secondBy, row.class, row.code, row.detail)
		}
	}
	for i := range d.Added.DeadLetters {
		letter := &d.Added.DeadLetters[i]
		row, parked := letterRowOf(letter), parkedRowOf(&letter.Event)
		x.queue(sqlLetterInsert, uid(x.tenant), uid(letter.ID), uid(d.Order.ID), uid(letter.Item), uid(letter.Unit), letter.Source, letter.Class.String(), letter.Code,
			letter.Detail, letter.Step, letter.Attempts, letter.PayloadSHA256[:], row.state, stamp(letter.FirstFailedAt), row.at, row.closed, row.reason,
			row.grounds, row.words, row.proof, row.firstBy, row.firstAt, row.secondBy,
			parked.consumer, parked.seq, uid(letter.Event.ID), parked.eventType, parked.topic, parked.part, parked.off, stamp(letter.Event.LoggedAt))
		x.queue(sqlLetterOutbox, uid(x.tenant), uid(d.Order.ID), uid(letter.ID))
	}
}
