package harness

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// VPS is an item that is configured right; its label is its product's name.
func VPS() app.ItemInput {
	return app.ItemInput{
		Product: "vps", Plan: "business", Region: "lj-1", BillingCycle: "monthly", Label: "vps",
		Configuration: json.RawMessage(`{"os_image":"debian-12"}`),
	}
}

// Database is an item that is configured right.
func Database() app.ItemInput {
	return app.ItemInput{
		Product: "database", Plan: "starter", Region: "lj-1", BillingCycle: "monthly", Label: "database",
		Configuration: json.RawMessage(`{"engine":"postgresql-16","storage_gb":50,"high_availability":false}`),
	}
}

// Storage is an item of a single part.
func Storage() app.ItemInput {
	return app.ItemInput{
		Product: "object_storage", Plan: "standard", Region: "lj-1", BillingCycle: "monthly", Label: "object_storage",
		Configuration: json.RawMessage(`{"capacity_tb":1,"replication":"single"}`),
	}
}

// Kubernetes is an item that is configured right.
func Kubernetes() app.ItemInput {
	return app.ItemInput{
		Product: "kubernetes", Region: "lj-1", BillingCycle: "monthly", Label: "kubernetes",
		Configuration: json.RawMessage(`{"workers":3,"storage_gb":100}`),
	}
}

// GPU is an item that is configured right.
func GPU() app.ItemInput {
	return app.ItemInput{
		Product: "gpu", Region: "lj-1", BillingCycle: "monthly", Label: "gpu",
		Configuration: json.RawMessage(`{"gpu_type":"a100","nodes":1,"storage_gb":100}`),
	}
}

// PrivateCloud is an item that is configured right.
func PrivateCloud() app.ItemInput {
	return app.ItemInput{
		Product: "private_cloud", Region: "lj-1", BillingCycle: "monthly", Label: "private_cloud",
		Configuration: json.RawMessage(`{"cluster_size":"small","nodes":3,"storage_tb":5}`),
	}
}

// Products are one item of each product, configured right.
func Products() []app.ItemInput {
	return []app.ItemInput{VPS(), Kubernetes(), Database(), GPU(), PrivateCloud(), Storage()}
}

// Labelled is an item under another label.
func Labelled(in app.ItemInput, label string) app.ItemInput {
	in.Label = label
	return in
}

// Draft creates an order of the tenant's customer.
func (w *Harness) Draft(policy string, items ...app.ItemInput) *app.Aggregate {
	w.t.Helper()
	agg, err := w.UseCases.API.CreateOrder(w.t.Context(), w.As(tenant.Customer), app.CreateOrder{
		Policy: policy, Items: items,
	})
	if err != nil {
		w.t.Fatalf("CreateOrder: %v", err)
	}
	return agg
}

// Submitted creates and submits an order.
func (w *Harness) Submitted(policy string, items ...app.ItemInput) *app.Aggregate {
	w.t.Helper()
	agg, err := w.UseCases.API.SubmitOrder(w.t.Context(), w.As(tenant.Customer), app.SubmitOrder{
		Order: w.Draft(policy, items...).Order.ID,
	})
	if err != nil {
		w.t.Fatalf("SubmitOrder: %v", err)
	}
	return agg
}

// PaidOrder is a submitted order whose payment an operator confirmed, per item.
func (w *Harness) PaidOrder(items ...app.ItemInput) order.ID {
	w.t.Helper()
	return w.Pay(w.Submitted("per_item", items...)).Order.ID
}

// AllOrNothing is PaidOrder under the other policy.
func (w *Harness) AllOrNothing(items ...app.ItemInput) order.ID {
	w.t.Helper()
	return w.Pay(w.Submitted("all_or_nothing", items...)).Order.ID
}

// Pay confirms exactly what is due.
func (w *Harness) Pay(agg *app.Aggregate) *app.Aggregate {
	w.t.Helper()
	paid, err := w.UseCases.API.ConfirmPayment(w.t.Context(), w.As(tenant.Operator), app.ConfirmPayment{
		Order: agg.Order.ID, Reference: "bank-" + agg.Order.Number + "-" + fmt.Sprint(agg.Order.Version),
		Method: "bank_transfer",
		Amount: event.Amount{Amount: money.Format(agg.Order.Due, agg.Order.Currency), Currency: agg.Order.Currency},
	})
	if err != nil {
		w.t.Fatalf("ConfirmPayment: %v", err)
	}
	return paid
}

// Get reads an order as an operator.
func (w *Harness) Get(o order.ID) *app.Aggregate {
	w.t.Helper()
	agg, err := w.UseCases.API.Order(w.t.Context(), w.As(tenant.Operator), o)
	if err != nil {
		w.t.Fatalf("Order: %v", err)
	}
	return agg
}

// Item finds an item of an order by its label.
func (w *Harness) Item(o order.ID, label string) *order.Item {
	w.t.Helper()
	agg := w.Get(o)
	for i := range agg.Order.Items {
		if agg.Order.Items[i].Label == label {
			return &agg.Order.Items[i]
		}
	}
	w.t.Fatalf("order %s has no item %q", o, label)
	return nil
}

// Picture is one line per order and item: state, outcome, settlement, refunds.
func (w *Harness) Picture(o order.ID) string {
	w.t.Helper()
	agg := w.Get(o)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", agg.Order.State, agg.Order.Outcome, agg.Order.Settlement)
	for _, it := range agg.Order.Items {
		fmt.Fprintf(&b, "; %s %s", it.Label, it.State)
		if r := agg.Order.RefundOf(it.ID); r != nil {
			fmt.Fprintf(&b, " refund %s %s", money.Format(r.Cents, r.Currency), r.State)
		}
	}
	return b.String()
}

// Count asks the superuser for one number: what no login may see.
func (w *Harness) Count(sql string, args ...any) int {
	w.t.Helper()
	var n int
	if err := w.super.QueryRow(w.t.Context(), sql, args...).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// WantPicture compares Picture with what is expected.
func (w *Harness) WantPicture(o order.ID, want string) {
	w.t.Helper()
	if got := w.Picture(o); got != want {
		w.t.Errorf("order %s\n got %s\nwant %s", o, got, want)
	}
}

// WantEvents compares the types of an order's events, in their order.
func (w *Harness) WantEvents(o order.ID, want ...string) {
	w.t.Helper()
	recs, err := w.UseCases.API.OrderEvents(w.t.Context(), w.As(tenant.Operator), o, 0, 500)
	if err != nil {
		w.t.Fatalf("OrderEvents: %v", err)
	}
	var got []string
	for i, r := range recs {
		if r.Seq != i+1 {
			w.t.Errorf("event %d of order %s has sequence %d", i+1, o, r.Seq)
		}
		got = append(got, string(r.Type))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("events of order %s (-want +got):\n%s", o, diff)
	}
}

// WantLive compares how many resources live in the cloud for an item (by label) or, for "", at all.
func (w *Harness) WantLive(label string, want int) {
	w.t.Helper()
	got := 0
	for _, r := range w.Sim.Live() {
		if label == "" || r.Labels["label"] == label {
			got++
		}
	}
	if got != want {
		w.t.Errorf("%d resources live for %q, want %d", got, label, want)
	}
}

// WantCalls compares how many calls of an operation the cloud saw for an item.
func (w *Harness) WantCalls(o order.ID, label, operation string, want int) {
	w.t.Helper()
	if got := len(w.Sim.Calls(operation, w.Item(o, label).ID.String())); got != want {
		w.t.Errorf("%d %s calls for %q, want %d", got, operation, label, want)
	}
}
