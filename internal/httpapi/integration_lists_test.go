package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/tenant"
)

// createdOrder is what a test knows of an order that it created.
type createdOrder struct {
	id, number, external, label, product, state, owner, reference string
	deleted                                                       bool
	at                                                            time.Time
}

// createOrders creates n orders, a minute apart, and returns them with the newest first. One in five is the
// operator's. Some have an external id, and some are submitted, paid or cancelled.
func (r *integration) createOrders(n int) []createdOrder {
	r.Helper()
	orders := make([]createdOrder, 0, n)
	for i := range n {
		r.Clock.Advance(time.Minute)
		k := createdOrder{
			label: fmt.Sprintf("Node-%03d", i), product: "vps", state: "draft", owner: "customer", at: r.Clock.Now(),
		}
		who, it := r.keyOf(tenant.Customer), strings.Replace(theVPS, `"web"`, `"`+k.label+`"`, 1)
		if i%5 == 0 {
			who, k.owner = r.keyOf(tenant.Operator), "operator"
		}
		if i%3 == 0 {
			k.product = "database"
			it = strings.Replace(theDatabase, `"slow"`, `"`+k.label+`"`, 1)
		}
		if i%2 == 0 {
			k.external = fmt.Sprintf("po-%03d", i)
		}
		o := r.orderOf(r.send(who, "POST", "/v1/orders", fmt.Sprintf(`{"external_id":%q,"items":[%s]}`, k.external, it)))
		k.id, k.number = o.ID, o.Number
		at := "/v1/orders/" + o.ID
		if i%7 >= 4 {
			r.orderOf(r.send(who, "POST", at+"/submit", ""))
			k.state = "pending_payment"
		}
		if i%7 == 5 {
			k.reference, k.state = fmt.Sprintf("ref-%03d", i), "payment_confirmed"
			r.orderOf(r.operator("POST", at+"/payment/confirm", confirmation(k.reference, o.Totals.DueNow)))
		}
		if i%7 == 6 {
			r.orderOf(r.send(who, "POST", at+"/cancel", ""))
			k.state, k.deleted = "cancelled", true
		}
		orders = append(orders, k)
	}
	slices.Reverse(orders)
	return orders
}

// pages reads a list to its end by the Link headers, and calls between after each page.
func (r *integration) pages(who, target string, between func()) (ids []string, pages int) {
	r.Helper()
	for target != "" {
		w := r.send(who, "GET", target, "")
		var page struct {
			Data []struct{ ID string }
			Next *string `json:"next_cursor"`
		}
		r.decode(w, &page)
		for _, d := range page.Data {
			ids = append(ids, d.ID)
		}
		if pages++; pages > 300 {
			r.Fatalf("%s does not end", target)
		}
		link := w.Header().Get("Link")
		if (link == "") != (page.Next == nil) {
			r.Fatalf("%s: Link %q, next_cursor %v", target, link, page.Next)
		}
		target = ""
		if page.Next != nil {
			next, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			if u, err := url.Parse(next); !ok || err != nil || u.Query().Get("cursor") != *page.Next {
				r.Fatalf("Link %q does not carry the cursor %q", link, *page.Next)
			}
			target = next
		}
		between()
	}
	return ids, pages
}

