package analytics_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/analytics"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

var (
	acme     = tenant.ID{15: 1}
	orderID  = order.ID{15: 2}
	refundID = order.RefundID{15: 3}
)

func hour(h int) time.Time { return time.Date(2026, 3, 2, h, 0, 0, 0, time.UTC) }

// eventAt is an event of an order that was created at nine.
func eventAt(at int, typ event.Type, to, due string, cur money.Currency) event.Event {
	ev := event.Event{Record: event.Record{Tenant: acme, Order: orderID, Type: typ, At: hour(at)}}
	ev.Payload = event.Data{To: to, CreatedAt: hour(9), Due: event.Amount{Amount: due, Currency: cur}}
	return ev
}

func withPayment(ev event.Event, at int, amount string) event.Event {
	ev.Payload.Payment = &event.Payment{Amount: event.Amount{Amount: amount, Currency: "EUR"}, PaidAt: hour(at)}
	return ev
}

func withRefund(ev event.Event, state string) event.Event {
	ev.Payload.Refund = &event.Refund{ID: refundID, Amount: event.Amount{Amount: "20.10", Currency: "EUR"}, State: state}
	return ev
}

func count(state order.State, cur money.Currency, orders, paid int, due money.Cents) analytics.Count {
	return analytics.Count{
		Tenant: acme, At: hour(9), State: state, Currency: cur, Orders: orders, Paid: paid, PaidDue: due,
	}
}

func captured(at int, c money.Cents) analytics.Movement {
	return analytics.Movement{Tenant: acme, At: hour(at), Currency: "EUR", Captured: c}
}

func refunded(at int, c money.Cents) analytics.Movement {
	return analytics.Movement{Tenant: acme, At: hour(at), Currency: "EUR", Refunded: c}
}

// The order goes through everything that changes a figure. Each expected value is worked out by hand.
func TestEachEventAddsWhatItChanges(t *testing.T) {
	t.Parallel()
	p, refunds := analytics.Projection{Tenant: acme, Order: orderID}, map[order.RefundID]analytics.Refund{}
	for i, step := range []struct {
		ev     event.Event
		counts []analytics.Count
		money  []analytics.Movement
	}{
		{eventAt(9, order.EvCreated, "draft", "20.10", "CHF"), []analytics.Count{count(order.Draft, "CHF", 1, 0, 0)}, nil},
		{eventAt(10, order.EvUpdated, "draft", "40.20", "EUR"), []analytics.Count{
			count(order.Draft, "CHF", -1, 0, 0),
			count(order.Draft, "EUR", 1, 0, 0),
		}, nil},
		{eventAt(10, order.EvHeld, "draft", "40.20", "EUR"), nil, nil}, // a hold changes no figure
		{
			eventAt(11, order.EvSubmitted, "pending_payment", "40.20", "EUR"),
			[]analytics.Count{count(order.Draft, "EUR", -1, 0, 0), count(order.PendingPayment, "EUR", 1, 0, 0)},
			nil,
		},
		{
			// the payment was made at eight and is twenty cents short
			withPayment(eventAt(12, order.EvPaymentConfirmed, "payment_confirmed", "40.20", "EUR"), 8, "40.00"),
			[]analytics.Count{count(order.PendingPayment, "EUR", -1, 0, 0), count(order.PaymentConfirmed, "EUR", 1, 1, 40_20)},
			[]analytics.Movement{captured(8, 40_00)},
		},
		{
			withPayment(eventAt(13, order.EvPaymentReverted, "pending_payment", "40.20", "EUR"), 8, "40.00"),
			[]analytics.Count{count(order.PaymentConfirmed, "EUR", -1, -1, -40_20), count(order.PendingPayment, "EUR", 1, 0, 0)},
			[]analytics.Movement{captured(8, -40_00)},
		},
		{
			withPayment(eventAt(14, order.EvPaymentConfirmed, "payment_confirmed", "40.20", "EUR"), 14, "40.20"),
			[]analytics.Count{count(order.PendingPayment, "EUR", -1, 0, 0), count(order.PaymentConfirmed, "EUR", 1, 1, 40_20)},
			[]analytics.Movement{captured(14, 40_20)},
		},
		// the event carries the payment and does not change it
		{withPayment(eventAt(15, order.EvItemActive, "payment_confirmed", "40.20", "EUR"), 14, "40.20"), nil, nil},
		{withRefund(eventAt(15, order.EvRefundRequested, "payment_confirmed", "40.20", "EUR"), "requested"), nil, nil},
		{withRefund(eventAt(15, order.EvRefundFailed, "payment_confirmed", "40.20", "EUR"), "stuck"), nil, nil},
		{
			withRefund(eventAt(16, order.EvRefundAccepted, "payment_confirmed", "40.20", "EUR"), "accepted"), nil,
			[]analytics.Movement{refunded(16, 20_10)},
		},
		{withRefund(eventAt(17, order.EvRefundCompleted, "payment_confirmed", "40.20", "EUR"), "completed"), nil, nil},
		{
			withRefund(eventAt(18, order.EvRefundFailed, "payment_confirmed", "40.20", "EUR"), "stuck"), nil,
			[]analytics.Movement{refunded(16, -20_10)},
		},
		{
			withRefund(eventAt(19, order.EvRefundAccepted, "payment_confirmed", "40.20", "EUR"), "accepted"), nil,
			[]analytics.Movement{refunded(16, 20_10)},
		},
		{eventAt(20, order.EvCancelled, "cancelled", "40.20", "EUR"), []analytics.Count{
			count(order.PaymentConfirmed, "EUR", -1, -1, -40_20),
			count(order.Cancelled, "EUR", 1, 1, 40_20),
		}, nil},
		{eventAt(21, order.EvRestored, "draft", "40.20", "EUR"), []analytics.Count{
			count(order.Cancelled, "EUR", -1, -1, -40_20),
			count(order.Draft, "EUR", 1, 1, 40_20),
		}, nil},
		{eventAt(22, order.EvUpdated, "draft", "60.30", "EUR"), []analytics.Count{
			count(order.Draft, "EUR", -1, -1, -40_20),
			count(order.Draft, "EUR", 1, 1, 60_30),
		}, nil},
	} {
		before := p
		moved, err := p.Apply(step.ev, refunds)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.counts, p.CountsSince(before)); diff != "" {
			t.Errorf("step %d, %s: counts (-want +got):\n%s", i, step.ev.Type, diff)
		}
		if diff := cmp.Diff(step.money, moved); diff != "" {
			t.Errorf("step %d, %s: money (-want +got):\n%s", i, step.ev.Type, diff)
		}
	}
}

func TestAnEventWithAnUnknownStateOrAmountIsRefused(t *testing.T) {
	t.Parallel()
	for name, ev := range map[string]event.Event{
		"state":   eventAt(9, order.EvCreated, "flying", "20.10", "EUR"),
		"due":     eventAt(9, order.EvCreated, "draft", "20,10", "EUR"),
		"payment": withPayment(eventAt(9, order.EvPaymentConfirmed, "payment_confirmed", "20.10", "EUR"), 9, "much"),
	} {
		p := analytics.Projection{Tenant: acme, Order: orderID}
		if moved, err := p.Apply(ev, map[order.RefundID]analytics.Refund{}); err == nil {
			t.Errorf("%s: applied as %+v, %v", name, p, moved)
		}
	}
}
