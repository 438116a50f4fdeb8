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

// kept is what a test knows of an order it made.
type kept struct {
	id, number, external, label, product, state, owner, reference string
	deleted                                                       bool
	at                                                            time.Time
}

// crowd makes n orders, a minute apart: one in five is the operator's, some have an external id, some
// were submitted, paid, or cancelled.
func (r *real) crowd(n int) []kept {
	r.Helper()
	all := make([]kept, 0, n)
	for i := range n {
		r.Clock.Advance(time.Minute)
		k := kept{label: fmt.Sprintf("Node-%03d", i), product: "vps", state: "draft", owner: "customer", at: r.Clock.Now()}
		who, it := r.as(tenant.Customer), strings.Replace(theVPS, `"web"`, `"`+k.label+`"`, 1)
		if i%5 == 0 {
			who, k.owner = r.as(tenant.Operator), "operator"
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
		all = append(all, k)
	}
	slices.Reverse(all) // lists begin with the newest
	return all
}

// pages reads a list to its end by the Link header, and has something happen between the pages.
func (r *real) pages(who, target string, between func()) (ids []string, pages int) {
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
			r.Fatalf("%s has no end", target)
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

func TestEveryFilterFindsExactlyItsOrdersPageByPageWhileOthersArrive(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	all := r.crowd(250)
	someone := r.Tenant.Members[tenant.Operator].ID.String()
	middle := all[125].at
	stamp := func(at time.Time) string { return url.QueryEscape(at.Format(time.RFC3339)) }
	live := func(k kept) bool { return !k.deleted }
	for _, c := range []struct {
		query string
		limit int
		match func(k kept) bool
	}{
		{"", 7, live},
		{"include_deleted=true", 100, func(kept) bool { return true }},
		{"include_deleted=false", 50, live},
		{"state=cancelled", 10, func(k kept) bool { return k.deleted }},
		{"state=draft", 13, func(k kept) bool { return k.state == "draft" }},
		{"state=pending_payment", 9, func(k kept) bool { return k.state == "pending_payment" }},
		{"state=payment_confirmed", 9, func(k kept) bool { return k.state == "payment_confirmed" }},
		{"state=fulfilled", 9, func(kept) bool { return false }},
		{"outcome=none", 50, live},
		{"outcome=full", 50, func(kept) bool { return false }},
		{"settlement=open", 50, live},
		{"settlement=settled&include_deleted=true", 10, func(k kept) bool { return k.deleted }},
		{"product=database", 11, func(k kept) bool { return live(k) && k.product == "database" }},
		{"customer=" + someone, 6, func(k kept) bool { return live(k) && k.owner == "operator" }},
		{"customer=" + someone + "&state=cancelled", 2, func(k kept) bool { return k.deleted && k.owner == "operator" }},
		{"created_after=" + stamp(middle), 20, func(k kept) bool { return live(k) && !k.at.Before(middle) }},
		{"created_before=" + stamp(middle), 20, func(k kept) bool { return live(k) && k.at.Before(middle) }},
		{
			"created_after=" + stamp(middle) + "&created_before=" + stamp(middle.Add(time.Hour)) + "&include_deleted=true", 7,
			func(k kept) bool { return !k.at.Before(middle) && k.at.Before(middle.Add(time.Hour)) },
		},
		{"q=po-", 8, func(k kept) bool { return live(k) && k.external != "" }},
		{"q=po-1", 8, func(k kept) bool { return live(k) && strings.HasPrefix(k.external, "po-1") }},
		{"q=PO-1", 8, func(kept) bool { return false }}, // external ids are the customer's own, to the letter
		{"q=node-0", 8, func(k kept) bool { return live(k) && strings.HasPrefix(k.label, "Node-0") }},
		{"q=NODE-24", 3, func(k kept) bool { return live(k) && strings.HasPrefix(k.label, "Node-24") }},
		{"q=ode-24", 3, func(kept) bool { return false }},
		{"q=" + all[3].number, 3, func(k kept) bool { return live(k) && k.number == all[3].number }},
		{"q=" + strings.ToLower(all[3].number[:7]), 3, func(k kept) bool {
			return live(k) && strings.HasPrefix(k.number, all[3].number[:7])
		}},
		{"q=ORD-&include_deleted=true", 60, func(kept) bool { return true }},
		{"q=node-1&product=database&state=draft&customer=" + someone, 2, func(k kept) bool {
			return strings.HasPrefix(k.label, "Node-1") && k.product == "database" && k.state == "draft" && k.owner == "operator"
		}},
	} {
		var want []string
		for _, k := range all {
			if c.match(k) {
				want = append(want, k.id)
			}
		}
		seen := map[string]bool{}
		for _, k := range all {
			seen[k.id] = true
		}
		ids, pages := r.pages(r.as(tenant.Operator), fmt.Sprintf("/v1/orders?limit=%d&%s", c.limit, c.query), func() {
			r.create(strings.Replace(theVPS, `"web"`, `"late"`, 1))
		})
		got := slices.DeleteFunc(ids, func(id string) bool { return !seen[id] }) // of earlier rows of this table
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.query, diff)
		}
		if need := (len(want) + c.limit - 1) / c.limit; pages < need {
			t.Errorf("%s: %d pages of %d hold %d orders", c.query, pages, c.limit, len(want))
		}
	}
}

func TestACustomersListIsTheirOwnWhateverTheyAskFor(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	all := r.crowd(30)
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
		got, _ := r.pages(r.as(tenant.Customer), "/v1/orders?include_deleted=true&limit=4"+query, func() {})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	for _, role := range []tenant.Role{tenant.Operator, tenant.Auditor} {
		got, _ := r.pages(r.as(role), "/v1/orders?include_deleted=true&limit=100&q=po-", func() {})
		if len(got) != 15 || slices.Contains(got, theirs.ID) {
			t.Errorf("%s finds %d orders, want our 15 alone", role, len(got))
		}
	}
}

func TestItemsTakenOffAListAreNotFoundByTheirLabels(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
	o := r.create(strings.Replace(theVPS, `"web"`, `"old-name"`, 1), strings.Replace(theVPS, `"web"`, `"ČRNA"`, 1))
	find := func(q string) int {
		ids, _ := r.pages(r.as(tenant.Customer), "/v1/orders?q="+url.QueryEscape(q), func() {})
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

func TestTheTimelineIsPagedWithoutGaps(t *testing.T) {
	t.Parallel()
	r := openAPI(t)
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
				t.Fatalf("event %d where %d belongs", e.Seq, next)
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
