package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// goldenPrices are the prices of D14 at the limits of each product, worked out by hand: of a month, and of a year,
// which is twelve months less 20 %.
var goldenPrices = []struct{ product, plan, configuration, month, year string }{
	{"vps", "core", `{"os_image":"debian-12"}`, "10.00", "96.00"},
	{"vps", "business", `{"os_image":"windows-2022"}`, "20.10", "192.96"},
	{"vps", "enterprise", `{"os_image":"rocky-9","ssh_public_keys":[]}`, "56.60", "543.36"},
	{"kubernetes", "", `{"workers":3,"storage_gb":10}`, "455.00", "4368.00"},
	{"kubernetes", "", `{"workers":50,"storage_gb":20000,"storage_class":"fast"}`, "17500.00", "168000.00"},
	{
		"kubernetes", "", `{"workers":4,"storage_gb":11,"autoscaling":{"enabled":true,"min_workers":3,"max_workers":50}}`,
		"605.50", "5812.80",
	},
	{"database", "starter", `{"storage_gb":20}`, "50.00", "480.00"},
	{
		"database", "starter", `{"engine":"postgresql-16","storage_gb":2000,"high_availability":true}`, "1080.00",
		"10368.00",
	},
	{"database", "production", `{"storage_gb":21}`, "130.50", "1252.80"},
	{"database", "production", `{"storage_gb":2000,"high_availability":true}`, "1240.00", "11904.00"},
	{"gpu", "", `{"gpu_type":"a100","nodes":1,"storage_gb":100}`, "1250.00", "12000.00"},
	{"gpu", "", `{"gpu_type":"a100","nodes":8,"storage_gb":50000}`, "34600.00", "332160.00"},
	{"gpu", "", `{"gpu_type":"h100","nodes":8,"storage_gb":101,"framework":"jax"}`, "19250.50", "184804.80"},
	{"private_cloud", "", `{"cluster_size":"small","nodes":3,"storage_tb":5}`, "1750.00", "16800.00"},
	{"private_cloud", "", `{"cluster_size":"large","nodes":20,"storage_tb":500}`, "49000.00", "470400.00"},
	{"object_storage", "standard", `{"capacity_tb":1}`, "20.00", "192.00"},
	{"object_storage", "standard", `{"capacity_tb":1000,"replication":"dual_region"}`, "20000.00", "192000.00"},
	{"object_storage", "archive", `{"capacity_tb":1}`, "10.00", "96.00"},
	{"object_storage", "archive", `{"capacity_tb":1000}`, "10000.00", "96000.00"},
}

func item(product, plan, cycle, configuration string) string {
	if plan != "" {
		plan = fmt.Sprintf(`"plan":%q,`, plan)
	}
	return fmt.Sprintf(`{"product":%q,%s"region":"lj-1","billing_cycle":%q,"configuration":%s}`, product,
		plan, cycle, configuration)
}

func TestQuotesAndOrdersHaveTheGoldenPrices(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	for _, g := range goldenPrices {
		for cycle, due := range map[string]string{"monthly": g.month, "annual": g.year} {
			it := item(g.product, g.plan, cycle, g.configuration)
			o := r.create(it)
			want := []string{g.month, due, due + " EUR"}
			if diff := cmp.Diff(want, []string{
				o.Items[0].Price.Monthly, o.Items[0].Price.DueNow, o.Totals.DueNow.String(),
			}); diff != "" {
				t.Errorf("%s: month, first period, due now (-want +got):\n%s", it, diff)
			}
			totals := map[string]string{"monthly": o.Totals.Monthly.Amount, "annual": o.Totals.Annual.Amount}
			if diff := cmp.Diff(map[string]string{"monthly": "0.00", "annual": "0.00", cycle: due}, totals); diff != "" {
				t.Errorf("%s: totals (-want +got):\n%s", it, diff)
			}
			var q orderAnswer
			r.decode(r.customer("POST", "/v1/quotes", `{"items":[`+it+`]}`), &q)
			if diff := cmp.Diff(o.Totals, q.Totals); diff != "" {
				t.Errorf("%s: quote and order differ (-order +quote):\n%s", it, diff)
			}
		}
	}
}