func TestEveryFilterFindsExactlyItsOrdersWhileOthersAreCreated(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	all := r.createOrders(250)
	operatorID := r.Tenant.Members[tenant.Operator].ID.String()
	middle := all[125].at
	stamp := func(at time.Time) string { return url.QueryEscape(at.Format(time.RFC3339)) }
	live := func(k createdOrder) bool { return !k.deleted }
	for _, c := range []struct {
		query string
		limit int
		match func(k createdOrder) bool
	}{
		{"", 7, live},
		{"include_deleted=true", 100, func(createdOrder) bool { return true }},
		{"include_deleted=false", 50, live},
		{"state=cancelled", 10, func(k createdOrder) bool { return k.deleted }},
		{"state=draft", 13, func(k createdOrder) bool { return k.state == "draft" }},
		{"state=pending_payment", 9, func(k createdOrder) bool { return k.state == "pending_payment" }},
		{"state=payment_confirmed", 9, func(k createdOrder) bool { return k.state == "payment_confirmed" }},
		{"state=fulfilled", 9, func(createdOrder) bool { return false }},
		{"outcome=none", 50, live},
		{"outcome=full", 50, func(createdOrder) bool { return false }},
		{"settlement=open", 50, live},
		{"settlement=settled&include_deleted=true", 10, func(k createdOrder) bool { return k.deleted }},
		{"product=database", 11, func(k createdOrder) bool { return live(k) && k.product == "database" }},
		{"customer=" + operatorID, 6, func(k createdOrder) bool { return live(k) && k.owner == "operator" }},
		{"customer=" + operatorID + "&state=cancelled", 2, func(k createdOrder) bool {
			return k.deleted && k.owner == "operator"
		}},
		{"created_after=" + stamp(middle), 20, func(k createdOrder) bool { return live(k) && !k.at.Before(middle) }},
		{"created_before=" + stamp(middle), 20, func(k createdOrder) bool { return live(k) && k.at.Before(middle) }},
		{
			"created_after=" + stamp(middle) + "&created_before=" + stamp(middle.Add(time.Hour)) + "&include_deleted=true", 7,
			func(k createdOrder) bool { return !k.at.Before(middle) && k.at.Before(middle.Add(time.Hour)) },
		},
		{"q=po-", 8, func(k createdOrder) bool { return live(k) && k.external != "" }},
		{"q=po-1", 8, func(k createdOrder) bool { return live(k) && strings.HasPrefix(k.external, "po-1") }},
		{"q=PO-1", 8, func(createdOrder) bool { return false }}, // external ids are case-sensitive
		{"q=node-0", 8, func(k createdOrder) bool { return live(k) && strings.HasPrefix(k.label, "Node-0") }},
		{"q=NODE-24", 3, func(k createdOrder) bool { return live(k) && strings.HasPrefix(k.label, "Node-24") }},
		{"q=ode-24", 3, func(createdOrder) bool { return false }},
		{"q=" + all[3].number, 3, func(k createdOrder) bool { return live(k) && k.number == all[3].number }},
		{"q=" + strings.ToLower(all[3].number[:7]), 3, func(k createdOrder) bool {
			return live(k) && strings.HasPrefix(k.number, all[3].number[:7])
		}},
		{"q=ORD-&include_deleted=true", 60, func(createdOrder) bool { return true }},
		{"q=node-1&product=database&state=draft&customer=" + operatorID, 2, func(k createdOrder) bool {
			return strings.HasPrefix(k.label, "Node-1") && k.product == "database" && k.state == "draft" && k.owner == "operator"
		}},
	} {
		var want []string
		for _, k := range all {
			if c.match(k) {
				want = append(want, k.id)
			}
		}
		known := map[string]bool{}
		for _, k := range all {
			known[k.id] = true
		}
		ids, pages := r.pages(r.keyOf(tenant.Operator), fmt.Sprintf("/v1/orders?limit=%d&%s", c.limit, c.query), func() {
			r.create(strings.Replace(theVPS, `"web"`, `"late"`, 1))
		})
		got := slices.DeleteFunc(ids, func(id string) bool { return !known[id] }) // without those created between pages
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.query, diff)
		}
		if need := (len(want) + c.limit - 1) / c.limit; pages < need {
			t.Errorf("%s: %d pages of %d hold %d orders", c.query, pages, c.limit, len(want))
		}
	}
}

func TestACustomersListHasOnlyTheirOrdersWhateverTheFilter(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	all := r.createOrders(30)
	theirs := r.orderOf(r.send(r.OtherTenant.Keys[tenant.Customer], "POST", "/v1/orders",
		`{"external_id":"po-000","items":[`+theVPS+`]}`))
	var want []string
	for _, k := range all {
		if k.owner == "customer" {
			want = append(want, k.id)
		}
	}
	for _, query := range []string{
		"", "&customer=" + r.Tenant.Members[tenant.Operator].ID.String(),
		"&customer=" + r.OtherTenant.Members[tenant.Customer].ID.String(), "&q=ORD-", "&q=Node-",
	} {
		got, _ := r.pages(r.keyOf(tenant.Customer), "/v1/orders?include_deleted=true&limit=4"+query, func() {})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	for _, role := range []tenant.Role{tenant.Operator, tenant.Auditor} {
		got, _ := r.pages(r.keyOf(role), "/v1/orders?include_deleted=true&limit=100&q=po-", func() {})
		if len(got) != 15 || slices.Contains(got, theirs.ID) {
			t.Errorf("%s finds %d orders, want only our 15", role, len(got))
		}
	}
}

func TestRemovedItemsAreNotFoundByTheirLabels(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.create(strings.Replace(theVPS, `"web"`, `"old-name"`, 1), strings.Replace(theVPS, `"web"`, `"ČRNA"`, 1))
	find := func(q string) int {
		ids, _ := r.pages(r.keyOf(tenant.Customer), "/v1/orders?q="+url.QueryEscape(q), func() {})
		return len(ids)
	}
	if got := []int{find("old"), find("OLD-N"), find("ČRN"), find("web")}; !cmp.Equal([]int{1, 1, 1, 0}, got) {
		t.Errorf("found %v by label before", got)
	}
	r.orderOf(r.customer("PATCH", "/v1/orders/"+o.ID, `{"version":1,"items":[`+theVPS+`]}`))
	if got := []int{
		find("old"), find("ČRN"), find("web"), find(""), find("100%"), find("_"),
	}; !cmp.Equal([]int{0, 0, 1, 1, 0, 0}, got) {
		t.Errorf("found %v by label after", got)
	}
}

func TestPagesOfTheTimelineHaveNoGaps(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.paid()
	r.Drain(parseOrder(t, o.ID))
	target, next := "/v1/orders/"+o.ID+"/events?limit=3", 1
	for target != "" {
		w := r.customer("GET", target, "")
		var page struct {
			Data []struct{ Seq int }
			Next *string `json:"next_cursor"`
		}
		r.decode(w, &page)
		for _, e := range page.Data {
			if e.Seq != next {
				t.Fatalf("event %d in place of event %d", e.Seq, next)
			}
			next++
		}
		if target = ""; page.Next != nil {
			target = "/v1/orders/" + o.ID + "/events?limit=3&cursor=" + *page.Next
		}
	}
	if n := r.count(`SELECT count(*) FROM platforma.order_event WHERE order_id = $1::uuid`, o.ID); n != next-1 || n < 7 {
		t.Errorf("%d events were read, %d are there", next-1, n)
	}
}
