package httpapi

import (
	"context"
	"net/http"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Verbs are all that this package calls; *app.App satisfies them. Who may call what is decided behind
// them, so that the portal and the API cannot disagree.
type Verbs interface {
	Access
	Orders
	Money
	Shop
	Desk
	Account
	Webhooks
}

var _ Verbs = (*app.App)(nil)

// Access says who is asking.
type Access interface {
	// Authenticate finds the actor behind an API key; a fault of KindUnauthenticated otherwise.
	Authenticate(ctx context.Context, bearer string) (tenant.Actor, error)
	// May tells whether an actor has a permission.
	May(actor tenant.Actor, p app.Permission) bool
}

// Orders is an order's life as its customer sees it.
type Orders interface {
	CreateOrder(ctx context.Context, c app.Caller, in app.CreateOrder) (*app.Dossier, error)
	EditOrder(ctx context.Context, c app.Caller, in app.EditOrder) (*app.Dossier, error)
	SubmitOrder(ctx context.Context, c app.Caller, in app.SubmitOrder) (*app.Dossier, error)
	CancelOrder(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	RestoreOrder(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	HoldOrder(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	ReleaseOrder(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	Redeliver(ctx context.Context, c app.Caller, in app.Redeliver) (*app.Dossier, error)

	Order(ctx context.Context, c app.Caller, o order.ID) (*app.Dossier, error)
	Orders(ctx context.Context, c app.Caller, f app.OrderFilter) (app.Page[*app.Dossier], error)
	OrderEvents(ctx context.Context, c app.Caller, o order.ID, after, limit int) ([]event.Record, error)
	AllowedActions(c app.Caller, d *app.Dossier) []order.Action
}

// Money comes in, and is taken back before provisioning.
type Money interface {
	ConfirmPayment(ctx context.Context, c app.Caller, in app.ConfirmPayment) (*app.Dossier, error)
	RevertPayment(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	// ReceivePaymentWebhook verifies and stores a payment provider's message; it is processed later.
	ReceivePaymentWebhook(ctx context.Context, provider string, h http.Header, raw []byte) error
}

// Shop is what is sold, and for how much.
type Shop interface {
	Catalog(ctx context.Context) (*catalog.Catalog, error)
	Quote(ctx context.Context, c app.Caller, items []app.ItemInput, cur money.Currency) (app.Quote, error)
}

// Desk is the operator's: fallout, refunds moved by hand, figures.
type Desk interface {
	Saga(ctx context.Context, c app.Caller, o order.ID) (app.SagaRecord, error)
	DeadLetters(ctx context.Context, c app.Caller, f app.DeadLetterFilter) (app.Page[app.DeadLetter], error)
	LetterGroups(ctx context.Context, c app.Caller, f app.DeadLetterFilter) ([]app.LetterGroup, error)
	DeadLetter(ctx context.Context, c app.Caller, d id.Of[app.DeadLetter]) (app.LetterDetail, error)
	RedriveDeadLetter(ctx context.Context, c app.Caller, d id.Of[app.DeadLetter], reason string) (app.DeadLetter, error)
	RedriveDeadLetters(ctx context.Context, c app.Caller, in app.RedriveLetters) (app.RedriveReport, error)
	AdoptDeadLetter(ctx context.Context, c app.Caller, in app.AdoptLetter) (app.DeadLetter, error)
	AbandonDeadLetter(ctx context.Context, c app.Caller, in app.AbandonLetter) (app.DeadLetter, error)
	WithdrawAbandonment(ctx context.Context, c app.Caller, d id.Of[app.DeadLetter]) (app.DeadLetter, error)
	WorkItems(ctx context.Context, c app.Caller, cursor string, limit int) (app.Page[app.WorkItem], error)
	FinishWorkItem(ctx context.Context, c app.Caller, r order.RefundID, o order.ID, reason string) (*app.Dossier, error)
	OrderStats(ctx context.Context, c app.Caller) (app.OrderStats, error)
	Routing(ctx context.Context, c app.Caller) (app.Routing, error)
}

// Account is the caller's own, and the tenant's settings.
type Account interface {
	Me(ctx context.Context, c app.Caller) (app.Member, error)
	DeliveryKey(ctx context.Context, c app.Caller) (*app.KeyInfo, error)
	// PutDeliveryKey replaces the OpenPGP public key; an empty one removes it.
	PutDeliveryKey(ctx context.Context, c app.Caller, armored []byte) (*app.KeyInfo, error)
	Settings(ctx context.Context, c app.Caller) (app.Settings, error)
	PutSettings(ctx context.Context, c app.Caller, s app.Settings, p app.Precondition) (app.Settings, error)
}

// Webhooks are where a tenant's events are posted.
type Webhooks interface {
	AddEndpoint(ctx context.Context, c app.Caller, in app.AddEndpoint) (app.IssuedSecret, error)
	EditEndpoint(ctx context.Context, c app.Caller, in app.EditEndpoint) (app.Endpoint, error)
	DeleteEndpoint(ctx context.Context, c app.Caller, e app.EndpointID, p app.Precondition) (app.Endpoint, error)
	RotateSecret(ctx context.Context, c app.Caller, in app.RotateSecret) (app.IssuedSecret, error)
	Endpoints(ctx context.Context, c app.Caller) ([]app.Endpoint, error)
	Endpoint(ctx context.Context, c app.Caller, e app.EndpointID) (app.Endpoint, error)
	Postings(ctx context.Context, c app.Caller, e app.EndpointID, f app.PostingFilter) (app.Page[app.Posting], error)
	Posting(ctx context.Context, c app.Caller, e app.EndpointID, p app.PostingID) (app.Posting, error)
	ReplayPosting(ctx context.Context, c app.Caller, e app.EndpointID, p app.PostingID) (app.Posting, error)
}

// Hub wakes streams: whoever subscribes to an order of a tenant hears that something was committed for
// it, never what. There is no way to hear of another order.
type Hub interface {
	Subscribe(t tenant.ID, o order.ID) (woken <-chan struct{}, cancel func())
}