func TestAHundredOfTheMostExpensiveItemsAreAcceptedAndOneMoreIsRefused(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	mostExpensive := item("private_cloud", "", "annual", `{"cluster_size":"large","nodes":20,"storage_tb":500}`)
	many := strings.Repeat(mostExpensive+",", 99) + mostExpensive
	o := r.create(many)
	if got := o.Totals.DueNow.String(); got != "47040000.00 EUR" || len(o.Items) != 100 {
		t.Errorf("%d items come to %s", len(o.Items), got)
	}
	before := r.rows()
	r.want("101 items", r.customer("POST", "/v1/orders", `{"items":[`+many+","+mostExpensive+`]}`), "422 validation-failed")
	r.want("101 items of a quote", r.customer("POST", "/v1/quotes", `{"items":[`+many+","+mostExpensive+`]}`),
		"422 validation-failed")
	r.wantSameRows("101 items", before)
	paid := r.orderOf(r.operator("POST", "/v1/orders/"+r.orderOf(r.customer("POST", "/v1/orders/"+o.ID+"/submit", "")).ID+
		"/payment/confirm", confirmation("dear", amount{"47039999.01", "EUR"})))
	r.wantAllocated(paid, "47039999.01")
}

// wantAllocated checks that the items' shares add up to the payment.
func (r *integration) wantAllocated(o orderAnswer, captured string) {
	r.Helper()
	sum := money.Cents(0)
	for _, it := range o.Items {
		c, err := money.ParseDecimal(it.Allocation.Amount, money.Currency(it.Allocation.Currency))
		if err != nil {
			r.Fatalf("allocation %s: %v", it.Allocation, err)
		}
		sum += c
	}
	if got := money.Format(sum, money.Currency(o.dueCurrency())); got != captured ||
		o.Payments[len(o.Payments)-1].Amount.Amount != captured {
		r.Errorf("allocations add up to %s, the payment is %s, want %s", got, o.Payments[len(o.Payments)-1].Amount, captured)
	}
}

// dueCurrency returns the currency of the amount due.
func (o orderAnswer) dueCurrency() string { return o.Totals.DueNow.Currency }

// inCurrency sets the tenant's currency and its exchange rate.
func (r *integration) inCurrency(currency, rate string) {
	r.Helper()
	parsed, err := money.ParseRate(rate)
	if err != nil {
		r.Fatal(err)
	}
	if err := r.DB.API(r).AddRate(r.Context(), money.Currency(currency), order.FX{
		Rate: parsed, Source: "test", At: r.Clock.Now(),
	}); err != nil {
		r.Fatal(err)
	}
	r.want("settings", r.admin("PUT", "/v1/settings", r.settings(map[string]any{"currency": currency})), "200")
}

