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

type fulfilTaskID = fulfil.TaskID

const (
	taskColumns = `order_id, id, item_id, payment_id, subject_id, kind, provider, state, step, try,
		compensating, sent, epoch, next_at, deadline_at, waited_ms, cause, progress, detail,
		asserted_step, asserted_ref`
	// Webhook tasks are left out: there are many, and they do not change with the order.
	sqlTasks = `
		SELECT ` + taskColumns + `
		FROM saga_tasks
		WHERE tenant_id = $1 AND order_id = ANY ($2::uuid[]) AND kind <> ` + taskWebhook + `
		ORDER BY order_id, id`
	// The conflict is with a live task for the same thing, which then takes the place of the new one.
	sqlTasksInsert = `
		INSERT INTO saga_tasks (tenant_id, ` + taskColumns + `)
		SELECT $1, x.*
		FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::smallint[], $8::text[],
				$9::smallint[], $10::smallint[], $11::smallint[], $12::boolean[], $13::boolean[], $14::bigint[],
				$15::timestamptz[], $16::timestamptz[], $17::bigint[], $18::uuid[], $19::smallint[], $20::text[],
				$21::text[], $22::text[])
			AS x
		ON CONFLICT DO NOTHING`
	// The fence is checked again: the epoch must be the one that was read under the order's lock.
	sqlTasksUpdate = `
		WITH hit AS (
			UPDATE saga_tasks u
			SET provider = x.provider, state = x.state, step = x.step, try = x.try, compensating = x.compensating,
				sent = x.sent, epoch = x.epoch, next_at = x.next_at, deadline_at = x.deadline_at,
				waited_ms = x.waited_ms, progress = x.progress, detail = x.detail,
				asserted_step = x.asserted_step, asserted_ref = x.asserted_ref
			FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::smallint[], $6::smallint[], $7::smallint[],
					$8::boolean[], $9::boolean[], $10::bigint[], $11::timestamptz[], $12::timestamptz[],
					$13::bigint[], $14::smallint[], $15::text[], $16::text[], $17::text[])
				AS x(id, was, provider, state, step, try, compensating, sent, epoch, next_at, deadline_at,
					waited_ms, progress, detail, asserted_step, asserted_ref)
			WHERE u.tenant_id = $1 AND u.id = x.id AND u.epoch = x.was
			RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = cardinality($2::uuid[]), 'task moved under the lock of its order')`
)

// taskRow is a task as it is stored. It is comparable.
type taskRow struct {
	order, id, item, payment, subject, cause   pgtype.UUID
	kind, state, step, try, progress           int16
	queue, detail, assertionStep, assertionRef string
	compensating, sent                         bool
	epoch, waited                              int64
	next, deadline                             pgtype.Timestamptz
}

func taskRowOf(task fulfil.Task) taskRow {
	return taskRow{
		order: uid(task.Order), id: uid(task.ID), item: uid(task.Item), payment: uid(task.Payment),
		subject: uid(task.Subject), cause: uid(task.Cause),
		kind: int16(task.Kind), state: int16(task.State), step: int16(task.Step), try: int16(task.Try),
		progress: int16(task.Progress), queue: task.Queue, detail: task.Detail,
		assertionStep: task.Assertion.Step, assertionRef: task.Assertion.Ref,
		compensating: task.Compensating, sent: task.Sent, epoch: task.Epoch, waited: task.Waited.Milliseconds(),
		next: stamp(task.NextAt), deadline: stamp(task.Deadline),
	}
}

func scanTask(r pgx.Rows) (fulfil.Task, error) {
	var task fulfil.Task
	var waited int64
	err := r.Scan(intoID(&task.Order), intoID(&task.ID), intoID(&task.Item), intoID(&task.Payment),
		intoID(&task.Subject), &task.Kind, &task.Queue, &task.State, &task.Step, &task.Try, &task.Compensating,
		&task.Sent, &task.Epoch, intoTime(&task.NextAt), intoTime(&task.Deadline), &waited, intoID(&task.Cause),
		&task.Progress, &task.Detail, &task.Assertion.Step, &task.Assertion.Ref)
	if err != nil {
		return task, fmt.Errorf("read task: %w", err)
	}
	task.Waited = time.Duration(waited) * time.Millisecond
	return task, nil
}

