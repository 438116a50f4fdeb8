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
	// A task that another transaction has locked is left for the next pass: that transaction may close it.
	sqlMarkOpen = `
		UPDATE saga_tasks
		SET state = ` + taskOpen + `
		WHERE (tenant_id, id) IN (
			SELECT u.tenant_id, u.id
			FROM unnest($1::uuid[], $2::uuid[]) AS x(tenant_id, id)
			JOIN saga_tasks u ON u.tenant_id = x.tenant_id AND u.id = x.id
			WHERE u.state = ` + taskQueued + `
			FOR NO KEY UPDATE OF u SKIP LOCKED)`
	sqlExpiredOrders = `SELECT tenant_id, id FROM expired_orders($1, $2)`
)

// DueTasks returns the due tasks of a queue in a state, of all tenants and at most perTenant of each. A tenant's
// compensating tasks come first.
func (db *DB) DueTasks(
	ctx context.Context, queue string, s fulfil.TaskState, now time.Time, perTenant int,
) ([]app.TaskRef, error) {
	var list []app.TaskRef
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlDueTasks, queue, int16(s), stamp(now), perTenant), func(r pgx.Rows) error {
			var task app.TaskRef
			err := r.Scan(intoID(&task.Tenant), intoID(&task.Task))
			list = append(list, task)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "list the due tasks of queue %s", queue)
	}
	return list, nil
}

// MarkOpen moves queued tasks to open. It leaves out tasks in other states and tasks that another transaction
// has locked.
func (db *DB) MarkOpen(ctx context.Context, tasks []app.TaskRef) error {
	byTenant := map[tenant.ID][]fulfil.TaskID{}
	var tenants []tenant.ID
	for _, task := range tasks {
		if byTenant[task.Tenant] == nil {
			tenants = append(tenants, task.Tenant)
		}
		byTenant[task.Tenant] = append(byTenant[task.Tenant], task.Task)
	}
	slices.SortFunc(tenants, func(a, b tenant.ID) int { return slices.Compare(a[:], b[:]) })
	err := db.inTenants(ctx, tenants, func(b *pgx.Batch, chunk []tenant.ID) {
		var tenantIDs, taskIDs []pgtype.UUID
		for _, t := range chunk {
			for _, taskID := range byTenant[t] {
				tenantIDs, taskIDs = append(tenantIDs, uid(t)), append(taskIDs, uid(taskID))
			}
		}
		b.Queue(sqlMarkOpen, tenantIDs, taskIDs)
	})
	if err != nil {
		return faultOr(err, "mark %d tasks open", len(tasks))
	}
	return nil
}

// ExpiredOrders returns unpaid orders that have expired, of all tenants, the longest overdue first.
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
