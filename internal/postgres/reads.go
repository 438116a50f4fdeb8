package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Order reads one aggregate without a lock.
func (db *DB) Order(ctx context.Context, t tenant.ID, o order.ID) (*app.Aggregate, error) {
	l := newLoader(t, false, app.Also{})
	err := db.readTenant(ctx, t, func(b *pgx.Batch) { l.queue(b, []order.ID{o}) })
	if err != nil {
		return nil, faultOr(err, "read order %s", o)
	}
	if len(l.aggregates) == 0 {
		return nil, fault.Absent()
	}
	return l.aggregates[0], nil
}

// Saga reads the record of all work on an order: its tasks, resources and saga log.
func (db *DB) Saga(ctx context.Context, t tenant.ID, o order.ID) (app.SagaRecord, error) {
	l := newLoader(t, false, app.Also{Resources: true})
	var log []app.LogEntry
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		l.queue(b, []order.ID{o})
		each(b.Queue(sqlLog, uid(t), uid(o)), func(r pgx.Rows) error {
			e, err := scanLog(r)
			log = append(log, e)
			return err
		})
	})
	if err != nil {
		return app.SagaRecord{}, faultOr(err, "read the saga of order %s", o)
	}
	if len(l.aggregates) == 0 {
		return app.SagaRecord{}, fault.Absent()
	}
	agg := l.aggregates[0]
	return app.SagaRecord{Order: agg.Order, Tasks: agg.Tasks, Resources: agg.Resources, Log: log}, nil
}

func scanLog(r pgx.Rows) (app.LogEntry, error) {
	var e app.LogEntry
	var class string
	var took int64
	err := r.Scan(&e.ID, intoID(&e.Task), intoTime(&e.At), &e.Step, &e.What, &class, &e.Key, &e.Note, &took,
		intoTime(&e.Next))
	if err != nil {
		return e, fmt.Errorf("read saga log: %w", err)
	}
	e.Class, e.Took = classOf(class), time.Duration(took)*time.Millisecond
	return e, nil
}

// sqlTaskPage puts the order of a task, if there is one, into app.page.
const sqlTaskPage = `
	SELECT set_config('app.page', coalesce(array_agg(order_id)::text, '{}'), true)
	FROM saga_tasks
	WHERE tenant_id = $1 AND id = $2`

// Load reads the aggregate of a task's order, with the journal, without a lock.
func (db *DB) Load(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (*app.Aggregate, error) {
	l := newLoader(t, false, app.Also{Resources: true})
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlTaskPage, uid(t), uid(taskID))
		l.queuePage(b)
	})
	if err != nil {
		return nil, faultOr(err, "load task %s", taskID)
	}
	if len(l.aggregates) == 0 {
		return nil, fault.Absent()
	}
	return l.aggregates[0], nil
}
