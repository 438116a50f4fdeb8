package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	sqlDueTasks = `SELECT tenant_id, id FROM due_tasks($1, $2, $3, $4)`
	// What another transaction holds is left for the next turn: its commit may well close the task.
	sqlMarkOpen = `
		UPDATE saga_tasks SET state = ` + taskOpen + `
		WHERE (tenant_id, id) IN (
			SELECT u.tenant_id, u.id
			FROM unnest($1::uuid[], $2::uuid[]) AS x(tenant_id, id) JOIN saga_tasks u ON u.tenant_id = x.tenant_id
			AND u.id = x.id
			WHERE u.state = ` + taskQueued + ` FOR NO KEY UPDATE OF u SKIP LOCKED)`
	sqlExpiredOrders = `SELECT tenant_id, id FROM expired_orders($1, $2)`
)

// DueTasks lists tasks of a queue in a state that are due, of all tenants, those going back first; at
// most perTenant of each.
func (db *DB) DueTasks(
	ctx context.Context, queue string, s fulfil.TaskState, now time.Time, perTenant int,
) ([]app.TaskRef, error) {
	var list []app.TaskRef
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlDueTasks, queue, int16(s), stamp(now), perTenant), func(r pgx.Rows) error {
			var u app.TaskRef
			err := r.Scan(intoID(&u.Tenant), intoID(&u.Task))
			list = append(list, u)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "list the due tasks of queue %s", queue)
	}
	return list, nil
}

// MarkOpen moves queued tasks to open; others, and those another transaction holds, are left alone.
func (db *DB) MarkOpen(ctx context.Context, tasks []app.TaskRef) error {
	ids := map[tenant.ID][]fulfil.TaskID{}
	var tenants []tenant.ID
	for _, u := range tasks {
		if ids[u.Tenant] == nil {
			tenants = append(tenants, u.Tenant)
		}
		ids[u.Tenant] = append(ids[u.Tenant], u.Task)
	}
	slices.SortFunc(tenants, func(a, b tenant.ID) int { return slices.Compare(a[:], b[:]) })
	err := db.inTenants(ctx, tenants, func(b *pgx.Batch, some []tenant.ID) {
		var of, these []pgtype.UUID
		for _, t := range some {
			for _, taskID := range ids[t] {
				of, these = append(of, uid(t)), append(these, uid(taskID))
			}
		}
		b.Queue(sqlMarkOpen, of, these)
	})
	if err != nil {
		return faultOr(err, "mark %d tasks open", len(tasks))
	}
	return nil
}

// ExpiredOrders lists unpaid orders past their time, of all tenants, the longest overdue first.
func (db *DB) ExpiredOrders(ctx context.Context, now time.Time, limit int) ([]app.OrderRef, error) {
	var list []app.OrderRef
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlExpiredOrders, stamp(now), limit), func(r pgx.Rows) error {
			var o app.OrderRef
			err := r.Scan(intoID(&o.Tenant), intoID(&o.Order))
			list = append(list, o)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "list expired orders")
	}
	return list, nil
}
