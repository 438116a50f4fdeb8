package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/app/apptest"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const orderPath = "/v1/orders/01900000-0000-7000-8000-000000000001"

// wantOrder is the order as a client gets it, written by hand.
const wantOrder = `{"id":"01900000-0000-7000-8000-000000000001","number":"ORD-7K3M9QXZ","external_id":"po-4711","customer_id":"01900000-0000-7000-8000-0000000000c1",` +
	`"state":"payment_confirmed","outcome":"none","settlement":"open","closing":null,"version":3,` +
	`"fulfillment_policy":"per_item","payment_method":"manual",` +
	`"items":[{"id":"01900000-0000-7000-8000-0000000000a1","product":"vps","plan":"business","region":"lj-1","label":"web-1","billing_cycle":"monthly","configuration":{"os_image":"debian-12"},` +
	`"state":"pending","progress":0,"detail":null,"attempts":0,"next_retry_at":null,` +
	`"price":{"lines":[{"component":"plan","quantity":1,"unit_price":"20.10","amount":"20.10"}],"monthly":"20.10","due_now":"20.10"},` +
	`"allocation":{"amount":"20.10","currency":"EUR"},"cancel_effect":"cancelled"}],` +
	`"totals":{"monthly":{"amount":"20.10","currency":"EUR"},"annual":{"amount":"0.00","currency":"EUR"},"due_now":{"amount":"20.10","currency":"EUR"}},"fx":null,` +
	`"payments":[{"id":"01900000-0000-7000-8000-0000000000b9","state":"confirmed","provider":"manual","method":"bank_transfer","reference":"SI56-2026-0042",` +
	`"amount":{"amount":"20.10","currency":"EUR"},"due":{"amount":"20.10","currency":"EUR"},"paid_at":"2026-01-31T12:00:00Z"}],"refunds":[],"faults":[],` +
	`"allowed_actions":["cancel","hold"],"starts_at":null,"held_at":null,"expires_at":null,` +
	`"created_at":"2026-01-31T11:58:00Z","updated_at":"2026-01-31T12:00:00.001234Z","deleted_at":null}`

func TestOrderHasExactlyTheseMembers(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	w := k.do("GET", orderPath, "")
	if diff := cmp.Diff(wantOrder, w.Body.String()); w.Code != 200 || diff != "" {
		t.Errorf("GET order answered %d (-want +got):\n%s", w.Code, diff)
	}
	if got := w.Header().Get("ETag"); got != `"3"` {
		t.Errorf("ETag = %s, want \"3\"", got)
	}
}

func TestCreatedOrderHasALocationAndItsVersionAsETag(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	w := k.do("POST", "/v1/orders",
		`{"external_id":"po-4711","items":[{"product":"vps","plan":"business","region":"lj-1","billing_cycle":"monthly","label":"web-1","configuration":{"os_image": "debian-12", "n": 1.50}}]}`)
	if w.Code != http.StatusCreated || w.Header().Get("Location") != orderPath || w.Header().Get("ETag") != `"3"` {
		t.Errorf("answered %d, Location %q, ETag %q", w.Code, w.Header().Get("Location"), w.Header().Get("ETag"))
	}
	if w.Body.String() != wantOrder {
		t.Errorf("a created order is shown differently than a read one:\n%s", w.Body)
	}
	in, c := k.fake.Last().In, k.fake.Last().Caller
	want := app.CreateOrder{
		ExternalID: "po-4711", Items: []app.ItemInput{{
			Product: "vps", Plan: "business", Region: "lj-1",
			BillingCycle: "monthly", Label: "web-1", Configuration: json.RawMessage(`{"os_image": "debian-12", "n": 1.50}`),
		}},
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("the use case got another input (-want +got):\n%s", diff)
	}
	if c.Tenant != tenantA || c.Member != ana || c.Key != nil {
		t.Errorf("the use case was called by %+v", c)
	}
}

