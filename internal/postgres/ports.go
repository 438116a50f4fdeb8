package postgres

import "github.com/platforma-cloud/orders/internal/app"

// The ports that a DB implements, each with the logins that have its privileges.
var (
	_ app.Store               = (*DB)(nil)
	_ app.Accounts            = (*DB)(nil) // api, portal
	_ app.PaymentWebhookStore = (*DB)(nil) // api keeps, worker finishes
	_ app.Tasks               = (*DB)(nil) // worker
	_ app.WorkSource          = (*DB)(nil) // worker
	_ app.WebhookDeliveryJobs = (*DB)(nil) // worker
	_ app.Outbox              = (*DB)(nil) // relay
	_ app.Refusals            = (*DB)(nil) // worker
	_ app.AuditLog            = (*DB)(nil) // audit
	_ app.EventTable          = (*DB)(nil) // worker
	_ app.Rollup              = (*DB)(nil) // worker
	_ app.Notices             = (*DB)(nil) // worker
	_ app.CatalogSource       = (*Catalogue)(nil)
)
