package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// A cursor names a list and the last row of a page. It holds no secret and grants no access: with row-level
// security, a forged cursor only moves within the caller's own rows. These are the letters of the lists.
const (
	cursorOrders      = 'o'
	cursorDeadLetters = 'd'
	cursorWork        = 'w'
)

func cursorOf[T any](list byte, last id.Of[T]) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{list}, last[:]...))
}

// parseCursor returns the row that a cursor names; the empty cursor is the beginning of the list.
func parseCursor[T any](list byte, cursor string) (id.Of[T], error) {
	var at id.Of[T]
	if cursor == "" {
		return at, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) != 1+len(at) || raw[0] != list {
		return at, fault.New(fault.KindMalformed, "bad-cursor", "This cursor is not from this list. Begin without one.")
	}
	copy(at[:], raw[1:])
	return at, nil
}

// maxPage bounds the size of a page.
const maxPage = 100

func pageSize(limit int) int { return min(max(limit, 1), maxPage) }

// conditions builds a WHERE clause. Its clauses are constants of this package; values are passed as parameters
// only.
type conditions struct {
	clauses []string
	args    []any
}

// add adds a condition that has a ? for each of its values.
func (c *conditions) add(sql string, values ...any) {
	for _, v := range values {
		c.args = append(c.args, v)
		sql = strings.Replace(sql, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.clauses = append(c.clauses, sql)
}

func (c *conditions) where() string { return " WHERE " + strings.Join(c.clauses, " AND ") }

// The ids of a page stay on the server, in a setting of the transaction, so that the page and its rows take one
// round trip. The count includes one row after the page, which reports whether there is another page.
const (
	pageIDs     = `current_setting('app.page')::uuid[]`
	sqlPageHead = `
		SELECT set_config('app.page', coalesce((array_agg(p.id ORDER BY p.id DESC))[1:%[1]d]::text, '{}'), true),
			count(*)
		FROM (
			SELECT id
			FROM orders`
	sqlPageTail = `
			ORDER BY id DESC
			LIMIT %[1]d + 1) p`
)

// Orders reads a page of orders, newest first. It pages by key, so that every page costs the same.
func (db *DB) Orders(ctx context.Context, t tenant.ID, f app.OrderFilter) (app.Page[*app.Aggregate], error) {
	after, err := parseCursor[order.Order](cursorOrders, f.Cursor)
	if err != nil {
		return app.Page[*app.Aggregate]{}, err
	}
	n := pageSize(f.Limit)
	page, args := ordersPage(t, f, after)
	var found int
	l := newLoader(t, false, app.Also{})
	err = db.readTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(page, args...).QueryRow(func(r pgx.Row) error {
			var ids string
			return r.Scan(&ids, &found)
		})
		l.queuePage(b)
	})
	if err != nil {
		return app.Page[*app.Aggregate]{}, faultOr(err, "list orders")
	}
	slices.Reverse(l.aggregates) // they were read in ascending order of the key
	p := app.Page[*app.Aggregate]{Data: l.aggregates}
	if found > n {
		p.Next = cursorOf(cursorOrders, l.aggregates[n-1].Order.ID)
	}
	return p, nil
}

// ordersPage returns the statement that puts the ids of a page into app.page, and its parameters.
func ordersPage(t tenant.ID, f app.OrderFilter, after order.ID) (string, []any) {
	c := orderConditions(t, f, after)
	n := pageSize(f.Limit)
	return fmt.Sprintf(sqlPageHead, n) + c.where() + fmt.Sprintf(sqlPageTail, n), c.args
}

