package apptest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// CreateOrder creates a draft.
func (f *Fake) CreateOrder(_ context.Context, c app.Caller, in app.CreateOrder) (*app.Aggregate, error) {
	return write(f, "CreateOrder", c, in, func() (*app.Aggregate, error) {
		policy, _ := order.ParsePolicy(in.Policy)
		oid := f.NewID()
		sum := sha256.Sum256(oid[:])
		o := &order.Order{
			ID: oid, Tenant: c.Tenant, Number: "ORD-" + strings.ToUpper(hex.EncodeToString(sum[:4])),
			ExternalID: in.ExternalID, Customer: c.Member, State: order.Draft, Policy: policy,
			Currency: f.settings[c.Tenant].Currency, CreatedAt: f.Now(),
		}
		entry := &orderEntry{agg: &app.Aggregate{Order: o, Settings: f.settings[c.Tenant], Customer: f.members[c.Member]}}
		if err := f.fill(o, in.Items); err != nil {
			return nil, err
		}
		o.Record(order.Event{Type: order.EvCreated, From: order.Draft})
		f.commit(entry, c.Actor)
		f.orders = append([]*orderEntry{entry}, f.orders...)
		return snapshot(entry), nil
	})
}

// fill replaces the items of a draft, at the catalogue's prices.
func (f *Fake) fill(o *order.Order, items []app.ItemInput) error {
	var list []order.Item
	for i, in := range items {
		snap, faults := f.price(in, fmt.Sprintf("/items/%d", i))
		if len(faults) > 0 {
			return fault.Violated(faults)
		}
		it := order.Item{
			ID: f.NewID(), Line: i + 1, State: order.ItemPending, Label: in.Label, Generation: 1,
			Snapshot: snap, Price: snap.Due,
		}
		if known, err := id.Parse[order.Item](in.ID); err == nil {
			it.ID = known
		}
		list = append(list, it)
	}
	o.Items = list
	o.Due = o.Totals().DueNow
	return nil
}

// change runs a use case that changes an order. It checks the permission, whether the caller may see the order, and
// the version, and then calls change.
func (f *Fake) change(
	useCase string, c app.Caller, in any, need app.Permission, o order.ID, pre app.Precondition,
	change func(entry *orderEntry) error,
) (*app.Aggregate, error) {
	return write(f, useCase, c, in, func() (*app.Aggregate, error) {
		if err := f.refuse(c, need); err != nil {
			return nil, err
		}
		entry, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		if at := entry.agg.Order.Version; pre.Version != nil && *pre.Version != at {
			return nil, fault.New(fault.KindConflict, fault.CodeVersionConflict,
				"The order is at version %d, not %d. Read it again, then decide.", at, *pre.Version)
		}
		if err := change(entry); err != nil {
			return nil, err
		}
		f.commit(entry, c.Actor)
		return snapshot(entry), nil
	})
}

// EditOrder changes a draft.
func (f *Fake) EditOrder(_ context.Context, c app.Caller, in app.EditOrder) (*app.Aggregate, error) {
	return f.change("EditOrder", c, in, app.WriteOrders, in.Order, in.Precondition, func(entry *orderEntry) error {
		o := entry.agg.Order
		if in.Policy != nil {
			o.Policy, _ = order.ParsePolicy(*in.Policy)
		}
		if in.ExternalID != nil {
			o.ExternalID = *in.ExternalID
		}
		if in.Items != nil {
			if err := f.fill(o, *in.Items); err != nil {
				return err
			}
		}
		o.Record(order.Event{Type: order.EvUpdated, From: order.Draft})
		return nil
	})
}

// SubmitOrder freezes a draft.
func (f *Fake) SubmitOrder(_ context.Context, c app.Caller, in app.SubmitOrder) (*app.Aggregate, error) {
	return f.change("SubmitOrder", c, in, app.WriteOrders, in.Order, in.Precondition, func(entry *orderEntry) error {
		o := entry.agg.Order
		if len(o.Items) == 0 {
			return fault.New(fault.KindInvalid, "order-empty", "The order has no items. Add at least one, then submit.")
		}
		expires := f.Now().AddDate(0, 0, 14)
		o.Method, o.ExpiresAt = in.PaymentMethod, &expires
		_, err := o.Fire(order.Submit, "")
		return err
	})
}

// CancelOrder compensates the items that can be, and accepts all refunds at once.
func (f *Fake) CancelOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Aggregate, error) {
	return f.change("CancelOrder", c, in, app.WriteOrders, in.Order, in.Precondition, func(entry *orderEntry) error {
		o := entry.agg.Order
		if _, err := o.Fire(order.Cancel, in.Reason); err != nil {
			return err
		}
		for i := range o.Items {
			if err := o.MoveItem(&o.Items[i], order.Unrecoverable, order.ItemFact{}, in.Reason); err == nil {
				o.RequestRefund(f.NewID(), &o.Items[i], in.Reason)
			}
		}
		for i := range o.Refunds {
			o.MoveRefund(&o.Refunds[i], order.RefundAccepted, "", f.Now(), in.Reason)
		}
		o.Resettle(in.Reason)
		return nil
	})
}

// RestoreOrder makes a cancelled order a draft again.
func (f *Fake) RestoreOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Aggregate, error) {
	return f.change("RestoreOrder", c, in, app.WriteOrders, in.Order, in.Precondition, func(entry *orderEntry) error {
		o := entry.agg.Order
		for i := range o.Items {
			if err := o.MoveItem(&o.Items[i], order.RestoreItem, order.ItemFact{}, in.Reason); err != nil {
				return err
			}
		}
		o.Closing, o.Settlement = order.NotClosing, order.SettlementSettled
		_, err := o.Fire(order.Restore, in.Reason)
		o.Settlement = order.SettlementOpen
		return err
	})
}

// HoldOrder holds an order.
func (f *Fake) HoldOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Aggregate, error) {
	return f.change("HoldOrder", c, in, app.HoldOrders, in.Order, in.Precondition, func(entry *orderEntry) error {
		now := f.Now()
		entry.agg.Order.HeldAt = &now
		entry.agg.Order.Record(order.Event{Type: order.EvHeld, Reason: in.Reason})
		return nil
	})
}

// ReleaseOrder releases a held order.
func (f *Fake) ReleaseOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Aggregate, error) {
	return f.change("ReleaseOrder", c, in, app.HoldOrders, in.Order, in.Precondition, func(entry *orderEntry) error {
		entry.agg.Order.HeldAt = nil
		entry.agg.Order.Record(order.Event{Type: order.EvReleased, Reason: in.Reason})
		return nil
	})
}
