package portal

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestMoneyCountsARevertedPaymentOnNeitherSide(t *testing.T) {
	t.Parallel()
	a, b := order.ItemID{1}, order.ItemID{2}
	o := &order.Order{
		Currency: "EUR", Due: 30_00, Items: []order.Item{
			{ID: a, Label: "a", Price: 10_00},
			{ID: b, Label: "b", Price: 20_00},
		},
		Payments: []order.Payment{
			{
				State: order.PaymentReverted, Paid: 30_00, Due: 30_00, Currency: "EUR",
				Allocations: []order.Allocation{{Item: a, Cents: 10_00}, {Item: b, Cents: 20_00}},
			},
			{
				State: order.PaymentLive, Paid: 30_01, Due: 30_00, Currency: "EUR",
				Allocations: []order.Allocation{{Item: a, Cents: 10_00}, {Item: b, Cents: 20_01}},
			},
		},
		Refunds: []order.Refund{{Item: b, State: order.RefundAccepted, Cents: money.Cents(20_01), Currency: "EUR"}},
	}
	got := moneyOf(o)
	want := moneyView{
		Due: "€30.00", Paid: "€30.01", Refunded: "€20.01", Kept: "€10.00", Difference: "€0.01", Unexplained: "€0.00",
		Balanced: true, HasPaid: true, Currency: "EUR", Payments: o.Payments,
		Rows: []moneyRow{{"a", "€10.00", "€10.00", "€0.00", "€10.00"}, {"b", "€20.00", "€20.01", "€20.01", "€0.00"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