func TestATotalAndAPaymentMayBeOneEuroOffAndNoCentMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, currency, rate, due string
		within, beyond            []string
	}{
		{
			"euro", "EUR", "", "20.10",
			[]string{"20.10", "21.09", "21.10", "19.11", "19.10"},
			[]string{"21.11", "19.09", "0.00", "9999999999.99"},
		},
		// 20.10 × 0.9321 = 18.73521; one euro is 93.21 rappen, so 93 are within and 94 are not.
		{
			"francs", "CHF", "0.9321", "18.74",
			[]string{"18.74", "19.66", "19.67", "17.82", "17.81"},
			[]string{"19.68", "17.80", "19.74"},
		},
		// 20.10 × 160.5 = 3226.05; one euro is 160.5 yen.
		{"yen", "JPY", "160.5", "3226", []string{"3226", "3386", "3066"}, []string{"3387", "3065"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newIntegration(t)
			if c.rate != "" {
				r.inCurrency(c.currency, c.rate)
			}
			expected := func(a string) string {
				return fmt.Sprintf(`{"expected_total":{"amount":%q,"currency":%q}}`, a, c.currency)
			}
			for _, a := range c.within {
				o := r.create(theVPS)
				if o.Totals.DueNow != (amount{c.due, c.currency}) {
					t.Fatalf("due now %s, want %s", o.Totals.DueNow, c.due)
				}
				at := "/v1/orders/" + o.ID
				r.want("expecting "+a, r.customer("POST", at+"/submit", expected(a)), "200")
				paid := r.orderOf(r.operator("POST", at+"/payment/confirm", confirmation("within "+a, amount{a, c.currency})))
				if p := paid.Payments[0]; p.Amount != (amount{a, c.currency}) || p.Due != (amount{c.due, c.currency}) {
					t.Errorf("paid %s for %s, want what was really paid, %s for %s", p.Amount, p.Due, a, c.due)
				}
				r.wantAllocated(paid, a)
			}
			for _, a := range c.beyond {
				o := r.create(theVPS)
				at := "/v1/orders/" + o.ID
				w := r.customer("POST", at+"/submit", expected(a))
				r.want("expecting "+a, w, "422 total-mismatch")
				r.wantFigures(w, "actual", c.due, "expected", a)
				r.want("submit", r.customer("POST", at+"/submit", ""), "200")
				before := r.rows()
				w = r.operator("POST", at+"/payment/confirm", confirmation("beyond "+a, amount{a, c.currency}))
				r.want("paying "+a, w, "422 payment-amount-mismatch")
				r.wantFigures(w, "expected", c.due, "received", a)
				r.want("paying in another currency", r.operator("POST", at+"/payment/confirm",
					confirmation("other", amount{"20", "USD"})), "422 validation-failed")
				r.wantSameRows("a payment of another amount", before)
			}
			o := r.create(theVPS)
			r.want("expecting another currency", r.customer("POST", "/v1/orders/"+o.ID+"/submit",
				`{"expected_total":{"amount":"20","currency":"USD"}}`), "422 validation-failed")
		})
	}
}

// wantFigures checks amounts among the members of a problem.
func (r *integration) wantFigures(w *httptest.ResponseRecorder, namesAndAmounts ...string) {
	r.Helper()
	var p map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		r.Fatal(err)
	}
	for i := 0; i < len(namesAndAmounts); i += 2 {
		figure, _ := p[namesAndAmounts[i]].(map[string]any)
		if figure["amount"] != namesAndAmounts[i+1] {
			r.Errorf("%s = %v, want %s: %s", namesAndAmounts[i], figure, namesAndAmounts[i+1], w.Body)
		}
	}
}

func TestMalformedAmountsCurrenciesAndTimesAreRefused(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.submitted()
	before := r.rows()
	for _, a := range []string{
		"", "20.1.0", "20,10", "2e1", "+20.10", "-20.10", " 20.10", "020.10", "20.100", "NaN", "0x14", "٢٠",
		"99999999999999999999999999", ".5", "20.",
	} {
		r.want("paying "+a, r.operator("POST", "/v1/orders/"+o.ID+"/payment/confirm", confirmation("r", amount{a, "EUR"})),
			"422 validation-failed")
	}
	for _, c := range []string{"XXX", "eur", "EURO", "", "\u0130UR"} {
		r.want("paying in "+c, r.operator("POST", "/v1/orders/"+o.ID+"/payment/confirm",
			confirmation("r", amount{"20.10", c})), "422 validation-failed")
	}
	for _, at := range []string{
		"0000-01-01T00:00:00+01:00", "1969-12-31T23:59:59Z", "1999-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00",
		"2026-03-03T09:00:01Z",
	} {
		body := strings.Replace(confirmation("r", o.Totals.DueNow), "{", fmt.Sprintf(`{"paid_at":%q,`, at), 1)
		r.want("paid at "+at, r.operator("POST", "/v1/orders/"+o.ID+"/payment/confirm", body), "422 validation-failed")
	}
	r.wantSameRows("malformed amounts", before)
}

