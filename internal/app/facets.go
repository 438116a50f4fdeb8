package app

import (
	"context"
	"net/http"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// The facets group the use cases by subject. A facade (the API or the portal) embeds the facets that it needs and
// sees no other. *App implements all of them; package apptest implements them in memory. Each use case checks the
// caller's permission itself, so no two facades can disagree about it.
var _ interface {
	Access
	Orders
	Deliveries
	Payments
	PaymentWebhooks
	Catalogue
	Operations
	Analytics
	Account
	Webhooks
} = (*App)(nil)

// Access says who the caller is and what the caller may do.
type Access interface {
	// Authenticate returns the actor that an API key belongs to. An unknown key is a fault of
	// KindUnauthenticated.
	Authenticate(ctx context.Context, bearer string) (tenant.Actor, error)
	// May reports whether an actor has a permission.
	May(actor tenant.Actor, p Permission) bool
}

// Orders are the use cases of an order, from the draft to its end.
type Orders interface {
	CreateOrder(ctx context.Context, c Caller, in CreateOrder) (*Aggregate, error)
	EditOrder(ctx context.Context, c Caller, in EditOrder) (*Aggregate, error)
	SubmitOrder(ctx context.Context, c Caller, in SubmitOrder) (*Aggregate, error)
	CancelOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error)
	RestoreOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error)
	HoldOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error)
	ReleaseOrder(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error)
	Redeliver(ctx context.Context, c Caller, in Redeliver) (*Aggregate, error)

	Order(ctx context.Context, c Caller, o order.ID) (*Aggregate, error)
	Orders(ctx context.Context, c Caller, f OrderFilter) (Page[*Aggregate], error)
	// OrderEvents returns at most limit events of an order whose seq is greater than after.
	OrderEvents(ctx context.Context, c Caller, o order.ID, after, limit int) ([]event.Record, error)
	// AllowedActions lists what the caller may do with the order now.
	AllowedActions(c Caller, agg *Aggregate) []order.Action
}

// Deliveries are the mails with credentials and the passphrases that open them. A passphrase is shown
// in the portal only (D21), so the API does not have this facet.
type Deliveries interface {
	Deliveries(ctx context.Context, c Caller, o order.ID) ([]Delivery, error)
	// ShowPassphrase returns a passphrase once; after that it is gone.
	ShowPassphrase(ctx context.Context, c Caller, o order.ID, d id.Of[Delivery]) (string, error)
}

// Payments are confirmed by an operator, and may be reverted until provisioning starts.
type Payments interface {
	ConfirmPayment(ctx context.Context, c Caller, in ConfirmPayment) (*Aggregate, error)
	RevertPayment(ctx context.Context, c Caller, in Reasoned) (*Aggregate, error)
	// PaymentMethods returns the methods that an order may choose, those that need no operator first.
	PaymentMethods() []payment.Method
}

// PaymentWebhooks are the messages of payment providers.
type PaymentWebhooks interface {
	// ReceivePaymentWebhook verifies and stores a message. A worker processes it later.
	ReceivePaymentWebhook(ctx context.Context, provider string, h http.Header, raw []byte) error
}

// Catalogue is what is sold, and at what price.
type Catalogue interface {
	Catalog(ctx context.Context) (*catalog.Catalog, error)
	Quote(ctx context.Context, c Caller, items []ItemInput, cur money.Currency) (Quote, error)
}

// Operations is the fallout desk: what happened to an order, what is stuck, refunds to move by hand, and
// the state of the consumers.
type Operations interface {
	Saga(ctx context.Context, c Caller, o order.ID) (SagaRecord, error)

	DeadLetters(ctx context.Context, c Caller, f DeadLetterFilter) (Page[DeadLetter], error)
	DeadLetterGroups(ctx context.Context, c Caller, f DeadLetterFilter) ([]DeadLetterGroup, error)
	DeadLetter(ctx context.Context, c Caller, dl id.Of[DeadLetter]) (DeadLetterDetail, error)
	RedriveDeadLetter(ctx context.Context, c Caller, dl id.Of[DeadLetter], reason string) (DeadLetter, error)
	RedriveDeadLetters(ctx context.Context, c Caller, in RedriveDeadLetters) (RedriveReport, error)
	AdoptDeadLetter(ctx context.Context, c Caller, in AdoptDeadLetter) (DeadLetter, error)
	AbandonDeadLetter(ctx context.Context, c Caller, in AbandonDeadLetter) (DeadLetter, error)
	WithdrawAbandonment(ctx context.Context, c Caller, dl id.Of[DeadLetter]) (DeadLetter, error)

	WorkItems(ctx context.Context, c Caller, cursor string, limit int) (Page[WorkItem], error)
	FinishWorkItem(ctx context.Context, c Caller, r order.RefundID, o order.ID, reason string) (*Aggregate, error)
	Routing(ctx context.Context, c Caller) (Routing, error)
}

// Analytics are figures about a tenant's orders.
type Analytics interface {
	OrderStats(ctx context.Context, c Caller) (OrderStats, error)
}

// Account is what belongs to the caller and to the caller's tenant.
type Account interface {
	Me(ctx context.Context, c Caller) (Member, error)
	// DeliveryKey returns the caller's OpenPGP public key, or nil when there is none.
	DeliveryKey(ctx context.Context, c Caller) (*KeyInfo, error)
	// PutDeliveryKey replaces the caller's OpenPGP public key. An empty one removes it.
	PutDeliveryKey(ctx context.Context, c Caller, armored []byte) (*KeyInfo, error)
	Settings(ctx context.Context, c Caller) (Settings, error)
	PutSettings(ctx context.Context, c Caller, s Settings, pre Precondition) (Settings, error)
	// Brand returns the settings that any member may see: the tenant's name and colours.
	Brand(ctx context.Context, c Caller) (Settings, error)
}

// Webhooks are the endpoints that a tenant's events are posted to.
type Webhooks interface {
	AddWebhookEndpoint(ctx context.Context, c Caller, in AddWebhookEndpoint) (IssuedSecret, error)
	EditWebhookEndpoint(ctx context.Context, c Caller, in EditWebhookEndpoint) (WebhookEndpoint, error)
	DeleteWebhookEndpoint(ctx context.Context, c Caller, e WebhookEndpointID, pre Precondition) (WebhookEndpoint, error)
	RotateWebhookSecret(ctx context.Context, c Caller, in RotateWebhookSecret) (IssuedSecret, error)
	WebhookEndpoints(ctx context.Context, c Caller) ([]WebhookEndpoint, error)
	WebhookEndpoint(ctx context.Context, c Caller, e WebhookEndpointID) (WebhookEndpoint, error)
	WebhookDeliveries(ctx context.Context, c Caller, e WebhookEndpointID,
		f WebhookDeliveryFilter) (Page[WebhookDelivery], error)
	WebhookDelivery(ctx context.Context, c Caller, e WebhookEndpointID,
		delivery WebhookDeliveryID) (WebhookDelivery, error)
	ReplayWebhookDelivery(ctx context.Context, c Caller, e WebhookEndpointID,
		delivery WebhookDeliveryID) (WebhookDelivery, error)
}

// OrderChanges wakes event streams. Its one implementation is *Hub; facades may subscribe, and only the
// live reader may wake.
type OrderChanges interface {
	// Subscribe follows one order of one tenant: woken receives when something was committed for it, and
	// carries no data. cancel ends the subscription and may be called more than once.
	Subscribe(t tenant.ID, o order.ID) (woken <-chan struct{}, cancel func())
}

var _ OrderChanges = (*Hub)(nil)
