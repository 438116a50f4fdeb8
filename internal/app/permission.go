package app

import (
	"slices"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Permission is what a use case needs. An API key's scopes are permissions too.
type Permission string

// Every permission.
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

// rights of each role. Operator includes customer, admin includes operator (D24); an auditor reads.
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

// May reports whether an actor has a permission: by role, and by the scopes of the key in use.
func (a *App) May(actor tenant.Actor, p Permission) bool {
	if actor.Kind == tenant.KindSystem || actor.Kind == tenant.KindProvider && p == ConfirmMoney {
		return true
	}
	return actor.Kind == tenant.KindMember && slices.Contains(rights[actor.Role], p) &&
		(len(actor.Scopes) == 0 || slices.Contains(actor.Scopes, string(p)))
}

func (a *App) may(actor tenant.Actor, p Permission) error {
	if a.May(actor, p) {
		return nil
	}
	return fault.New(fault.KindForbidden, fault.CodeForbidden,
		"This needs the permission %s, which your role or key does not have. Ask an admin of your organisation.", p)
}

// sees reports whether an actor may see an order: a customer sees their own, everybody else all of the tenant.
func (a *App) sees(actor tenant.Actor, o *order.Order) bool {
	return actor.Tenant == o.Tenant && (actor.Kind != tenant.KindMember || actor.Role != tenant.Customer ||
		o.Customer == actor.Member)
}

var actionRights = map[order.Action]Permission{
	order.ActEdit: WriteOrders, order.ActSubmit: WriteOrders, order.ActCancel: WriteOrders, order.ActRestore: WriteOrders,
	order.ActConfirmPayment: ConfirmMoney, order.ActRevertPayment: RevertMoney, order.ActHold: HoldOrders,
	order.ActRelease: HoldOrders,
}

// AllowedActions lists what this caller could do to the order now: by its state and by their rights.
func (a *App) AllowedActions(c Caller, agg *Aggregate) []order.Action {
	allowed := []order.Action{}
	for _, act := range agg.Order.AllowedActions() {
		if a.May(c.Actor, actionRights[act]) {
			allowed = append(allowed, act)
		}
	}
	return allowed
}