func TestRoundingIsHalfToEvenOncePerItem(t *testing.T) {
	t.Parallel()
	core := item("vps", "core", "monthly", `{"os_image":"debian-12"}`)
	for rate, want := range map[string]string{
		"0.9325": "9.32", "0.9335": "9.34", "0.93351": "9.34", "0.93349": "9.33", "1.00049": "10.00",
		"1.0005": "10.00", "1.0015": "10.02",
	} {
		t.Run(rate, func(t *testing.T) {
			t.Parallel()
			r := newIntegration(t)
			r.inCurrency("CHF", rate)
			o := r.create(core, core, core)
			each, err := money.ParseDecimal(want, "CHF")
			if err != nil {
				t.Fatal(err)
			}
			if got := o.Items[0].Price.DueNow; got != want || o.Totals.DueNow.Amount != money.Format(3*each, "CHF") {
				t.Errorf("10.00 EUR at %s is %s, three are %s; want %s and three times that", rate, got, o.Totals.DueNow, want)
			}
			if o.FX == nil || o.FX.Rate != rate || o.FX.Source != "test" {
				t.Errorf("the order's rate is %+v", o.FX)
			}
		})
	}
}

func TestAnOrderKeepsTheRateItWasCreatedWith(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	r.inCurrency("CHF", "0.9321")
	o := r.create(theVPS)
	r.Clock.Advance(time.Hour)
	r.inCurrency("CHF", "0.5")
	if later := r.create(theVPS); later.Totals.DueNow.Amount != "10.05" {
		t.Errorf("a new order at 0.5 is due %s", later.Totals.DueNow)
	}
	edited := r.orderOf(r.customer("PATCH", "/v1/orders/"+o.ID, `{"version":1,"items":[`+theVPS+`,`+theVPS+`]}`))
	if edited.Totals.DueNow != (amount{"37.48", "CHF"}) || edited.FX.Rate != "0.9321" {
		t.Errorf("the draft is due %s at %s, want two of 18.74 at its own rate", edited.Totals.DueNow, edited.FX.Rate)
	}
	r.want("settings", r.admin("PUT", "/v1/settings", r.settings(map[string]any{"currency": "EUR"})), "200")
	r.want("submit in the order's own currency", r.customer("POST", "/v1/orders/"+o.ID+"/submit",
		`{"expected_total":{"amount":"37.48","currency":"CHF"}}`), "200")
}

func TestACurrencyWithoutARateIsNotPriced(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	r.want("settings", r.admin("PUT", "/v1/settings", r.settings(map[string]any{"currency": "CHF"})), "200")
	before := r.rows()
	r.want("create", r.customer("POST", "/v1/orders", anOrder), "422 currency-not-priced")
	r.want("quote", r.customer("POST", "/v1/quotes", anOrder), "422 currency-not-priced")
	r.want("quote in dollars", r.customer("POST", "/v1/quotes", `{"currency":"USD","items":[]}`),
		"422 currency-not-priced")
	r.want("quote in nothing", r.customer("POST", "/v1/quotes", `{"currency":"ZZZ","items":[]}`),
		"422 currency-not-priced")
	r.want("quote in euro", r.customer("POST", "/v1/quotes", `{"currency":"EUR","items":[`+theVPS+`]}`), "200")
	r.wantSameRows("what has no rate", before)
}

func TestAnEmptyDraftCannotBeSubmitted(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.create()
	at := "/v1/orders/" + o.ID
	r.want("submit of nothing", r.customer("POST", at+"/submit", ""), "422 order-empty")
	o = r.orderOf(r.customer("PATCH", at, `{"version":1,"items":[`+theVPS+`]}`))
	r.orderOf(r.customer("PATCH", at, `{"version":2,"items":[]}`))
	r.want("submit of an emptied cart", r.customer("POST", at+"/submit", ""), "422 order-empty")
	r.want("an item that is gone", r.customer("PATCH", at, `{"version":3,"items":[{"id":"`+o.Items[0].ID+`",`+theVPS[1:]+
		`]}`), "422 validation-failed")
}

