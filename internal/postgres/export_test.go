package postgres

import (
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// OrdersPage is the statement behind a page of orders.
func OrdersPage(t tenant.ID, f app.OrderFilter, after order.ID) (string, []any) {
	return ordersPage(t, f, after)
}

// AggregateStatements are the statements that read aggregates by the ids of their orders.
func AggregateStatements() map[string]string {
	return map[string]string{
		"orders": sqlOrders, "lock": sqlOrders + ` FOR NO KEY UPDATE`, "items": sqlItems, "payments": sqlPayments,
		"allocations": sqlAllocations,
		"refunds":     sqlRefunds, "tasks": sqlTasks, "dead letters": sqlOpenDeadLetters, "customers": sqlCustomers,
		"resources": sqlResources, "deliveries": sqlDeliveries,
	}
}

// PageStatements are the same for the orders that were put on a page.
func PageStatements() map[string]string {
	all := AggregateStatements()
	for name, sql := range all {
		all[name] = strings.ReplaceAll(sql, "$2::uuid[]", pageIDs)
	}
	return all
}

// PendingStatement is the relay's read of the outbox, and what its session begins with.
func PendingStatement() (sql, session string) { return sqlPending, sqlLeaseSession }
