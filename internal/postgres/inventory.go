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
	// The newest provisioning of each item: a restored one's past is over.
	inventoryColumns = `
		SELECT i.tenant_id, i.order_id, i.id, i.state, u.id,
		coalesce(u.state IN (` + taskLive + `), false), coalesce(u.provider, '')
		FROM order_items i
		LEFT JOIN LATERAL (
			SELECT x.id, x.state, x.provider FROM saga_tasks x
			WHERE x.tenant_id = i.tenant_id AND x.order_id = i.order_id AND x.item_id = i.id AND x.kind = ` + taskProvision + `
			ORDER BY x.id DESC LIMIT 1) u ON true`
	sqlItemsOf  = inventoryColumns + ` WHERE i.tenant_id = ANY ($1::uuid[]) AND i.id = ANY ($2::uuid[])`
	sqlStanding = inventoryColumns + `
		WHERE i.tenant_id = ANY ($1::uuid[]) AND i.state IN (` + itemActive + `, ` + itemDelivered + `)`
	sqlInventoryResources = `
		SELECT task_id, step, generation, phase, refs, called_at FROM saga_resources
		WHERE tenant_id = ANY ($1::uuid[]) AND task_id = ANY ($2::uuid[])`
	sqlSight = `
		INSERT INTO reaper_findings AS f (provider, ref, kind, item, step, generation, first_seen, last_seen)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
		ON CONFLICT (provider, ref, kind) DO UPDATE
		SET last_seen = $7, first_seen = CASE WHEN f.settled_at IS NULL THEN f.first_seen ELSE $7 END, settled_at = NULL
		RETURNING first_seen`
	sqlForget = `UPDATE reaper_findings SET settled_at = $4 WHERE provider = $1 AND ref = $2 AND kind = $3`
)

// ItemsOf reads items by id over all tenants: see app.Books. For the worker.
func (db *DB) ItemsOf(ctx context.Context, items []order.ItemID) ([]app.InventoryItem, error) {
	if len(items) == 0 {
		return nil, nil
	}
	return db.booked(ctx, sqlItemsOf, uids(items))
}

// Standing reads every item that should have resources now, over all tenants.
func (db *DB) Standing(ctx context.Context) ([]app.InventoryItem, error) {
	return db.booked(ctx, sqlStanding)
}

func (db *DB) booked(ctx context.Context, sql string, args ...any) ([]app.InventoryItem, error) {
	list, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	tenants := make([]tenant.ID, len(list))
	for i, t := range list {
		tenants[i] = t.ID
	}
	slices.SortFunc(tenants, func(a, b tenant.ID) int { return slices.Compare(a[:], b[:]) })
	var all []app.InventoryItem
	tasks := map[fulfil.TaskID]int{}
	err = db.inTenants(ctx, tenants, func(b *pgx.Batch, some []tenant.ID) {
		each(b.Queue(sql, append([]any{uids(some)}, args...)...), func(r pgx.Rows) error {
			var k app.InventoryItem
			var u pgtype.UUID
			if err := r.Scan(intoID(&k.Tenant), intoID(&k.Order), intoID(&k.Item), &k.State, &u, &k.Live, &k.Queue); err != nil {
				return err
			}
			if k.Task = u.Bytes; u.Valid {
				tasks[k.Task] = len(all)
			}
			all = append(all, k)
			return nil
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the books")
	}
	ids := make([]fulfil.TaskID, 0, len(tasks))
	for taskID := range tasks {
		ids = append(ids, taskID)
	}
	err = db.inTenants(ctx, tenants, func(b *pgx.Batch, some []tenant.ID) {
		each(b.Queue(sqlInventoryResources, uids(some), uids(ids)), func(r pgx.Rows) error {
			var res fulfil.Resource
			var called pgtype.Timestamptz
			if err := r.Scan(intoID(&res.Task), &res.Step, &res.Generation, &res.Phase, &res.Refs, &called); err != nil {
				return err
			}
			res.CalledAt = called.Time.UTC()
			k := &all[tasks[res.Task]]
			k.Resources = append(k.Resources, res)
			return nil
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the journal's parts")
	}
	return all, nil
}

// Sight notes a finding and says when it was seen first.
func (db *DB) Sight(ctx context.Context, f app.Finding, now time.Time) (time.Time, error) {
	first := now
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		item := pgtype.UUID{Bytes: f.Item, Valid: !f.Item.IsZero()}
		each(b.Queue(sqlSight, f.Provider, f.Ref, int16(f.Kind), item, f.Step, f.Generation,
			stamp(now)), func(r pgx.Rows) error { return r.Scan(intoTime(&first)) })
	})
	if err != nil {
		return first, faultOr(err, "note finding %s", f.Ref)
	}
	return first, nil
}

// Forget marks a finding as settled.
func (db *DB) Forget(ctx context.Context, f app.Finding, now time.Time) error {
	return db.inSystem(ctx, func(b *pgx.Batch) { b.Queue(sqlForget, f.Provider, f.Ref, int16(f.Kind), stamp(now)) })
}
