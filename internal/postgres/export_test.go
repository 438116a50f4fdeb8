package postgres

import (
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// OrdersPage returns the statement that selects a page of orders, and its parameters.
func OrdersPage(t tenant.ID, f app.OrderFilter, after order.ID) (string, []any) {
	return ordersPage(t, f, after)
}

// AggregateStatements returns the statements that read aggregates by the ids of their orders.
func AggregateStatements() map[string]string {
	return map[string]string{
		"orders": sqlOrders, "lock": sqlOrders + ` FOR NO KEY UPDATE`, "items": sqlItems, "payments": sqlPayments,
		"allocations": sqlAllocations, "refunds": sqlRefunds, "tasks": sqlTasks, "dead letters": sqlOpenDeadLetters,
		"customers": sqlCustomers, "resources": sqlResources, "deliveries": sqlDeliveries,
	}
}

// PageStatements returns the same statements for the orders whose ids are in app.page.
func PageStatements() map[string]string {
	statements := AggregateStatements()
	for name, sql := range statements {
		statements[name] = strings.ReplaceAll(sql, "$2::uuid[]", pageIDs)
	}
	return statements
}

// PendingStatement returns the statement by which the relay reads the outbox, and the one that sets up its session.
func PendingStatement() (sql, session string) { return sqlPending, sqlLeaseSession }