func TestEditPassesOnOnlyWhatWasSentAndBothKindsOfVersion(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	seven, eight := 7, 8
	itemID := "01900000-0000-7000-8000-0000000000a1"
	k.do("PATCH", orderPath,
		`{"version":7,"items":[{"id":"`+itemID+`","product":"vps","region":"lj-1","billing_cycle":"annual"}]}`,
		"If-Match", `"8"`)
	in := k.fake.Last().In
	want := app.EditOrder{
		Order: theOrder, Precondition: app.Precondition{Version: &seven, IfMatch: &eight},
		Items: &[]app.ItemInput{{ID: itemID, Product: "vps", Region: "lj-1", BillingCycle: "annual"}},
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("the use case got another input (-want +got):\n%s", diff)
	}
}

func TestUnknownIfMatchMatchesNothingAndAMalformedOneIsRefused(t *testing.T) {
	t.Parallel()
	const never = -1 // a version that no row has
	for sent, want := range map[string]int{`"3"`: 3, `"abc"`: never, `W/"3"`: never, `"-4"`: never, `""`: never} {
		k := newKit(t)
		k.do("POST", orderPath+"/cancel", "", "If-Match", sent)
		in := k.fake.Last().In
		got := in.(app.Reasoned).IfMatch
		if got == nil || *got != want {
			t.Errorf("If-Match %s was taken as %v, want %d", sent, got, want)
		}
	}
	for _, sent := range []string{"3", `"3", "4"`, `"3`, "*", `"`} {
		k := newKit(t)
		k.wantProblem(k.do("POST", orderPath+"/cancel", "", "If-Match", sent), 400, "if-match-malformed")
	}
}

func TestOrderUseCasesGetWhatTheRequestSays(t *testing.T) {
	t.Parallel()
	two := 2
	pre := app.Precondition{Version: &two}
	reasoned := app.Reasoned{Order: theOrder, Precondition: pre, Reason: "why"}
	for path, want := range map[string]struct {
		body, useCase string
		in            any
	}{
		"/cancel":         {`{"version":2,"reason":"why"}`, "CancelOrder", reasoned},
		"/restore":        {`{"version":2,"reason":"why"}`, "RestoreOrder", reasoned},
		"/hold":           {`{"version":2,"reason":"why"}`, "HoldOrder", reasoned},
		"/release":        {`{"version":2,"reason":"why"}`, "ReleaseOrder", reasoned},
		"/payment/revert": {`{"version":2,"reason":"why"}`, "RevertPayment", reasoned},
		"/submit": {
			`{"version":2,"expected_total":{"amount":"20.10","currency":"EUR"},"payment_method":"demo"}`, "SubmitOrder",
			app.SubmitOrder{
				Order: theOrder, Precondition: pre, ExpectedTotal: &event.Amount{Amount: "20.10", Currency: "EUR"},
				PaymentMethod: "demo",
			},
		},
		"/payment/confirm": {
			`{"version":2,"reference":"r","amount":{"amount":"20.10","currency":"EUR"},"paid_at":"2026-01-31T12:00:00Z","method":"card"}`, "ConfirmPayment",
			app.ConfirmPayment{
				Order: theOrder, Precondition: pre, Reference: "r",
				Amount: event.Amount{Amount: "20.10", Currency: "EUR"}, PaidAt: now, Method: "card",
			},
		},
		"/items/" + theItem.String() + "/redeliver": {
			`{"version":2}`, "Redeliver", app.Redeliver{Order: theOrder, Item: theItem, Precondition: pre},
		},
	} {
		k := newKit(t)
		w := k.do("POST", orderPath+path, want.body)
		if got := k.fake.Called(); w.Code != 200 || len(got) != 1 || got[0] != want.useCase {
			t.Fatalf("POST %s answered %d and called %v, want 200 and %s\n%s", path, w.Code, got, want.useCase, w.Body)
		}
		in := k.fake.Last().In
		if diff := cmp.Diff(want.in, in); diff != "" {
			t.Errorf("POST %s (-want +got):\n%s", path, diff)
		}
	}
}

