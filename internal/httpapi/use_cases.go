package httpapi

import "github.com/platforma-cloud/orders/internal/app"

// UseCases are the facets of the application that the API serves. *app.App implements them.
type UseCases interface {
	app.Access
	app.Orders
	app.Payments
	app.PaymentWebhooks
	app.Catalogue
	app.Operations
	app.Analytics
	app.Account
	app.Webhooks
}