func orderConditions(t tenant.ID, f app.OrderFilter, after order.ID) *conditions {
	c := &conditions{}
	c.add(`tenant_id = ?`, uid(t))
	if !after.IsZero() {
		c.add(`id < ?`, uid(after))
	}
	if !f.Deleted && f.State != order.Cancelled {
		c.clauses = append(c.clauses, `deleted_at IS NULL`)
	}
	if !f.Customer.IsZero() {
		c.add(`customer_id = ?`, uid(f.Customer))
	}
	if f.State != 0 {
		c.add(`state = ?::smallint`, int16(f.State))
	}
	if f.Outcome != nil {
		c.add(`outcome = ?::smallint`, int16(*f.Outcome))
	}
	if f.Settlement != nil {
		// A literal, because a parameter never matches the condition of the partial index orders_settlement.
		c.clauses = append(c.clauses, fmt.Sprintf(`settlement = %d`, *f.Settlement))
	}
	if !f.CreatedAfter.IsZero() {
		c.add(`id >= ?`, uid(id.AtOrAfter[order.Order](f.CreatedAfter))) // the id's time is created_at
	}
	if !f.CreatedBefore.IsZero() {
		c.add(`id < ?`, uid(id.AtOrAfter[order.Order](f.CreatedBefore)))
	}
	if f.Product != "" {
		c.add(`EXISTS (
			SELECT FROM order_items i
			WHERE i.tenant_id = ? AND i.order_id = orders.id AND i.product = ? AND i.removed_at IS NULL)`,
			uid(t), storable(f.Product))
	}
	if f.Reference != "" {
		c.add(`id IN (
			SELECT p.order_id FROM payments p
			WHERE p.tenant_id = ? AND p.reference = ?)`,
			uid(t), storable(f.Reference))
	}
	if f.Query != "" {
		// Both bounds of a prefix, because ^@ and LIKE use no index under row-level security.
		q := storable(f.Query)
		number := strings.ToUpper(q)
		c.add(`id IN (
			SELECT n.id FROM orders n
			WHERE n.tenant_id = ? AND n.number >= ? AND n.number < ?
			UNION ALL
			SELECT e.id FROM orders e
			WHERE e.tenant_id = ? AND e.external_id >= ? AND e.external_id < ?
			UNION ALL
			SELECT i.order_id FROM order_items i
			WHERE i.tenant_id = ? AND i.label_key >= lower(?) AND i.label_key < lower(?) || chr(1114111)
				AND i.removed_at IS NULL)`,
			uid(t), number, number+lastRune, uid(t), q, q+lastRune, uid(t), q, q)
	}
	return c
}

// lastRune is the highest rune. In the collation "C", a prefix followed by it is an upper bound for the texts
// that begin with the prefix.
const lastRune = "\U0010FFFF"

// storable returns a text that the server accepts. A text that it would refuse becomes one that matches no
// stored text.
func storable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) {
		return s
	}
	return lastRune + strings.ReplaceAll(strings.ToValidUTF8(s, lastRune), "\x00", lastRune)
}

// DeadLetters reads a page of the fallout desk, newest first.
func (db *DB) DeadLetters(ctx context.Context, t tenant.ID, f app.DeadLetterFilter) (app.Page[app.DeadLetter], error) {
	after, err := parseCursor[app.DeadLetter](cursorDeadLetters, f.Cursor)
	if err != nil {
		return app.Page[app.DeadLetter]{}, err
	}
	c := deadLetterConditions(t, f)
	if !after.IsZero() {
		c.add(`id < ?`, uid(after))
	}
	n := pageSize(f.Limit)
	sql := `SELECT ` + deadLetterRead + ` FROM dead_letters` + c.where() +
		fmt.Sprintf(` ORDER BY id DESC LIMIT %d`, n+1)
	var p app.Page[app.DeadLetter]
	err = db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sql, c.args...), func(r pgx.Rows) error {
			d, err := scanDeadLetter(r)
			p.Data = append(p.Data, d)
			return err
		})
	})
	if err != nil {
		return app.Page[app.DeadLetter]{}, faultOr(err, "list dead letters")
	}
	if len(p.Data) > n {
		p.Data = p.Data[:n]
		p.Next = cursorOf(cursorDeadLetters, p.Data[n-1].ID)
	}
	return p, nil
}

func deadLetterConditions(t tenant.ID, f app.DeadLetterFilter) *conditions {
	c := &conditions{}
	c.add(`tenant_id = ?`, uid(t))
	switch {
	case f.State == nil:
	case *f.State == app.DeadLetterOpen:
		// Both states that need a person, as literals: a parameter never matches the condition of the partial indexes.
		c.clauses = append(c.clauses, fmt.Sprintf(`state IN (%d, %d)`, app.DeadLetterOpen, app.DeadLetterParked))
	default:
		c.add(`state = ?::smallint`, int16(*f.State))
	}
	if f.Cause != "" {
		c.add(`error_code = ?`, storable(f.Cause))
	}
	if f.Class != nil {
		c.add(`class = ?`, f.Class.String())
	}
	if !f.Order.IsZero() {
		c.add(`order_id = ?`, uid(f.Order))
	}
	return c
}

// DeadLetterGroups counts the dead letters of a filter by cause and class, the largest group first.
func (db *DB) DeadLetterGroups(
	ctx context.Context, t tenant.ID, f app.DeadLetterFilter,
) ([]app.DeadLetterGroup, error) {
	c := deadLetterConditions(t, f)
	var groups []app.DeadLetterGroup
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		sql := `
			SELECT error_code, class, count(*), min(first_failed_at), max(at)
			FROM dead_letters` + c.where() + fmt.Sprintf(`
			GROUP BY 1, 2
			ORDER BY 3 DESC, 1, 2
			LIMIT %d`, maxPage)
		each(b.Queue(sql, c.args...), func(r pgx.Rows) error {
			var g app.DeadLetterGroup
			var class string
			err := r.Scan(&g.Cause, &class, &g.Count, intoTime(&g.Oldest), intoTime(&g.Newest))
			g.Class = classOf(class)
			groups = append(groups, g)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "group dead letters")
	}
	return groups, nil
}

