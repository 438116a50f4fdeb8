package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// loader reads one or many aggregates in one round trip: first the orders, with or without a lock, then one
// statement for each kind of row that belongs to them. After a lock these must be separate statements, because
// a join with the locking one would show the rows from before the wait.
type loader struct {
	tenant     tenant.ID
	lock       bool
	also       app.Also
	aggregates []*app.Aggregate
	byOrder    map[order.ID]*app.Aggregate
	loaded     map[*app.Aggregate]*loaded
	payments   map[order.PaymentID]*order.Payment
}

// loaded holds the rows of an aggregate as they were read. Save writes the rows that differ.
type loaded struct {
	version     int
	order       []any
	items       map[order.ItemID]itemRow
	payments    map[order.PaymentID]order.PaymentState
	refunds     map[order.RefundID]refundRow
	tasks       map[fulfilTaskID]taskRow
	resources   map[resourceKey]resourceRow
	deadLetters map[deadLetterID]deadLetterRow
}

func newLoader(t tenant.ID, lock bool, also app.Also) *loader {
	return &loader{
		tenant: t, lock: lock, also: also, byOrder: map[order.ID]*app.Aggregate{},
		loaded: map[*app.Aggregate]*loaded{}, payments: map[order.PaymentID]*order.Payment{},
	}
}

// add appends an aggregate for an order, in the order of the first statement's rows.
func (l *loader) add(o *order.Order) error {
	columns, err := orderColumns(o)
	if err != nil {
		return err
	}
	agg := &app.Aggregate{Order: o}
	l.aggregates = append(l.aggregates, agg)
	l.byOrder[o.ID] = agg
	l.loaded[agg] = &loaded{
		version:     o.Version,
		order:       columns,
		items:       map[order.ItemID]itemRow{},
		payments:    map[order.PaymentID]order.PaymentState{},
		refunds:     map[order.RefundID]refundRow{},
		tasks:       map[fulfilTaskID]taskRow{},
		resources:   map[resourceKey]resourceRow{},
		deadLetters: map[deadLetterID]deadLetterRow{},
	}
	return nil
}

// queue adds the statements for the given orders to a batch. The aggregates are complete when the batch is
// closed.
func (l *loader) queue(b *pgx.Batch, ids []order.ID) {
	t, orders := uid(l.tenant), uids(ids)
	l.queueBy(b, func(sql string) *pgx.QueuedQuery { return b.Queue(sql, t, orders) })
}

// queuePage does the same for the orders whose ids an earlier statement of the batch has put into app.page.
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
		known := b.Queue(sqlKnownPayments, uid(l.tenant), l.also.PaymentProviders, l.also.PaymentReference)
		each(known, l.scanKnownPayment)
	}
	queueSettings(b, l.tenant, func(s app.Settings) {
		for _, agg := range l.aggregates {
			agg.Settings = s
		}
	})
}

// each calls scan for every row of a queued query.
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
