package app

import (
	"slices"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Permission is a right that a use case requires. The scopes of an API key are permissions too.
type Permission string

// The permissions.
const (
	SeeCatalog     Permission = "catalog:read"
	AskQuote       Permission = "quotes:create"
	ReadOrders     Permission = "orders:read"
	WriteOrders    Permission = "orders:write"
	ConfirmMoney   Permission = "payments:confirm"
	RevertMoney    Permission = "payments:revert"
	HoldOrders     Permission = "orders:hold"
	ReadSaga       Permission = "saga:read"
	ReadDesk       Permission = "desk:read"
	WorkDesk       Permission = "desk:write"
	ReadAnalytics  Permission = "analytics:read"
	ReadRouting    Permission = "routing:read"
	OwnDeliveryKey Permission = "me:delivery-key"
	ReadSettings   Permission = "settings:read"
	WriteSettings  Permission = "settings:write"
	ReadWebhooks   Permission = "webhooks:read"
	WriteWebhooks  Permission = "webhooks:write"
)

// rights gives the permissions of each role. An operator has those of a customer, and an admin those of an operator
// (D24). An auditor only reads.
var rights = func() map[tenant.Role][]Permission {
	customer := []Permission{SeeCatalog, AskQuote, ReadOrders, WriteOrders, OwnDeliveryKey}
	operator := append(slices.Clone(customer), ConfirmMoney, RevertMoney, HoldOrders, ReadSaga, ReadDesk, WorkDesk,
		ReadAnalytics, ReadRouting)
	return map[tenant.Role][]Permission{
		tenant.Customer: customer,
		tenant.Operator: operator,
		tenant.Admin:    append(slices.Clone(operator), ReadSettings, WriteSettings, ReadWebhooks, WriteWebhooks),
		tenant.Auditor:  {SeeCatalog, ReadOrders, ReadSaga, ReadDesk, ReadAnalytics, ReadRouting, ReadSettings, ReadWebhooks},
	}
}()

// May reports whether an actor has a permission. The role must grant it, and so must the scopes of the API key, if
// it has any.
func (a *App) May(actor tenant.Actor, p Permission) bool {
	if actor.Kind == tenant.KindSystem || actor.Kind == tenant.KindProvider && p == ConfirmMoney {
		return true
	}
	return actor.Kind == tenant.KindMember && slices.Contains(rights[actor.Role], p) &&
		(len(actor.Scopes) == 0 || slices.Contains(actor.Scopes, string(p)))
}

// may returns a fault when the actor does not have the permission.
func (a *App) may(actor tenant.Actor, p Permission) error {
	if a.May(actor, p) {
		return nil
	}
	return fault.New(fault.KindForbidden, fault.CodeForbidden,
		"This needs the permission %s, which your role or key does not have. Ask an admin of your organisation.", p)
}

// sees reports whether an actor may see an order. A customer sees their own orders; everybody else sees all orders of
// the tenant. What an actor may not see is answered like what is not there, with fault.Absent (D24); the rows of
// another tenant are not even read, because of the tenant walls.
func (a *App) sees(actor tenant.Actor, o *order.Order) bool {
	return actor.Tenant == o.Tenant && (actor.Kind != tenant.KindMember || actor.Role != tenant.Customer ||
		o.Customer == actor.Member)
}

var actionRights = map[order.Action]Permission{
	order.ActEdit: WriteOrders, order.ActSubmit: WriteOrders, order.ActCancel: WriteOrders, order.ActRestore: WriteOrders,
	order.ActConfirmPayment: ConfirmMoney, order.ActRevertPayment: RevertMoney, order.ActHold: HoldOrders,
	order.ActRelease: HoldOrders,
}

// AllowedActions lists what the caller may do with the order now, by its state and the caller's permissions.
func (a *App) AllowedActions(c Caller, agg *Aggregate) []order.Action {
	allowed := []order.Action{}
	for _, act := range agg.Order.AllowedActions() {
		if a.May(c.Actor, actionRights[act]) {
			allowed = append(allowed, act)
		}
	}
	return allowed
}