func TestListPassesItsFilterOnAndLinksToTheNextPage(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	apptest.Answer(k.fake, "Orders", app.Page[*app.Aggregate]{Data: []*app.Aggregate{k.aggregate}, Next: "next/page="})
	w := k.do("GET",
		"/v1/orders?limit=7&state=cancelled&outcome=partial&settlement=stuck&product=vps"+
			"&created_after=2026-01-01T00:00:00Z&created_before=2026-02-01T00:00:00%2B01:00"+
			"&payment_reference=r1&q=po&customer="+ana.String(), "")
	if w.Code != 200 {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	in := k.fake.Last().In
	partial, stuck := order.OutcomePartial, order.SettlementStuck
	want := app.OrderFilter{
		Customer: ana, State: order.Cancelled, Outcome: &partial, Settlement: &stuck, Product: "vps", Reference: "r1",
		Query: "po", Deleted: true, Limit: 7,
		CreatedAfter:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		CreatedBefore: time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("the use case got another input (-want +got):\n%s", diff)
	}
	if got, want := w.Body.String(), `{"data":[`+wantOrder+`],"next_cursor":"next/page="}`; got != want {
		t.Errorf("list answered %s", got)
	}
	if got, want := w.Header().Get("Link"), `cursor=next%2Fpage%3D`; !strings.Contains(got, want) ||
		!strings.HasSuffix(got, `>; rel="next"`) || !strings.HasPrefix(got, "</v1/orders?") {
		t.Errorf("Link = %q", got)
	}
}

func TestItemShowsItsAttemptsAndTheTimeOfTheNextCall(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	agg := k.aggregate
	agg.Order.State, agg.Order.Items[0].State, agg.Order.Items[0].Progress = order.Provisioning, order.ItemRetryWait, 40
	agg.Tasks = []fulfil.Task{
		{
			ID: fulfil.TaskID{1}, Kind: fulfil.Provision, Item: theItem, State: fulfil.Open, Try: 2, Epoch: 9,
			NextAt: now.Add(8 * time.Second),
		},
	}
	var got struct {
		Items []struct {
			State       string
			Progress    int
			Attempts    int
			NextRetryAt *time.Time `json:"next_retry_at"`
			Cancel      string     `json:"cancel_effect"`
		}
	}
	decode(t, k.do("GET", orderPath, "").Body.Bytes(), &got)
	it := got.Items[0]
	if it.State != "retry_wait" || it.Progress != 40 || it.Attempts != 3 || it.NextRetryAt == nil ||
		!it.NextRetryAt.Equal(now.Add(8*time.Second)) || it.Cancel != "rolled_back" {
		t.Errorf("item = %+v", it)
	}
}

func TestOrderShowsWhenItStartsDuringTheSafetyWindowUnlessItIsOnHold(t *testing.T) {
	t.Parallel()
	start := now.Add(40 * time.Second)
	for name, c := range map[string]struct {
		window int
		held   bool
		want   bool
	}{"window": {10, false, true}, "no window": {0, false, false}, "held": {10, true, false}} {
		k := newKit(t)
		agg := k.aggregate
		agg.Settings.SafetyWindow = c.window
		agg.Tasks = []fulfil.Task{{ID: fulfil.TaskID{1}, Kind: fulfil.Validate, State: fulfil.Queued, NextAt: start}}
		if c.held {
			agg.Order.HeldAt = &now
		}
		var got struct {
			StartsAt *time.Time `json:"starts_at"`
			HeldAt   *time.Time `json:"held_at"`
		}
		decode(t, k.do("GET", orderPath, "").Body.Bytes(), &got)
		if (got.StartsAt != nil) != c.want || c.want && !got.StartsAt.Equal(start) {
			t.Errorf("%s: starts_at = %v", name, got.StartsAt)
		}
		if (got.HeldAt != nil) != c.held {
			t.Errorf("%s: held_at = %v", name, got.HeldAt)
		}
	}
}

func TestForeignAbsentAndMalformedIDsGetTheSameAnswer(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.fake.Break("CancelOrder", fault.Absent())
	for _, suffix := range []string{"", "/events", "/stream"} {
		method := "GET"
		a := k.do(method, "/v1/orders/"+absent+suffix, "")
		b := k.do(method, "/v1/orders/no-id-at-all"+suffix, "")
		c := k.do(method, "/v1/orders/"+absent+"0"+suffix, "")
		k.wantProblem(a, 404, "not-found")
		if a.Body.String() != b.Body.String() || a.Body.String() != c.Body.String() {
			t.Errorf("GET …%s answers differently for absent and malformed:\n%s\n%s\n%s", suffix, a.Body, b.Body, c.Body)
		}
	}
	a := k.do("POST", "/v1/orders/"+absent+"/cancel", "{}")
	b := k.do("POST", "/v1/orders/x/cancel", "{}")
	k.wantProblem(a, 404, "not-found")
	if a.Body.String() != b.Body.String() {
		t.Errorf("cancel answers differently for absent and malformed:\n%s\n%s", a.Body, b.Body)
	}
}

func TestOrderShowsNoCredential(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	agg := k.aggregate
	agg.Deliveries = []app.Delivery{
		{
			ID: id.Of[app.Delivery]{1}, Item: theItem, PassphraseSealed: []byte("CANARY-sealed"),
			Recipient: "CANARY@example.com", MessageID: "CANARY-message",
		},
	}
	agg.Added.Credentials = []app.SealedCredential{{Item: theItem, Sealed: []byte("CANARY-credential")}}
	agg.Customer = app.Member{Email: "CANARY@example.com", DeliveryKey: []byte("CANARY-key")}
	apptest.Answer(k.fake, "Order", agg) // with everything, unlike the answer of the real use case
	apptest.Answer(k.fake, "Orders", app.Page[*app.Aggregate]{Data: []*app.Aggregate{agg}})
	for _, path := range []string{orderPath, "/v1/orders"} {
		if body := k.do("GET", path, "").Body.String(); strings.Contains(body, "CANARY") {
			t.Errorf("GET %s shows it:\n%s", path, body)
		}
	}
	if strings.Contains(string(k.api.openapi), "passphrase_") || strings.Contains(string(k.api.openapi), "sealed") {
		t.Error("the OpenAPI document names a credential")
	}
}

func TestScopedKeyWithoutThePermissionIsRefusedTheCatalogue(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.fake.AddKey(scopedKey, tenant.Actor{
		Tenant: tenantA, Kind: tenant.KindMember, Member: ana, Role: tenant.Admin, Scopes: []string{string(app.ReadOrders)},
	})
	for _, path := range []string{"/v1/catalog", "/v1/catalog/vps"} {
		k.wantProblem(k.do("GET", path, "", "Authorization", "Bearer "+scopedKey), 403, "forbidden")
	}
}

func TestCatalogueShowsProductsWithSchemaPricesAndDefaults(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var got struct {
		Data []struct {
			ID      string
			Schema  map[string]any `json:"configuration_schema"`
			Default struct{ Region string }
		}
		Currency string
	}
	w := k.do("GET", "/v1/catalog", "")
	decode(t, w.Body.Bytes(), &got)
	if len(got.Data) != 6 || got.Currency != "EUR" || got.Data[0].Schema["type"] != "object" ||
		got.Data[0].Default.Region == "" {
		t.Errorf("catalogue = %.400s", w.Body)
	}
	if w := k.do("GET", "/v1/catalog/"+got.Data[0].ID, ""); w.Code != 200 {
		t.Errorf("GET product answered %d", w.Code)
	}
	k.wantProblem(k.do("GET", "/v1/catalog/nothing", ""), 404, "not-found")
}

func TestQuoteShowsPricesAndFaults(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	w := k.do("POST", "/v1/quotes",
		`{"items":[{"product":"vps","region":"lj-1","billing_cycle":"monthly"},{"product":"vps","region":"xx","billing_cycle":"monthly"}]}`)
	want :=
		`{"totals":{"monthly":{"amount":"20.10","currency":"EUR"},"annual":{"amount":"0.00","currency":"EUR"},"due_now":{"amount":"20.10","currency":"EUR"}},` +
			`"items":[{"lines":[{"component":"plan","quantity":1,"unit_price":"20.10","amount":"20.10"}],"monthly":"20.10","due_now":"20.10"},{"lines":[],"monthly":null,"due_now":null}],` +
			`"fx":null,"faults":[{"pointer":"/items/1/region","code":"region-not-offered","message":"Not there.","allowed":["lj-1"]}]}`
	if diff := cmp.Diff(want, w.Body.String()); w.Code != 200 || diff != "" {
		t.Errorf("quote answered %d (-want +got):\n%s", w.Code, diff)
	}
}

func TestUseCaseGetsTheCallersRole(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.do("GET", orderPath, "")
	c := k.fake.Last().Caller
	if c.Role != tenant.Admin || c.Kind != tenant.KindMember {
		t.Errorf("caller = %+v", c)
	}
}

func decode(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("decode %s: %v", raw, err)
	}
}
