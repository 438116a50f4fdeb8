package app

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/platforma-cloud/orders/internal/payment"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// SubmitOrder describes the submission of a draft.
type SubmitOrder struct {
	Order order.ID
	Precondition
	ExpectedTotal *event.Amount // what the customer saw; up to one euro off is accepted (D11)
	PaymentMethod string        // "" is the tenant's default (D28)
}

// SubmitOrder freezes a draft, which then awaits its payment. It refuses an empty draft, a total that the customer did
// not see, expired quotes, a payment method that is not offered, and configurations that the catalogue no longer
// accepts (D13).
func (a *App) SubmitOrder(ctx context.Context, c Caller, in SubmitOrder) (*Aggregate, error) {
	cat, err := a.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	return a.onOrder(ctx, c, WriteOrders, in.Order, in.Precondition, Also{}, func(tx Tx, agg *Aggregate) (bool, error) {
		o := agg.Order
		if _, err := order.Next(o, order.Submit); err != nil {
			return false, err
		}
		if len(o.Items) == 0 {
			return false, fault.New(fault.KindInvalid, "order-empty", "The order has no items. Add at least one, then submit.")
		}
		method := in.PaymentMethod
		if method == "" {
			method = agg.Settings.PaymentMethod
		}
		if _, ok := a.Payments[method]; !ok {
			return false, fault.Violated([]fault.Violation{
				{
					Pointer: "/payment_method", Code: "unknown-payment-method", Message: "This payment method is not offered here.",
					Allowed: a.paymentMethods(),
				},
			})
		}
		if err := checkExpectedTotal(o, in.ExpectedTotal); err != nil {
			return false, err
		}
		if err := checkQuoteAge(o, agg.Settings, tx.Now()); err != nil {
			return false, err
		}
		inputs := make([]ItemInput, len(o.Items))
		var faults []fault.Violation
		for i, it := range o.Items {
			inputs[i] = inputOf(it)
			faults = append(faults, cat.Check(inputs[i].selection(), "/items/"+strconv.Itoa(i))...)
		}
		if faults = append(faults, cycleFaults(inputs, agg.Settings)...); len(faults) > 0 {
			return false, fault.Violated(faults)
		}
		o.Method = method
		expires := tx.Now().AddDate(0, 0, agg.Settings.PaymentDueDays)
		o.ExpiresAt = &expires
		_, err := o.Fire(order.Submit, "")
		return true, err
	})
}

// PaymentMethods returns the payment methods that are offered here (D28): those that need no operator first, each
// group by name.
func (a *App) PaymentMethods() []payment.Method {
	methods := make([]payment.Method, 0, len(a.Payments))
	for name, p := range a.Payments {
		methods = append(methods, payment.Method{Name: name, Properties: p.Properties()})
	}
	slices.SortFunc(methods, func(x, y payment.Method) int {
		return cmp.Or(-cmp.Compare(x.ConfirmedBy, y.ConfirmedBy), cmp.Compare(x.Name, y.Name))
	})
	return methods
}

func (a *App) paymentMethods() []any {
	var allowed []any
	for _, name := range slices.Sorted(maps.Keys(a.Payments)) {
		allowed = append(allowed, name)
	}
	return allowed
}

// inputOf returns the input from which an item could be priced again.
func inputOf(it order.Item) ItemInput {
	s := it.Snapshot
	return ItemInput{
		ID: it.ID.String(), Product: s.Product, Plan: s.Plan, Region: s.Region, BillingCycle: s.BillingCycle, Label: it.Label,
		Configuration: s.Configuration,
	}
}

// checkExpectedTotal refuses a total that differs from the order's by more than its tolerance (D11).
func checkExpectedTotal(o *order.Order, want *event.Amount) error {
	if want == nil {
		return nil
	}
	if want.Currency != o.Currency {
		return fault.Violated([]fault.Violation{
			{
				Pointer: "/expected_total/currency", Code: "currency-mismatch",
				Message: "The order is in " + string(o.Currency) + ".", Allowed: []any{string(o.Currency)},
			},
		})
	}
	cents, err := money.ParseDecimal(want.Amount, want.Currency)
	if err != nil {
		return fault.Violated([]fault.Violation{
			{Pointer: "/expected_total/amount", Code: "not-an-amount", Message: "Write the amount as a decimal, such as 20.10."},
		})
	}
	if money.Within(cents, o.Due, o.Tolerance()) {
		return nil
	}
	e := fault.New(fault.KindInvalid, "total-mismatch",
		"The order comes to %s %s, you expected %s. Check the items and submit again.", money.Format(o.Due, o.Currency),
		o.Currency, money.Format(cents, o.Currency))
	e.Members = map[string]any{
		"expected": event.Amount{Amount: money.Format(cents, o.Currency), Currency: o.Currency},
		"actual":   event.Amount{Amount: money.Format(o.Due, o.Currency), Currency: o.Currency},
	}
	return e
}

// quoteExpired reports whether an item's quote is older than the tenant's quote_valid_days.
func quoteExpired(it order.Item, s Settings, now time.Time) bool {
	at, err := time.Parse(time.RFC3339, it.Snapshot.QuotedAt)
	return err != nil || now.After(at.AddDate(0, 0, s.QuoteValidDays))
}

// checkQuoteAge refuses expired quotes (D8).
func checkQuoteAge(o *order.Order, s Settings, now time.Time) error {
	var faults []fault.Violation
	for i, it := range o.Items {
		if quoteExpired(it, s, now) {
			faults = append(faults, fault.Violation{
				Pointer: "/items/" + strconv.Itoa(i), Code: "price-expired",
				Message: "This quote is too old. Send the draft's items again to get a new price.",
				Allowed: []any{s.QuoteValidDays},
			})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	e := fault.Violated(faults)
	e.Code = "price-expired"
	return e
}
