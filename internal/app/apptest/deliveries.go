package apptest

import (
	"context"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// Deliver adds a delivery of an item's credentials, with a passphrase unless the customer has a delivery key. Call it
// within Change.
func (f *Fake) Deliver(agg *app.Aggregate, it order.ItemID) {
	sent := app.Delivery{
		ID: f.NewID(), Item: it, Recipient: agg.Customer.Email, State: app.DeliveryAccepted, At: f.Now(),
		HasPassphrase: f.pgp[agg.Order.Customer] == nil,
	}
	agg.Deliveries = append([]app.Delivery{sent}, agg.Deliveries...)
	f.passphrases[sent.ID] = "plain walnut harbour seven copper lantern drift meadow"
}

// Redeliver adds a new delivery at once.
func (f *Fake) Redeliver(_ context.Context, c app.Caller, in app.Redeliver) (*app.Aggregate, error) {
	return f.change("Redeliver", c, in, app.WriteOrders, in.Order, in.Precondition, func(entry *orderEntry) error {
		sent := 0
		for _, x := range entry.agg.Deliveries {
			if x.Item == in.Item {
				sent++
			}
		}
		if sent > 3 {
			e := fault.New(fault.KindTooMany, "redelivery-limit", "This item was delivered again three times within an hour.")
			e.After = time.Hour
			return e
		}
		asked := order.ItemFact{Item: *entry.agg.Order.Find(in.Item)}
		entry.agg.Order.Record(order.Event{Type: order.EvRedeliveryRequested, Item: &asked})
		f.Deliver(entry.agg, in.Item)
		return nil
	})
}

// Deliveries lists the deliveries of an order, newest first.
func (f *Fake) Deliveries(_ context.Context, c app.Caller, o order.ID) ([]app.Delivery, error) {
	return read(f, "Deliveries", c, o, func() ([]app.Delivery, error) {
		entry, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		return slices.Clone(entry.agg.Deliveries), nil
	})
}

// ShowPassphrase returns each passphrase once, to the order's customer.
func (f *Fake) ShowPassphrase(_ context.Context, c app.Caller, o order.ID, d id.Of[app.Delivery]) (string, error) {
	return read(f, "ShowPassphrase", c, d, func() (string, error) {
		entry, err := f.find(c, o)
		if err != nil {
			return "", err
		}
		phrase, ok := f.passphrases[d]
		if !ok || entry.agg.Order.Customer != c.Member {
			return "", fault.Absent()
		}
		delete(f.passphrases, d)
		for i := range entry.agg.Deliveries {
			if entry.agg.Deliveries[i].ID == d {
				entry.agg.Deliveries[i].HasPassphrase = false
			}
		}
		return phrase, nil
	})
}
