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

// VPS returns a valid item; its label is the name of its product.
func VPS() app.ItemInput {
	return app.ItemInput{
		Product: "vps", Plan: "business", Region: "lj-1", BillingCycle: "monthly", Label: "vps",
		Configuration: json.RawMessage(`{"os_image":"debian-12"}`),
	}
}

// Database returns a valid item.
func Database() app.ItemInput {
	return app.ItemInput{
		Product: "database", Plan: "starter", Region: "lj-1", BillingCycle: "monthly", Label: "database",
		Configuration: json.RawMessage(`{"engine":"postgresql-16","storage_gb":50,"high_availability":false}`),
	}
}

// Storage returns a valid item with a single resource.
func Storage() app.ItemInput {
	return app.ItemInput{
		Product: "object_storage", Plan: "standard", Region: "lj-1", BillingCycle: "monthly", Label: "object_storage",
		Configuration: json.RawMessage(`{"capacity_tb":1,"replication":"single"}`),
	}
}

// Kubernetes returns a valid item.
func Kubernetes() app.ItemInput {
	return app.ItemInput{
		Product: "kubernetes", Region: "lj-1", BillingCycle: "monthly", Label: "kubernetes",
		Configuration: json.RawMessage(`{"workers":3,"storage_gb":100}`),
	}
}

// GPU returns a valid item.
func GPU() app.ItemInput {
	return app.ItemInput{
		Product: "gpu", Region: "lj-1", BillingCycle: "monthly", Label: "gpu",
		Configuration: json.RawMessage(`{"gpu_type":"a100","nodes":1,"storage_gb":100}`),
	}
}

// PrivateCloud returns a valid item.
func PrivateCloud() app.ItemInput {
	return app.ItemInput{
		Product: "private_cloud", Region: "lj-1", BillingCycle: "monthly", Label: "private_cloud",
		Configuration: json.RawMessage(`{"cluster_size":"small","nodes":3,"storage_tb":5}`),
	}
}

// Products returns one valid item of each product.
func Products() []app.ItemInput {
	return []app.ItemInput{VPS(), Kubernetes(), Database(), GPU(), PrivateCloud(), Storage()}
}

// Labelled returns the item with another label.
func Labelled(in app.ItemInput, label string) app.ItemInput {
	in.Label = label
	return in
}

// DraftOrder creates an order as the tenant's customer.
func (h *Harness) DraftOrder(policy string, items ...app.ItemInput) *app.Aggregate {
	h.t.Helper()
	agg, err := h.UseCases.API.CreateOrder(h.t.Context(), h.As(tenant.Customer), app.CreateOrder{
		Policy: policy, Items: items,
	})
	if err != nil {
		h.t.Fatalf("CreateOrder: %v", err)
	}
	return agg
}

// SubmittedOrder creates and submits an order.
func (h *Harness) SubmittedOrder(policy string, items ...app.ItemInput) *app.Aggregate {
	h.t.Helper()
	agg, err := h.UseCases.API.SubmitOrder(h.t.Context(), h.As(tenant.Customer), app.SubmitOrder{
		Order: h.DraftOrder(policy, items...).Order.ID,
	})
	if err != nil {
		h.t.Fatalf("SubmitOrder: %v", err)
	}
	return agg
}

// PaidOrder creates an order with the policy per_item, submits it and confirms its payment.
func (h *Harness) PaidOrder(items ...app.ItemInput) order.ID {
	h.t.Helper()
	return h.Pay(h.SubmittedOrder("per_item", items...)).Order.ID
}

// PaidAllOrNothing is PaidOrder with the policy all_or_nothing.
func (h *Harness) PaidAllOrNothing(items ...app.ItemInput) order.ID {
	h.t.Helper()
	return h.Pay(h.SubmittedOrder("all_or_nothing", items...)).Order.ID
}

// Pay confirms a payment of exactly the amount due.
func (h *Harness) Pay(agg *app.Aggregate) *app.Aggregate {
	h.t.Helper()
	paid, err := h.UseCases.API.ConfirmPayment(h.t.Context(), h.As(tenant.Operator), app.ConfirmPayment{
		Order: agg.Order.ID, Reference: "bank-" + agg.Order.Number + "-" + fmt.Sprint(agg.Order.Version),
		Method: "bank_transfer",
		Amount: event.Amount{Amount: money.Format(agg.Order.Due, agg.Order.Currency), Currency: agg.Order.Currency},
	})
	if err != nil {
		h.t.Fatalf("ConfirmPayment: %v", err)
	}
	return paid
}

// Order reads an order as an operator.
func (h *Harness) Order(o order.ID) *app.Aggregate {
	h.t.Helper()
	agg, err := h.UseCases.API.Order(h.t.Context(), h.As(tenant.Operator), o)
	if err != nil {
		h.t.Fatalf("Order: %v", err)
	}
	return agg
}

// Item reads an item of an order by its label.
func (h *Harness) Item(o order.ID, label string) *order.Item {
	h.t.Helper()
	agg := h.Order(o)
	for i := range agg.Order.Items {
		if agg.Order.Items[i].Label == label {
			return &agg.Order.Items[i]
		}
	}
	h.t.Fatalf("order %s has no item %q", o, label)
	return nil
}

// Summary returns the state, outcome and settlement of an order, and the state and refund of each item, in one line.
func (h *Harness) Summary(o order.ID) string {
	h.t.Helper()
	agg := h.Order(o)
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

// QueryInt runs a query for one number as the superuser, who sees what no login may see.
func (h *Harness) QueryInt(sql string, args ...any) int {
	h.t.Helper()
	var n int
	if err := h.superuser.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// WantSummary compares the summary of an order.
func (h *Harness) WantSummary(o order.ID, want string) {
	h.t.Helper()
	if got := h.Summary(o); got != want {
		h.t.Errorf("order %s\n got %s\nwant %s", o, got, want)
	}
}

// WantEvents compares the types of an order's events, in sequence.
func (h *Harness) WantEvents(o order.ID, want ...string) {
	h.t.Helper()
	recs, err := h.UseCases.API.OrderEvents(h.t.Context(), h.As(tenant.Operator), o, 0, 500)
	if err != nil {
		h.t.Fatalf("OrderEvents: %v", err)
	}
	var got []string
	for i, r := range recs {
		if r.Seq != i+1 {
			h.t.Errorf("event %d of order %s has sequence %d", i+1, o, r.Seq)
		}
		got = append(got, string(r.Type))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("events of order %s (-want +got):\n%s", o, diff)
	}
}

// WantLiveResources compares the number of live resources in the cloud for the items with a label, or for all items
// when the label is "".
func (h *Harness) WantLiveResources(label string, want int) {
	h.t.Helper()
	got := 0
	for _, r := range h.Sim.Live() {
		if label == "" || r.Labels["label"] == label {
			got++
		}
	}
	if got != want {
		h.t.Errorf("%d resources live for %q, want %d", got, label, want)
	}
}

// WantCalls compares the number of calls of an operation that the cloud received for an item.
func (h *Harness) WantCalls(o order.ID, label, operation string, want int) {
	h.t.Helper()
	if got := len(h.Sim.Calls(operation, h.Item(o, label).ID.String())); got != want {
		h.t.Errorf("%d %s calls for %q, want %d", got, operation, label, want)
	}
}
