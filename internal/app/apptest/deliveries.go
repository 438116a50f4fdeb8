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

// Deliver sends an item's credentials, with a passphrase unless the customer has a delivery key. Call it
// within Change.
func (f *Fake) Deliver(agg *app.Aggregate, it order.ItemID) {
	sent := app.Delivery{
		ID: f.NewID(), Item: it, Recipient: agg.Customer.Email, State: app.DeliveryAccepted, At: f.Now(),
		HasPassphrase: f.pgp[agg.Order.Customer] == nil,
	}
	agg.Deliveries = append([]app.Delivery{sent}, agg.Deliveries...)
	f.phrases[sent.ID] = "plain walnut harbour seven copper lantern drift meadow"
}

// Redeliver sends a new delivery at once.
func (f *Fake) Redeliver(_ context.Context, c app.Caller, in app.Redeliver) (*app.Aggregate, error) {
	return f.change("Redeliver", c, in, app.WriteOrders, in.Order, in.Precondition, func(h *held) error {
		sent := 0
		for _, x := range h.d.Deliveries {
			if x.Item == in.Item {
				sent++
			}
		}
		if sent > 3 {
			e := fault.New(fault.KindTooMany, "redelivery-limit", "This item was delivered again three times within an hour.")
			e.After = time.Hour
			return e
		}
		asked := order.ItemFact{Item: *h.d.Order.Find(in.Item)}
		h.d.Order.Record(order.Event{Type: order.EvRedeliveryRequested, Item: &asked})
		f.Deliver(h.d, in.Item)
		return nil
	})
}

// Deliveries of an order, the newest first.
func (f *Fake) Deliveries(_ context.Context, c app.Caller, o order.ID) ([]app.Delivery, error) {
	return read(f, "Deliveries", c, o, func() ([]app.Delivery, error) {
		h, err := f.find(c, o)
		if err != nil {
			return nil, err
		}
		return slices.Clone(h.d.Deliveries), nil
	})
}

// ShowPassphrase shows each once, to the order's own customer.
func (f *Fake) ShowPassphrase(_ context.Context, c app.Caller, o order.ID, d id.Of[app.Delivery]) (string, error) {
	return read(f, "ShowPassphrase", c, d, func() (string, error) {
		h, err := f.find(c, o)
		if err != nil {
			return "", err
		}
		phrase, ok := f.phrases[d]
		if !ok || h.d.Order.Customer != c.Member {
			return "", fault.Absent()
		}
		delete(f.phrases, d)
		for i := range h.d.Deliveries {
			if h.d.Deliveries[i].ID == d {
				h.d.Deliveries[i].HasPassphrase = false
			}
		}
		return phrase, nil
	})
}
