package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// loader reads aggregates, one or a hundred, in one round trip: the orders first (locked or not), then
// one statement for each kind of row that hangs on them. Under a lock these must be statements of
// their own: joined to the locking one they would show rows from before the wait.
type loader struct {
	tenant   tenant.ID
	lock     bool
	also     app.Also
	dossiers []*app.Aggregate
	byOrder  map[order.ID]*app.Aggregate
	loaded   map[*app.Aggregate]*loaded
	payments map[order.PaymentID]*order.Payment
}

// loaded is a aggregate's rows as they were read: Save writes what differs.
type loaded struct {
	version     int
	order       []any
	items       map[order.ItemID]itemRow
	payments    map[order.PaymentID]order.PaymentState
	refunds     map[order.RefundID]refundRow
	tasks       map[fulfilTaskID]taskRow
	parts       map[resourceKey]resourceRow
	deadLetters map[deadLetterID]deadLetterRow
}

func newLoader(t tenant.ID, lock bool, also app.Also) *loader {
	return &loader{
		tenant: t, lock: lock, also: also, byOrder: map[order.ID]*app.Aggregate{},
		loaded: map[*app.Aggregate]*loaded{}, payments: map[order.PaymentID]*order.Payment{},
	}
}

// add takes a new order into the list, in the order of the first statement.
func (l *loader) add(o *order.Order) error {
	columns, err := orderColumns(o)
	if err != nil {
		return err
	}
	agg := &app.Aggregate{Order: o}
	l.dossiers = append(l.dossiers, agg)
	l.byOrder[o.ID] = agg
	l.loaded[agg] = &loaded{
		version:     o.Version,
		order:       columns,
		items:       map[order.ItemID]itemRow{},
		payments:    map[order.PaymentID]order.PaymentState{},
		refunds:     map[order.RefundID]refundRow{},
		tasks:       map[fulfilTaskID]taskRow{},
		parts:       map[resourceKey]resourceRow{},
		deadLetters: map[deadLetterID]deadLetterRow{},
	}
	return nil
}

// queue puts the statements for these orders into a batch; the aggregates are whole once it is closed.
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
	each(queue(sqlTasks), l.scanTask)
	each(queue(sqlOpenDeadLetters), l.scanDeadLetter)
	each(queue(sqlCustomers), l.scanCustomer)
	if l.also.Resources {
		each(queue(sqlResources), l.scanResource)
	}
	if l.also.Deliveries {
		each(queue(sqlDeliveries), l.scanDelivery)
	}
	if l.also.PaymentReference != "" {
		each(b.Queue(sqlKnownPayment, uid(l.tenant), l.also.PaymentProvider, l.also.PaymentReference), l.scanKnownPayment)
	}
	queueSettings(b, l.tenant, func(s app.Settings) {
		for _, agg := range l.dossiers {
			agg.Settings = s
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
