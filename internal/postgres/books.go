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
	bookColumns = `
		SELECT i.tenant_id, i.order_id, i.id, i.state, u.id, coalesce(u.state IN (` + taskLive + `), false), coalesce(u.provider, '')
		FROM order_items i
		LEFT JOIN LATERAL (
			SELECT x.id, x.state, x.provider FROM saga_units x
			WHERE x.tenant_id = i.tenant_id AND x.order_id = i.order_id AND x.item_id = i.id AND x.kind = ` + taskProvision + `
			ORDER BY x.id DESC LIMIT 1) u ON true`
	sqlItemsOf  = bookColumns + ` WHERE i.tenant_id = ANY ($1::uuid[]) AND i.id = ANY ($2::uuid[])`
	sqlStanding = bookColumns + `
		WHERE i.tenant_id = ANY ($1::uuid[]) AND i.state IN (` + itemActive + `, ` + itemDelivered + `)`
	sqlBookParts = `
		SELECT unit_id, part, generation, phase, refs, called_at FROM saga_parts
		WHERE tenant_id = ANY ($1::uuid[]) AND unit_id = ANY ($2::uuid[])`
	sqlSight = `
		INSERT INTO reaper_findings AS f (provider, ref, kind, item, part, generation, first_seen, last_seen) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
		ON CONFLICT (provider, ref, kind) DO UPDATE
		SET last_seen = $7, first_seen = CASE WHEN f.settled_at IS NULL THEN f.first_seen ELSE $7 END, settled_at = NULL
		RETURNING first_seen`
	sqlForget = `UPDATE reaper_findings SET settled_at = $4 WHERE provider = $1 AND ref = $2 AND kind = $3`
)

// ItemsOf reads items by id over all tenants: see app.Books. For the worker.
func (db *DB) ItemsOf(ctx context.Context, items []order.ItemID) ([]app.Booked, error) {
	if len(items) == 0 {
		return nil, nil
	}
	return db.booked(ctx, sqlItemsOf, uids(items))
}

// Standing reads every item that should have resources now, over all tenants.
func (db *DB) Standing(ctx context.Context) ([]app.Booked, error) { return db.booked(ctx, sqlStanding) }

func (db *DB) booked(ctx context.Context, sql string, args ...any) ([]app.Booked, error) {
	list, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	tenants := make([]tenant.ID, len(list))
	for i, t := range list {
		tenants[i] = t.ID
	}
	slices.SortFunc(tenants, func(a, b tenant.ID) int { return slices.Compare(a[:], b[:]) })
	var all []app.Booked
	units := map[fulfil.UnitID]int{}
	err = db.inTenants(ctx, tenants, func(b *pgx.Batch, some []tenant.ID) {
		each(b.Queue(sql, append([]any{uids(some)}, args...)...), func(r pgx.Rows) error {
			var k app.Booked
			var u pgtype.UUID
			if err := r.Scan(intoID(&k.Tenant), intoID(&k.Order), intoID(&k.Item), &k.State, &u, &k.Live, &k.Queue); err != nil {
				return err
			}
			if k.Unit = u.Bytes; u.Valid {
				units[k.Unit] = len(all)
			}
			all = append(all, k)
			return nil
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the books")
	}
	ids := make([]fulfil.UnitID, 0, len(units))
	for u := range units {
		ids = append(ids, u)
	}
	err = db.inTenants(ctx, tenants, func(b *pgx.Batch, some []tenant.ID) {
		each(b.Queue(sqlBookParts, uids(some), uids(ids)), func(r pgx.Rows) error {
			var p fulfil.Part
			var called pgtype.Timestamptz
			if err := r.Scan(intoID(&p.Unit), &p.Part, &p.Generation, &p.Phase, &p.Refs, &called); err != nil {
				return err
			}
			p.CalledAt = called.Time.UTC()
			k := &all[units[p.Unit]]
			k.Parts = append(k.Parts, p)
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
		each(b.Queue(sqlSight, f.Provider, f.Ref, int16(f.Kind), item, f.Part, f.Generation, stamp(now)), func(r pgx.Rows) error { return r.Scan(intoTime(&first)) })
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