func (l *loader) scanTask(r pgx.Rows) error {
	task, err := scanTask(r)
	if err != nil {
		return err
	}
	task.Tenant = l.tenant
	if agg := l.byOrder[task.Order]; agg != nil {
		agg.Tasks = append(agg.Tasks, task)
		l.loaded[agg].tasks[task.ID] = taskRowOf(task)
	}
	return nil
}

// saveTasks queues changed tasks before new ones, because a task must be closed before another one for the same
// thing can be added.
func (x *tx) saveTasks(agg *app.Aggregate) {
	was := x.loaded[agg].tasks
	var added, changed []taskRow
	var epochs []int64
	for _, task := range agg.Tasks {
		row := taskRowOf(task)
		old, known := was[task.ID]
		switch {
		case !known:
			added = append(added, row)
		case old != row:
			changed = append(changed, row)
			epochs = append(epochs, old.epoch)
		}
	}
	if len(changed) > 0 {
		x.queue(sqlTasksUpdate, uid(x.tenant),
			column(changed, func(r *taskRow) pgtype.UUID { return r.id }), epochs,
			column(changed, func(r *taskRow) string { return r.queue }),
			column(changed, func(r *taskRow) int16 { return r.state }),
			column(changed, func(r *taskRow) int16 { return r.step }),
			column(changed, func(r *taskRow) int16 { return r.try }),
			column(changed, func(r *taskRow) bool { return r.compensating }),
			column(changed, func(r *taskRow) bool { return r.sent }),
			column(changed, func(r *taskRow) int64 { return r.epoch }),
			column(changed, func(r *taskRow) pgtype.Timestamptz { return r.next }),
			column(changed, func(r *taskRow) pgtype.Timestamptz { return r.deadline }),
			column(changed, func(r *taskRow) int64 { return r.waited }),
			column(changed, func(r *taskRow) int16 { return r.progress }),
			column(changed, func(r *taskRow) string { return r.detail }),
			column(changed, func(r *taskRow) string { return r.assertionStep }),
			column(changed, func(r *taskRow) string { return r.assertionRef }))
	}
	if len(added) > 0 {
		x.insertTasks(added)
	}
}

func (x *tx) insertTasks(rows []taskRow) {
	x.queue(sqlTasksInsert, uid(x.tenant),
		column(rows, func(r *taskRow) pgtype.UUID { return r.order }),
		column(rows, func(r *taskRow) pgtype.UUID { return r.id }),
		column(rows, func(r *taskRow) pgtype.UUID { return r.item }),
		column(rows, func(r *taskRow) pgtype.UUID { return r.payment }),
		column(rows, func(r *taskRow) pgtype.UUID { return r.subject }),
		column(rows, func(r *taskRow) int16 { return r.kind }),
		column(rows, func(r *taskRow) string { return r.queue }),
		column(rows, func(r *taskRow) int16 { return r.state }),
		column(rows, func(r *taskRow) int16 { return r.step }),
		column(rows, func(r *taskRow) int16 { return r.try }),
		column(rows, func(r *taskRow) bool { return r.compensating }),
		column(rows, func(r *taskRow) bool { return r.sent }),
		column(rows, func(r *taskRow) int64 { return r.epoch }),
		column(rows, func(r *taskRow) pgtype.Timestamptz { return r.next }),
		column(rows, func(r *taskRow) pgtype.Timestamptz { return r.deadline }),
		column(rows, func(r *taskRow) int64 { return r.waited }),
		column(rows, func(r *taskRow) pgtype.UUID { return r.cause }),
		column(rows, func(r *taskRow) int16 { return r.progress }),
		column(rows, func(r *taskRow) string { return r.detail }),
		column(rows, func(r *taskRow) string { return r.assertionStep }),
		column(rows, func(r *taskRow) string { return r.assertionRef }))
}

