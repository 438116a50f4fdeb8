package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// loader reads dossiers, one or a hundred, in one round trip: the orders first (locked or not), then
// one statement for each kind of row that hangs on them. Under a lock these must be statements of
// their own: joined to the locking one they would show rows from before the wait.
type loader struct {
	tenant   tenant.ID
	lock     bool
	also     app.Also
	dossiers []*app.Dossier
	byOrder  map[order.ID]*app.Dossier
	loaded   map[*app.Dossier]*loaded
	payments map[order.PaymentID]*order.Payment
}

// loaded is a dossier's rows as they were read: Save writes what differs.
type loaded struct {
	version  int
	order    []any
	items    map[order.ItemID]itemRow
	payments map[order.PaymentID]order.PaymentState
	refunds  map[order.RefundID]refundRow
	units    map[fulfilUnitID]unitRow
	parts    map[partKey]partRow
	letters  map[letterID]letterRow
}

func newLoader(t tenant.ID, lock bool, also app.Also) *loader {
	return &loader{
		tenant: t, lock: lock, also: also, byOrder: map[order.ID]*app.Dossier{},
		loaded: map[*app.Dossier]*loaded{}, payments: map[order.PaymentID]*order.Payment{},
	}
}

// add takes a new order into the list, in the order of the first statement.
func (l *loader) add(o *order.Order) error {
	columns, err := orderColumns(o)
	if err != nil {
		return err
	}
	d := &app.Dossier{Order: o}
	l.dossiers = append(l.dossiers, d)
	l.byOrder[o.ID] = d
	l.loaded[d] = &loaded{
		version:  o.Version,
		order:    columns,
		items:    map[order.ItemID]itemRow{},
		payments: map[order.PaymentID]order.PaymentState{},
		refunds:  map[order.RefundID]refundRow{},
		units:    map[fulfilUnitID]unitRow{},
		parts:    map[partKey]partRow{},
		letters:  map[letterID]letterRow{},
	}
	return nil
}

// queue puts the statements for these orders into a batch; the dossiers are whole once it is closed.
func (l *loader) queue(b *pgx.Batch, ids []order.ID) {
	t, these := uid(l.tenant), uids(ids)
	l.queueBy(b, func(sql string) *pgx.QueuedQuery { return b.Queue(sql, t, these) })
}

// queuePage does the same for the orders that an earlier statement of the batch has put on the page.
func (l *loader) queuePage(b *pgx.Batch) {
	t := uid(l.tenant)
	l.queueBy(b, func(sql string) *pgx.QueuedQuery { return b.Queue(strings.ReplaceAll(sql, "$2::uuid[]", pageIDs), t) })
}

func (l *loader) queueBy(b *pgx.Batch, queue func(sql string) *pgx.QueuedQuery) {
	orders := sqlOrders
	if l.lock {
		orders += ` FOR NO KEY UPDATE`
	}
	each(queue(orders), l.scanOrder)
	each(queue(sqlItems), l.scanItem)
	each(queue(sqlPayments), l.scanPayment)
	queue(sqlAllocations).Query(func(rows pgx.Rows) error {
		l.indexPayments()
		return eachOf(rows, l.scanAllocation)
	})
	each(queue(sqlRefunds), l.scanRefund)
	each(queue(sqlUnits), l.scanUnit)
	each(queue(sqlOpenLetters), l.scanLetter)
	each(queue(sqlCustomers), l.scanCustomer)
	if l.also.Parts {
		each(queue(sqlParts), l.scanPart)
	}
	if l.also.Deliveries {
		each(queue(sqlDeliveries), l.scanDelivery)
	}
	if l.also.PaymentReference != "" {
		each(b.Queue(sqlKnownPayment, uid(l.tenant), l.also.PaymentProvider, l.also.PaymentReference), l.scanKnownPayment)
	}
	queueSettings(b, l.tenant, func(s app.Settings) {
		for _, d := range l.dossiers {
			d.Settings = s
		}
	})
}

// each runs scan on every row of a queued query.
func each(q *pgx.QueuedQuery, scan func(pgx.Rows) error) {
	q.Query(func(rows pgx.Rows) error { return eachOf(rows, scan) })
}

func eachOf(rows pgx.Rows, scan func(pgx.Rows) error) error {
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
