package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	eventColumns    = `order_id, seq, event_id, type, actor, at, causation_id, correlation_id, traceparent, data`
	sqlEventsInsert = `
		INSERT INTO order_event (tenant_id, order_id,
			seq, event_id, type, actor, at, causation_id, correlation_id, traceparent, data)
		SELECT $1, $2,
			x.seq, x.event_id, x.type, x.actor, x.at, x.causation_id, x.correlation_id, x.traceparent, x.data::json
		FROM unnest($3::int[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::uuid[], $9::uuid[],
				$10::text[], $11::text[])
			AS x(seq, event_id, type, actor, at, causation_id, correlation_id, traceparent, data)`
	// In the order of their numbers, so that their outbox ids have the same order.
	sqlEventsOutbox = `
		INSERT INTO outbox (tenant_id, order_id, seq)
		SELECT $1, $2, s
		FROM unnest($3::int[]) AS s
		ORDER BY s`
	sqlEventsAfter = `
		SELECT ` + eventColumns + `
		FROM order_event
		WHERE tenant_id = $1 AND order_id = $2 AND seq > $3
		ORDER BY seq
		LIMIT $4`
)

func (x *tx) insertEvents(agg *app.Aggregate) {
	events := agg.Added.Events
	if len(events) == 0 {
		return
	}
	t, o := uid(x.tenant), uid(agg.Order.ID)
	seqs := column(events, func(e *event.Record) int32 { return int32(e.Seq) })
	x.queue(sqlEventsInsert, t, o, seqs,
		column(events, func(e *event.Record) pgtype.UUID { return uid(e.ID) }),
		column(events, func(e *event.Record) string { return string(e.Type) }),
		column(events, func(e *event.Record) string { return e.Actor }),
		column(events, func(e *event.Record) pgtype.Timestamptz { return stamp(e.At) }),
		column(events, func(e *event.Record) pgtype.UUID { return uid(e.Causation) }),
		column(events, func(e *event.Record) pgtype.UUID { return uid(e.Correlation) }),
		column(events, func(e *event.Record) string { return e.Traceparent }),
		column(events, func(e *event.Record) string { return string(e.Data) }))
	x.queue(sqlEventsOutbox, t, o, seqs)
}

func scanEvent(r pgx.Row, e *event.Record) error {
	var data string
	err := r.Scan(intoID(&e.Order), &e.Seq, intoID(&e.ID), &e.Type, &e.Actor, intoTime(&e.At), intoID(&e.Causation),
		intoID(&e.Correlation), &e.Traceparent, &data)
	if err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	e.Data = []byte(data)
	return nil
}

// Events reads up to limit events of an order with a number above after, in the order of their numbers.
func (db *DB) Events(ctx context.Context, t tenant.ID, o order.ID, after, limit int) ([]event.Record, error) {
	var known bool
	var events []event.Record
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlOrderExists, uid(t), uid(o)).QueryRow(func(r pgx.Row) error { return r.Scan(&known) })
		each(b.Queue(sqlEventsAfter, uid(t), uid(o), after, limit), func(r pgx.Rows) error {
			e := event.Record{Tenant: t}
			err := scanEvent(r, &e)
			events = append(events, e)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the events of order %s: %w", o, err)
	}
	if !known {
		return nil, fault.Absent()
	}
	return events, nil
}

const (
	sqlLogInsert = `
		INSERT INTO saga_log (tenant_id, order_id, task_id, at, step, what, class, key, note, took_ms, next_at)
		SELECT $1, $2, x.task_id, x.at, x.step, x.what, x.class, x.key, x.note, x.took_ms, x.next_at
		FROM unnest($3::uuid[], $4::timestamptz[], $5::text[], $6::smallint[], $7::text[], $8::text[], $9::text[],
				$10::bigint[], $11::timestamptz[])
			WITH ORDINALITY AS x(task_id, at, step, what, class, key, note, took_ms, next_at, n)
		ORDER BY x.n`
	sqlLog = `
		SELECT id, task_id, at, step, what, class, key, note, took_ms, next_at
		FROM saga_log
		WHERE tenant_id = $1 AND order_id = $2
		ORDER BY id`
)

func (x *tx) insertLog(agg *app.Aggregate) {
	lines := agg.Added.Log
	if len(lines) == 0 {
		return
	}
	x.queue(sqlLogInsert, uid(x.tenant), uid(agg.Order.ID),
		column(lines, func(l *app.LogEntry) pgtype.UUID { return uid(l.Task) }),
		column(lines, func(l *app.LogEntry) pgtype.Timestamptz { return stamp(l.At) }),
		column(lines, func(l *app.LogEntry) string { return l.Step }),
		column(lines, func(l *app.LogEntry) int16 { return int16(l.What) }),
		column(lines, func(l *app.LogEntry) string { return l.Class.String() }),
		column(lines, func(l *app.LogEntry) string { return l.Key }),
		column(lines, func(l *app.LogEntry) string { return l.Note }),
		column(lines, func(l *app.LogEntry) int64 { return l.Took.Milliseconds() }),
		column(lines, func(l *app.LogEntry) pgtype.Timestamptz { return stamp(l.Next) }))
}
