package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	// Only the newest provision task of an item counts: a restored item has older ones.
	sqlInventory = `
		SELECT i.tenant_id, i.order_id, i.id, i.state, u.id,
			coalesce(u.state IN (` + taskLive + `), false),
			coalesce(u.provider, '')
		FROM order_items i
		LEFT JOIN LATERAL (
			SELECT x.id, x.state, x.provider
			FROM saga_tasks x
			WHERE x.tenant_id = i.tenant_id
				AND x.order_id = i.order_id
				AND x.item_id = i.id
				AND x.kind = ` + taskProvision + `
			ORDER BY x.id DESC
			LIMIT 1) u ON true`
	sqlItemsOf = sqlInventory + `
		WHERE i.tenant_id = ANY ($1::uuid[]) AND i.id = ANY ($2::uuid[])`
	sqlProvisionedItems = sqlInventory + `
		WHERE i.tenant_id = ANY ($1::uuid[]) AND i.state IN (` + itemActive + `, ` + itemDelivered + `)`
	sqlInventoryResources = `
		SELECT task_id, step, generation, phase, refs, called_at
		FROM saga_resources
		WHERE tenant_id = ANY ($1::uuid[]) AND task_id = ANY ($2::uuid[])`
	sqlFindingPut = `
		INSERT INTO reaper_findings AS f (provider, ref, kind, item, step, generation, first_seen, last_seen)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
		ON CONFLICT (provider, ref, kind) DO UPDATE
		SET last_seen = $7,
			first_seen = CASE WHEN f.settled_at IS NULL THEN f.first_seen ELSE $7 END,
			settled_at = NULL
		RETURNING first_seen`
	sqlFindingSettle = `
		UPDATE reaper_findings
		SET settled_at = $4
		WHERE provider = $1 AND ref = $2 AND kind = $3`
)

// ItemsOf reads items by id, of all tenants, for the worker; see app.Inventory.
func (db *DB) ItemsOf(ctx context.Context, items []order.ItemID) ([]app.InventoryItem, error) {
	if len(items) == 0 {
		return nil, nil
	}
	return db.inventoryItems(ctx, sqlItemsOf, uids(items))
}

// Standing reads every item that should have resources now, of all tenants, for the worker.
func (db *DB) Expected(ctx context.Context) ([]app.InventoryItem, error) {
	return db.inventoryItems(ctx, sqlProvisionedItems)
}

func (db *DB) inventoryItems(ctx context.Context, sql string, args ...any) ([]app.InventoryItem, error) {
	list, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	tenants := idsOf(list)
	slices.SortFunc(tenants, func(a, b tenant.ID) int { return slices.Compare(a[:], b[:]) })
	var items []app.InventoryItem
	index := map[fulfil.TaskID]int{} // in items
	err = db.inTenants(ctx, tenants, func(b *pgx.Batch, chunk []tenant.ID) {
		each(b.Queue(sql, append([]any{uids(chunk)}, args...)...), func(r pgx.Rows) error {
			var it app.InventoryItem
			var task pgtype.UUID
			err := r.Scan(intoID(&it.Tenant), intoID(&it.Order), intoID(&it.Item), &it.State, &task, &it.Live, &it.Queue)
			if err != nil {
				return err
			}
			if it.Task = task.Bytes; task.Valid {
				index[it.Task] = len(items)
			}
			items = append(items, it)
			return nil
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the inventory")
	}
	taskIDs := make([]fulfil.TaskID, 0, len(index))
	for taskID := range index {
		taskIDs = append(taskIDs, taskID)
	}
	err = db.inTenants(ctx, tenants, func(b *pgx.Batch, chunk []tenant.ID) {
		each(b.Queue(sqlInventoryResources, uids(chunk), uids(taskIDs)), func(r pgx.Rows) error {
			var res fulfil.Resource
			var called pgtype.Timestamptz
			if err := r.Scan(intoID(&res.Task), &res.Step, &res.Generation, &res.Phase, &res.Refs, &called); err != nil {
				return err
			}
			res.CalledAt = called.Time.UTC()
			it := &items[index[res.Task]]
			it.Resources = append(it.Resources, res)
			return nil
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the resources of the inventory")
	}
	return items, nil
}

// Sight records a finding and returns when it was first seen.
func (db *DB) RecordFinding(ctx context.Context, f app.Finding, now time.Time) (time.Time, error) {
	first := now
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		item := pgtype.UUID{Bytes: f.Item, Valid: !f.Item.IsZero()}
		put := b.Queue(sqlFindingPut, f.Provider, f.Ref, int16(f.Kind), item, f.Step, f.Generation, stamp(now))
		each(put, func(r pgx.Rows) error { return r.Scan(intoTime(&first)) })
	})
	if err != nil {
		return first, faultOr(err, "record finding %s", f.Ref)
	}
	return first, nil
}

// Forget marks a finding as settled.
func (db *DB) SettleFinding(ctx context.Context, f app.Finding, now time.Time) error {
	return db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlFindingSettle, f.Provider, f.Ref, int16(f.Kind), stamp(now))
	})
}