// DeadLetter reads one dead letter.
func (db *DB) DeadLetter(ctx context.Context, t tenant.ID, d id.Of[app.DeadLetter]) (app.DeadLetter, error) {
	var got *app.DeadLetter
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sqlDeadLetter, uid(t), uid(d)), func(r pgx.Rows) error {
			found, err := scanDeadLetter(r)
			got = &found
			return err
		})
	})
	if err != nil {
		return app.DeadLetter{}, faultOr(err, "read dead letter %s", d)
	}
	if got == nil {
		return app.DeadLetter{}, fault.Absent()
	}
	return *got, nil
}

// sqlWorkItems selects the accepted refunds that an operator transfers, oldest first: those of the payment
// providers $2.
const sqlWorkItems = `
	SELECT r.id, r.payment_id, r.item_id, r.state, r.reference, r.cents, r.currency, r.accepted_at,
		o.id, o.number, p.reference
	FROM refunds r
	JOIN payments p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id
	JOIN orders o ON o.tenant_id = r.tenant_id AND o.id = r.order_id
	WHERE r.tenant_id = $1
		AND r.state = ` + refundAccepted + `
		AND p.provider = ANY ($2::text[])
		AND ($3::uuid IS NULL OR r.id > $3)
	ORDER BY r.id
	LIMIT $4`

// WorkItems reads a page of the refunds that an operator has to carry out, those of the payment providers byHand.
func (db *DB) WorkItems(
	ctx context.Context, t tenant.ID, byHand []string, cursor string, limit int,
) (app.Page[app.WorkItem], error) {
	after, err := parseCursor[order.Refund](cursorWork, cursor)
	if err != nil {
		return app.Page[app.WorkItem]{}, err
	}
	n := pageSize(limit)
	var p app.Page[app.WorkItem]
	err = db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sqlWorkItems, uid(t), byHand, uid(after), n+1), func(r pgx.Rows) error {
			var w app.WorkItem
			f := &w.Refund
			err := r.Scan(intoID(&f.ID), intoID(&f.Payment), intoID(&f.Item), &f.State, &f.Reference, &f.Cents,
				&f.Currency, intoTimePtr(&f.AcceptedAt), intoID(&w.Order), &w.Number, &w.Reference)
			if f.AcceptedAt != nil {
				w.Since = *f.AcceptedAt
			}
			p.Data = append(p.Data, w)
			return err
		})
	})
	if err != nil {
		return app.Page[app.WorkItem]{}, faultOr(err, "list work items")
	}
	if len(p.Data) > n {
		p.Data = p.Data[:n]
		p.Next = cursorOf(cursorWork, p.Data[n-1].Refund.ID)
	}
	return p, nil
}

// Deliveries reads the mails of an order's items, newest first.
func (db *DB) Deliveries(ctx context.Context, t tenant.ID, o order.ID) ([]app.Delivery, error) {
	var known bool
	var list []app.Delivery
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlOrderExists, uid(t), uid(o)).QueryRow(func(r pgx.Row) error { return r.Scan(&known) })
		each(b.Queue(sqlDeliveries, uid(t), []pgtype.UUID{uid(o)}), func(r pgx.Rows) error {
			var of order.ID
			d, err := scanDelivery(r, &of)
			list = append(list, d)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the deliveries of order %s", o)
	}
	if !known {
		return nil, fault.Absent()
	}
	return list, nil
}

const (
	sqlRate = `
		SELECT rate, source, at
		FROM exchange_rates
		WHERE currency = $1
		ORDER BY at DESC
		LIMIT 1`
	sqlRateAdd = `
		INSERT INTO exchange_rates (currency, at, rate, source)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`
)

// Rate returns the newest exchange rate from EUR, or nil if none is set. EUR itself has no rate.
func (db *DB) Rate(ctx context.Context, cur money.Currency) (*order.FX, error) {
	if cur == money.EUR {
		return nil, nil
	}
	var fx *order.FX
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlRate, string(cur)).QueryRow(func(r pgx.Row) (err error) {
			if fx, err = scanRate(r); absent(err) {
				return nil
			}
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the rate of %s", cur)
	}
	return fx, nil
}

// AddRate adds a rate of a currency that is valid from fx.At on; earlier rates stay.
func (db *DB) AddRate(ctx context.Context, cur money.Currency, fx order.FX) error {
	return db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlRateAdd, string(cur), stamp(fx.At), fx.Rate.String(), fx.Source)
	})
}