func TestPricesExpireAndEditingRenewsThem(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o, other := r.create(theVPS), r.create(theVPS)
	r.Clock.Advance(30 * 24 * time.Hour)
	r.want("submit on the last day", r.customer("POST", "/v1/orders/"+other.ID+"/submit", ""), "200")
	r.Clock.Advance(time.Second)
	r.changeVPS(2, "20.10", "30.20")
	at := "/v1/orders/" + o.ID
	w := r.customer("POST", at+"/submit", "")
	r.want("submit after the last day", w, "422 price-expired")
	if !pointsAt(w, "/items/0") {
		t.Errorf("the fault does not point at the item: %s", w.Body)
	}
	renewed := r.orderOf(r.customer("PATCH", at, `{"version":1,"items":[{"id":"`+o.Items[0].ID+`",`+theVPS[1:]+`]}`))
	if renewed.Items[0].ID != o.Items[0].ID || renewed.Totals.DueNow.Amount != "30.20" {
		t.Errorf("the renewed item is %+v", renewed.Items[0])
	}
	r.want("submit of what was renewed", r.customer("POST", at+"/submit", ""), "200")
}

func TestAnOrderHasOneBillingCycleIfTheTenantRequiresIt(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	yearly := strings.Replace(theVPS, "monthly", "annual", 1)
	mixed := r.create(theVPS, yearly)
	if mixed.Totals.Monthly.Amount != "20.10" || mixed.Totals.Annual.Amount != "192.96" ||
		mixed.Totals.DueNow.Amount != "213.06" {
		t.Errorf("totals of a mixed order: %+v", mixed.Totals)
	}
	r.want("settings", r.admin("PUT", "/v1/settings", r.settings(map[string]any{"single_cycle": true})), "200")
	for what, w := range map[string]*httptest.ResponseRecorder{
		"create": r.customer("POST", "/v1/orders", `{"items":[`+theVPS+`,`+yearly+`]}`),
		"edit":   r.customer("PATCH", "/v1/orders/"+mixed.ID, `{"version":1,"items":[`+yearly+`,`+theVPS+`]}`),
		"submit": r.customer("POST", "/v1/orders/"+mixed.ID+"/submit", ""),
	} {
		r.want(what, w, "422 validation-failed")
		if !pointsAt(w, "/items/1/billing_cycle") || !strings.Contains(w.Body.String(), "billing-cycle-mismatch") {
			t.Errorf("%s: no fault at the second item's cycle: %s", what, w.Body)
		}
	}
	if w := r.customer("POST", "/v1/quotes", `{"items":[`+theVPS+`,`+yearly+`]}`); w.Code != 200 ||
		!strings.Contains(w.Body.String(), "billing-cycle-mismatch") {
		t.Errorf("the quote of a mixed order answers %d %s", w.Code, w.Body)
	}
	r.want("one cycle", r.customer("POST", "/v1/orders", `{"items":[`+yearly+`,`+yearly+`]}`), "201")
}

