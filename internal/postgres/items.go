package postgres

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
)

const (
	sqlItems = `
		SELECT order_id, id, line, state, label, generation, snapshot, price_cents, progress, detail,
			removed_at IS NOT NULL
		FROM order_items
		WHERE tenant_id = $1 AND order_id = ANY ($2::uuid[])
		ORDER BY order_id, line`
	sqlItemsInsert = `
		INSERT INTO order_items (tenant_id, order_id,
			id, line, state, product, label, generation, snapshot, price_cents, progress, detail)
		SELECT $1, $2,
			x.id, x.line, x.state, x.product, x.label, x.generation, x.snapshot::json, x.price_cents, x.progress,
			x.detail
		FROM unnest($3::uuid[], $4::smallint[], $5::smallint[], $6::text[], $7::text[], $8::int[], $9::text[],
				$10::bigint[], $11::smallint[], $12::text[])
			AS x(id, line, state, product, label, generation, snapshot, price_cents, progress, detail)`
	sqlItemsUpdate = `
		WITH hit AS (
			UPDATE order_items i
			SET state = x.state, product = x.product, label = x.label, generation = x.generation,
				snapshot = x.snapshot::json, price_cents = x.price_cents, progress = x.progress, detail = x.detail
			FROM unnest($3::uuid[], $4::smallint[], $5::smallint[], $6::text[], $7::text[], $8::int[], $9::text[],
					$10::bigint[], $11::smallint[], $12::text[])
				AS x(id, line, state, product, label, generation, snapshot, price_cents, progress, detail)
			WHERE i.tenant_id = $1 AND i.order_id = $2 AND i.id = x.id
			RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = cardinality($3::uuid[]), 'item is not there')`
	sqlItemsRemove = `
		UPDATE order_items
		SET removed_at = $4
		WHERE tenant_id = $1 AND order_id = $2 AND id = ANY ($3::uuid[])`
)

// itemRow is an item as it is stored. It is comparable.
type itemRow struct {
	id         pgtype.UUID
	line       int16
	state      int16
	product    string
	label      string
	generation int32
	snapshot   string
	price      int64
	progress   int16
	detail     string
}

func itemRowOf(it *order.Item) (itemRow, error) {
	snapshot, err := json.Marshal(it.Snapshot)
	if err != nil {
		return itemRow{}, fmt.Errorf("encode the snapshot of item %s: %w", it.ID, err)
	}
	return itemRow{
		id: uid(it.ID), line: int16(it.Line), state: int16(it.State), product: it.Snapshot.Product, label: it.Label,
		generation: int32(it.Generation), snapshot: string(snapshot), price: int64(it.Price),
		progress: int16(it.Progress), detail: it.Detail,
	}, nil
}

func (l *loader) scanItem(r pgx.Rows) error {
	var o order.ID
	var it order.Item
	var snapshot string
	var removed bool
	err := r.Scan(intoID(&o), intoID(&it.ID), &it.Line, &it.State, &it.Label, &it.Generation, &snapshot, &it.Price,
		&it.Progress, &it.Detail, &removed)
	if err != nil {
		return fmt.Errorf("read item: %w", err)
	}
	agg := l.byOrder[o]
	if agg == nil {
		return nil
	}
	if agg.LastLine = max(agg.LastLine, it.Line); removed {
		return nil
	}
	if err := json.Unmarshal([]byte(snapshot), &it.Snapshot); err != nil {
		return fmt.Errorf("read the snapshot of item %s: %w", it.ID, err)
	}
	agg.Order.Items = append(agg.Order.Items, it)
	l.loaded[agg].items[it.ID] = itemRow{
		id: uid(it.ID), line: int16(it.Line), state: int16(it.State), product: it.Snapshot.Product, label: it.Label,
		generation: int32(it.Generation), snapshot: snapshot, price: int64(it.Price), progress: int16(it.Progress),
		detail: it.Detail,
	}
	return nil
}

func (x *tx) saveItems(agg *app.Aggregate) {
	was := x.loaded[agg]
	var added, changed []itemRow
	var removed []order.ItemID
	present := map[order.ItemID]bool{}
	for i := range agg.Order.Items {
		it := &agg.Order.Items[i]
		row, err := itemRowOf(it)
		if err != nil {
			x.fail(err)
			return
		}
		present[it.ID] = true
		old, known := was.items[it.ID]
		switch {
		case !known:
			added = append(added, row)
		case old != row:
			changed = append(changed, row)
		}
	}
	for id := range was.items {
		if !present[id] {
			removed = append(removed, id)
		}
	}
	if len(removed) > 0 && agg.Order.State != order.Draft {
		x.fail(fmt.Errorf("save order %s: %d items are gone from an order that is %s", agg.Order.ID,
			len(removed), agg.Order.State))
		return
	}
	t, o := uid(x.tenant), uid(agg.Order.ID)
	if len(removed) > 0 {
		slices.SortFunc(removed, func(a, b order.ItemID) int { return slices.Compare(a[:], b[:]) })
		x.queue(sqlItemsRemove, t, o, uids(removed), stamp(x.now))
	}
	if len(changed) > 0 {
		x.queue(sqlItemsUpdate, itemColumns(t, o, changed)...)
	}
	if len(added) > 0 {
		x.queue(sqlItemsInsert, itemColumns(t, o, added)...)
	}
}

func itemColumns(t, o pgtype.UUID, rows []itemRow) []any {
	return []any{
		t, o,
		column(rows, func(r *itemRow) pgtype.UUID { return r.id }),
		column(rows, func(r *itemRow) int16 { return r.line }),
		column(rows, func(r *itemRow) int16 { return r.state }),
		column(rows, func(r *itemRow) string { return r.product }),
		column(rows, func(r *itemRow) string { return r.label }),
		column(rows, func(r *itemRow) int32 { return r.generation }),
		column(rows, func(r *itemRow) string { return r.snapshot }),
		column(rows, func(r *itemRow) int64 { return r.price }),
		column(rows, func(r *itemRow) int16 { return r.progress }),
		column(rows, func(r *itemRow) string { return r.detail }),
	}
}