const (
	sqlResources = `
		SELECT u.order_id, p.task_id, p.step, p.generation, p.key, p.phase, p.refs, p.called_at, p.settle_until,
			p.absent_since
		FROM saga_tasks u
		JOIN saga_resources p ON p.tenant_id = u.tenant_id AND p.task_id = u.id
		WHERE u.tenant_id = $1 AND u.order_id = ANY ($2::uuid[])
		ORDER BY p.task_id, p.generation, p.called_at, p.step`
	// refs are passed as JSON texts, because unnest would flatten an array of arrays.
	sqlResourcesPut = `
		INSERT INTO saga_resources (tenant_id, task_id, step, generation, key, phase,
			refs, called_at, settle_until, absent_since)
		SELECT $1, x.task_id, x.step, x.generation, x.key, x.phase,
			ARRAY(SELECT json_array_elements_text(x.refs::json)), x.called_at, x.settle_until, x.absent_since
		FROM unnest($2::uuid[], $3::text[], $4::int[], $5::text[], $6::smallint[], $7::text[], $8::timestamptz[],
				$9::timestamptz[], $10::timestamptz[])
			AS x(task_id, step, generation, key, phase, refs, called_at, settle_until, absent_since)
		ON CONFLICT (tenant_id, task_id, step, generation) DO UPDATE
		SET key = excluded.key, phase = excluded.phase, refs = excluded.refs, called_at = excluded.called_at,
			settle_until = excluded.settle_until, absent_since = excluded.absent_since`
)

// resourceKey identifies a row of the journal.
type resourceKey struct {
	task       fulfilTaskID
	step       string
	generation int
}

// resourceRow is a row of the journal as it is stored. It is comparable.
type resourceRow struct {
	task                   pgtype.UUID
	step, key, refs        string
	generation             int32
	phase                  int16
	called, settle, absent pgtype.Timestamptz
}

func resourceRowOf(res *fulfil.Resource) resourceRow {
	return resourceRow{
		task: uid(res.Task), step: res.Step, key: res.Key, refs: jsonTexts(res.Refs),
		generation: int32(res.Generation), phase: int16(res.Phase),
		called: stamp(res.CalledAt), settle: stamp(res.SettleUntil), absent: stamp(res.AbsentSince),
	}
}

func (l *loader) scanResource(r pgx.Rows) error {
	var o order.ID
	res, err := scanResource(r, &o)
	if err != nil {
		return err
	}
	if agg := l.byOrder[o]; agg != nil {
		agg.Resources = append(agg.Resources, res)
		l.loaded[agg].resources[resourceKey{res.Task, res.Step, res.Generation}] = resourceRowOf(&res)
	}
	return nil
}

func scanResource(r pgx.Rows, o *order.ID) (fulfil.Resource, error) {
	var res fulfil.Resource
	err := r.Scan(intoID(o), intoID(&res.Task), &res.Step, &res.Generation, &res.Key, &res.Phase, &res.Refs,
		intoTime(&res.CalledAt), intoTime(&res.SettleUntil), intoTime(&res.AbsentSince))
	if err != nil {
		return res, fmt.Errorf("read resource: %w", err)
	}
	if len(res.Refs) == 0 {
		res.Refs = nil
	}
	return res, nil
}

func (x *tx) saveResources(agg *app.Aggregate) {
	was := x.loaded[agg].resources
	var rows []resourceRow
	for i := range agg.Resources {
		res := &agg.Resources[i]
		if row := resourceRowOf(res); was[resourceKey{res.Task, res.Step, res.Generation}] != row {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return
	}
	x.queue(sqlResourcesPut, uid(x.tenant),
		column(rows, func(r *resourceRow) pgtype.UUID { return r.task }),
		column(rows, func(r *resourceRow) string { return r.step }),
		column(rows, func(r *resourceRow) int32 { return r.generation }),
		column(rows, func(r *resourceRow) string { return r.key }),
		column(rows, func(r *resourceRow) int16 { return r.phase }),
		column(rows, func(r *resourceRow) string { return r.refs }),
		column(rows, func(r *resourceRow) pgtype.Timestamptz { return r.called }),
		column(rows, func(r *resourceRow) pgtype.Timestamptz { return r.settle }),
		column(rows, func(r *resourceRow) pgtype.Timestamptz { return r.absent }))
}
