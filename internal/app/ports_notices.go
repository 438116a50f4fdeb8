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

// Incident is something about an order of which operators are notified. It commits with its cause, so it is never
// lost. The same cause and subject again is the same incident. WebhookEndpointTx.NoteFailing writes the incident
// of a webhook.
type Incident struct {
	Cause   notice.Cause
	Subject [16]byte // the event or dead letter
	At      time.Time
}

// Notices stores the incidents for operators, and when they were notified. It needs the worker's login.
type Notices interface {
	// NoteOverdue writes an incident, once, for each order that has waited for half of its time to be paid. It
	// returns how many were new.
	NoteOverdue(ctx context.Context) (int, error)
	// DueNotices lists the causes, of all tenants, that are due: they have incidents of which nobody was notified,
	// no notice of them was sent within quiet, and no worker has claimed them.
	DueNotices(ctx context.Context, quiet time.Duration) ([]NoticeRef, error)
	// ClaimNotice claims a due cause for a holder until a time. ok is false when the cause is not due or is claimed.
	// A claim that is not finished by then can be claimed again, under the same number and with later incidents.
	ClaimNotice(ctx context.Context, r NoticeRef, quiet time.Duration, holder [16]byte,
		until time.Time) (n OperatorNotice, ok bool, err error)
	// FinishNotice records that operators were notified. It changes nothing when another holder has the claim now.
	FinishNotice(ctx context.Context, n OperatorNotice) error
}

// NoticeRef names a tenant's cause of notices.
type NoticeRef struct {
	Tenant tenant.ID
	Cause  notice.Cause
}

// SourceEvents returns the roles that are notified of a cause. Webhooks concern only admins (D24).
func (r NoticeRef) Roles() []tenant.Role {
	if r.Cause == notice.WebhookFailing {
		return []tenant.Role{tenant.Admin}
	}
	return []tenant.Role{tenant.Operator, tenant.Admin}
}

// OperatorNotice is the content of a claimed notice.
type OperatorNotice struct {
	NoticeRef
	Holder    [16]byte
	Number    int // counts the tenant's notices of this cause, from 1
	Count     int // number of incidents
	Since     time.Time
	Orders    []string                 // numbers of the last 10 orders concerned
	AllOrders int                      // how many orders are concerned
	Failing   []FailingWebhookEndpoint // the last 10 webhooks concerned
	AllHooks  int                      // how many webhooks are concerned
	Settings  Settings
	Operators []Member // up to 20 members with a role that is notified, not revoked
}

// FailingWebhookEndpoint is a webhook's state at the time when it became failing.
type FailingWebhookEndpoint struct {
	ID         WebhookEndpointID
	URL        string // the current one
	Since      time.Time
	LastStatus int // HTTP status; 0 when no answer came
	LastResult CallResult
}

// Receipt is a row of Billing's ledger: an event that Billing received, and its effect on money.
type Receipt struct {
	Seq     int
	Event   event.ID
	Type    order.EventType
	At      time.Time // of the event
	Amount  event.Amount
	Cents   money.Cents // Amount, in minor units
	Item    order.ItemID
	Subject [16]byte // the payment or refund; zero when the event moves no money
	Balance int64    // the subject's balance after the event, in minor units: positive received, negative refunded
}

// BillingFinding is an order that ended with money left in the ledger, or whose payments and refunds do not match
// its items.
type BillingFinding struct {
	Seq     int
	Event   event.ID
	Balance money.Cents
}
