package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Incident is something about an order that operators are to be told of. It is written in the transaction
// of what asks for it, so it is never lost; the same subject a second time is the same incident. One about
// a webhook is WebhookEndpointTx.NoteFailing.
type Incident struct {
	Cause   notice.Cause
	Subject [16]byte // the event or dead letter
	At      time.Time
}

// Notices keeps what operators are to be told, and when they were told: the worker's login.
type Notices interface {
	// NoteOverdue writes an incident for each order that has waited for its payment for half of the time it
	// has, once, and tells how many were new.
	NoteOverdue(ctx context.Context) (int, error)
	// DueNotices lists the causes, of all tenants, with incidents that nobody was told of, for which no notice
	// went out within the time given and which nobody holds.
	DueNotices(ctx context.Context, quiet time.Duration) ([]NoticeRef, error)
	// ClaimNotice takes a due cause until a moment; ok is false when it is not due or held. What is not told by
	// then is handed out again under the same number, with what came since.
	ClaimNotice(ctx context.Context, r NoticeRef, quiet time.Duration, holder [16]byte,
		until time.Time) (n OperatorNotice, ok bool, err error)
	// FinishNotice says that operators were told of what was claimed. When another holds it meanwhile it
	// changes nothing.
	FinishNotice(ctx context.Context, n OperatorNotice) error
}

// NoticeRef names a cause of a tenant.
type NoticeRef struct {
	Tenant tenant.ID
	Cause  notice.Cause
}

// Told are the roles that are told of a cause: webhooks are the admins' alone (D24).
func (r NoticeRef) SourceEvents() []tenant.Role {
	if r.Cause == notice.WebhookFailing {
		return []tenant.Role{tenant.Admin}
	}
	return []tenant.Role{tenant.Operator, tenant.Admin}
}

// OperatorNotice is what a claim found.
type OperatorNotice struct {
	NoticeRef
	Holder    [16]byte
	Number    int // of the tenant's notices of this cause, from 1
	Count     int // incidents
	Since     time.Time
	Orders    []string                 // numbers of the last orders concerned, 10 at most
	AllOrders int                      // how many orders are concerned
	Failing   []FailingWebhookEndpoint // the last webhooks concerned, 10 at most
	AllHooks  int                      // how many webhooks are concerned
	Settings  Settings
	Operators []Member // of the roles that are told and not revoked, 20 at most
}

// FailingWebhookEndpoint is a webhook as an incident has it: how it stood when it became failing.
type FailingWebhookEndpoint struct {
	ID         WebhookEndpointID
	URL        string // as it is now
	Since      time.Time
	LastStatus int // of HTTP; 0: no answer came
	LastResult PostResult
}

// Receipt is a row of Billing's ledger: an event that it heard, and what that says of money.
type Receipt struct {
	Seq     int
	Event   event.ID
	Type    order.EventType
	At      time.Time // of the event
	Amount  event.Amount
	Cents   money.Cents // the same
	Item    order.ItemID
	Subject [16]byte // the payment or refund; zero: no money moves by it
	Stands  int64    // what the ledger says of the subject after it, in minor units: + received, - given back
}

// BillingFinding is an order that ended, by an event, with money left in the ledger or with books that do
// not balance.
type BillingFinding struct {
	Seq   int
	Event event.ID
	Left  money.Cents
}