func TestEditingADraftKeepsItemsByIDAndPricesChangedOnes(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.create(strings.Replace(theVPS, "web", "a", 1), strings.Replace(theVPS, "web", "b", 1),
		strings.Replace(theVPS, "web", "c", 1))
	at := "/v1/orders/" + o.ID
	r.changeVPS(2, "20.10", "30.20")
	keep := func(i int, label string) string {
		return `{"id":"` + o.Items[i].ID + `",` + strings.Replace(theVPS, "web", label, 1)[1:]
	}
	// The edit puts c first, renames it, keeps a, removes b and adds a new item. The id of a is in upper case, which
	// makes no difference.
	w := r.customer("PATCH", at, `{"version":1,"items":[`+keep(2, "renamed")+`,`+strings.Replace(keep(0, "a"),
		o.Items[0].ID, strings.ToUpper(o.Items[0].ID), 1)+`,`+strings.Replace(theVPS, "web", "new", 1)+`]}`)
	edited := r.orderOf(w)
	got := map[string]string{}
	for _, it := range edited.Items {
		got[it.Label] = it.Price.DueNow
	}
	if diff := cmp.Diff(map[string]string{"a": "20.10", "renamed": "30.20", "new": "30.20"}, got); diff != "" {
		t.Errorf("prices by label (-want +got):\n%s", diff)
	}
	ids := map[string]string{}
	for _, it := range edited.Items {
		ids[it.Label] = it.ID
	}
	if ids["a"] != o.Items[0].ID || ids["renamed"] != o.Items[2].ID || ids["new"] == o.Items[1].ID {
		t.Errorf("items were not kept by their ids: %v of %+v", ids, o.Items)
	}
	if diff := cmp.Diff(r.customer("GET", at, "").Body.String(), w.Body.String()); diff != "" {
		t.Errorf("the answer of the edit is not what is read (-read +answered):\n%s", diff)
	}
	otherCart := r.create(theVPS).Items[0].ID
	otherTenant := r.orderOf(r.send(r.OtherTenant.Keys[tenant.Customer], "POST", "/v1/orders",
		`{"items":[`+theVPS+`]}`)).Items[0].ID
	before := r.rows()
	for what, body := range map[string]string{
		"an item twice":             `{"version":2,"items":[` + keep(0, "a") + `,` + keep(0, "a") + `]}`,
		"an item that was removed":  `{"version":2,"items":[` + keep(1, "b") + `]}`,
		"an item of nobody":         `{"version":2,"items":[{"id":"` + noID + `",` + theVPS[1:] + `]}`,
		"an item of another cart":   `{"version":2,"items":[{"id":"` + otherCart + `",` + theVPS[1:] + `]}`,
		"an item of another tenant": `{"version":2,"items":[{"id":"` + otherTenant + `",` + theVPS[1:] + `]}`,
	} {
		w := r.customer("PATCH", at, body)
		r.want(what, w, "422 validation-failed")
		if !strings.Contains(w.Body.String(), "unknown-item") {
			t.Errorf("%s: %s", what, w.Body)
		}
	}
	r.wantSameRows("items that are not the draft's", before)
}

func TestAChangeOfTheCatalogueChangesNoOrder(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	draft, submitted, paid := r.create(theVPS), r.submitted(), r.paid()
	done := r.paid()
	r.Drain(parseOrder(t, done.ID))
	cancelled := r.submitted()
	r.want("cancel", r.customer("POST", "/v1/orders/"+cancelled.ID+"/cancel", ""), "200")
	read := func() map[string]string {
		bodies := map[string]string{"list": r.customer("GET", "/v1/orders?include_deleted=true", "").Body.String()}
		for _, o := range []orderAnswer{draft, submitted, paid, done, cancelled} {
			w := r.customer("GET", "/v1/orders/"+o.ID, "")
			bodies[o.ID] = w.Header().Get("ETag") + w.Body.String()
		}
		return bodies
	}
	before := read()
	r.changeVPS(2, "20.10", "99.90", `"Business"`, `"Affairs"`, `"Virtual server"`, `"Machine"`, `"debian-12", `, ``,
		`"debian-12": "Debian 12", `, ``)
	r.want("what is no longer sold", r.customer("POST", "/v1/orders", anOrder), "422 validation-failed")
	if diff := cmp.Diff(before, read()); diff != "" {
		t.Errorf("orders after the change (-before +after):\n%s", diff)
	}
	r.want("submit of what is no longer sold", r.customer("POST", "/v1/orders/"+draft.ID+"/submit", ""),
		"422 validation-failed")
	confirmed := r.orderOf(r.operator("POST", "/v1/orders/"+submitted.ID+"/payment/confirm",
		confirmation("later", submitted.Totals.DueNow)))
	if confirmed.Totals != submitted.Totals {
		t.Errorf("a submitted order was %+v and is %+v", submitted.Totals, confirmed.Totals)
	}
}
