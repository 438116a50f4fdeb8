package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

const (
	sqlOrders = `
		SELECT id, number, external_id, customer_id, state, outcome, settlement, policy, closing, method,
			version, last_seq, currency, due_cents, fx_rate, fx_source, fx_at, faults, held_at, expires_at,
			delivery_stuck, created_at, updated_at, deleted_at
		FROM orders
		WHERE tenant_id = $1 AND id = ANY ($2::uuid[])
		ORDER BY tenant_id, id`
	sqlOrderInsert = `
		INSERT INTO orders (tenant_id, id, number, customer_id, created_at,
			external_id, state, outcome, settlement, policy, closing, method, version, last_seq,
			currency, due_cents, fx_rate, fx_source, fx_at, faults, held_at, expires_at, delivery_stuck,
			updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5,
			$6, $7, $8, $9, $10, $11, $12, $13, $14,
			$15, $16, $17, $18, $19, $20, $21, $22, $23,
			$24, $25)`
	// The version cannot change under the row lock; if it has, nothing may be committed.
	sqlOrderUpdate = `
		WITH hit AS (
			UPDATE orders
			SET external_id = $4, state = $5, outcome = $6, settlement = $7, policy = $8, closing = $9,
				method = $10, version = $11, last_seq = $12, currency = $13, due_cents = $14, fx_rate = $15,
				fx_source = $16, fx_at = $17, faults = $18, held_at = $19, expires_at = $20, delivery_stuck = $21,
				updated_at = $22, deleted_at = $23
			WHERE tenant_id = $1 AND id = $2 AND version = $3
			RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = 1, 'order moved under its lock')`
)

// orderColumns returns the values of the columns that change during an order's life, in the order of both
// statements. They can be compared one by one.
func orderColumns(o *order.Order) ([]any, error) {
	var rate, source pgtype.Text
	var at pgtype.Timestamptz
	if o.FX != nil {
		rate = pgtype.Text{String: o.FX.Rate.String(), Valid: true}
		source = pgtype.Text{String: o.FX.Source, Valid: true}
		at = stamp(o.FX.At)
	}
	var faults pgtype.Text
	if len(o.Faults) > 0 {
		raw, err := json.Marshal(o.Faults)
		if err != nil {
			return nil, fmt.Errorf("encode the faults of order %s: %w", o.ID, err)
		}
		faults = pgtype.Text{String: string(raw), Valid: true}
	}
	return []any{
		text(o.ExternalID), int16(o.State), int16(o.Outcome), int16(o.Settlement), int16(o.Policy), int16(o.Closing),
		o.Method, o.Version, o.LastSeq, string(o.Currency), int64(o.Due), rate, source, at, faults,
		stampOf(o.HeldAt), stampOf(o.ExpiresAt), o.DeliveryStuck, stamp(o.UpdatedAt), stampOf(o.DeletedAt),
	}, nil
}

// Insert queues a new order with its items, tasks and events.
func (x *tx) Insert(agg *app.Aggregate) {
	o := agg.Order
	columns, err := orderColumns(o)
	if err != nil {
		x.fail(err)
		return
	}
	fixed := []any{uid(x.tenant), uid(o.ID), o.Number, uid(o.Customer), stamp(o.CreatedAt)}
	x.queue(sqlOrderInsert, append(fixed, columns...)...)
	x.loaded[agg] = &loaded{}
	x.saveRows(agg)
}

// Save queues what changed in the aggregate since it was locked. If only items or tasks changed, the order's row
// keeps its version.
func (x *tx) Save(agg *app.Aggregate) {
	was := x.loaded[agg]
	if was == nil {
		x.fail(fmt.Errorf("save order %s: it was not locked in this transaction", agg.Order.ID))
		return
	}
	columns, err := orderColumns(agg.Order)
	if err != nil {
		x.fail(err)
		return
	}
	if !slices.Equal(columns, was.order) {
		x.queue(sqlOrderUpdate, append([]any{uid(x.tenant), uid(agg.Order.ID), was.version}, columns...)...)
	}
	x.saveRows(agg)
}

// saveRows queues the rows that belong to an order, each kind after those it refers to.
func (x *tx) saveRows(agg *app.Aggregate) {
	x.saveItems(agg)
	x.savePayments(agg)
	x.saveRefunds(agg)
	x.saveTasks(agg)
	x.saveResources(agg)
	x.saveCredentials(agg)
	x.insertDeliveries(agg)
	x.insertLog(agg)
	x.saveDeadLetters(agg)
	x.saveReceipts(agg)
	x.saveIncidents(agg)
	x.insertEvents(agg)
}

func (l *loader) scanOrder(r pgx.Rows) error {
	o := &order.Order{Tenant: l.tenant}
	var external, rate, source pgtype.Text
	var faults []byte
	var fxAt time.Time
	err := r.Scan(intoID(&o.ID), &o.Number, &external, intoID(&o.Customer), &o.State, &o.Outcome, &o.Settlement,
		&o.Policy, &o.Closing, &o.Method, &o.Version, &o.LastSeq, &o.Currency, &o.Due, &rate, &source,
		intoTime(&fxAt), &faults, intoTimePtr(&o.HeldAt), intoTimePtr(&o.ExpiresAt), &o.DeliveryStuck,
		intoTime(&o.CreatedAt), intoTime(&o.UpdatedAt), intoTimePtr(&o.DeletedAt))
	if err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	o.ExternalID = external.String
	if rate.Valid {
		parsed, err := money.ParseRate(rate.String)
		if err != nil {
			return fmt.Errorf("read the rate of order %s: %w", o.ID, err)
		}
		o.FX = &order.FX{Rate: parsed, Source: source.String, At: fxAt}
	}
	if faults != nil {
		if err := json.Unmarshal(faults, &o.Faults); err != nil {
			return fmt.Errorf("read the faults of order %s: %w", o.ID, err)
		}
	}
	return l.add(o)
}
