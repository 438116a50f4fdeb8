package httpapi_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestATenantMayRequireIdempotencyKeys(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	ids := r.seed(r.Tenant.Keys)
	r.want("settings", r.admin("PUT", "/v1/settings", r.settings(map[string]any{"require_idempotency_key": true})), "200")
	key, err := json.Marshal(harness.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	nothing := idSet{noID, noID, noID, noID, noID, noID, noID}
	before := r.rows()
	tried := 0
	for _, e := range endpoints {
		body := strings.Replace(e.body, `"-----BEGIN PGP PUBLIC KEY BLOCK-----"`, string(key), 1)
		if strings.HasSuffix(e.path(), "/stream") {
			continue // a stream ends only when its client leaves
		}
		w := r.send(r.keyOf(e.leastRole()), e.method(), ids.in(e.path()), ids.in(body))
		if !e.keyed {
			r.want(e.name+" without a key", w, "200")
			continue
		}
		tried++
		r.want(e.name+" without a key", w, "400 idempotency-key-required")
		for _, role := range tenant.Roles() {
			if !strings.Contains(e.who, role.String()) {
				w := r.send(r.keyOf(role), e.method(), ids.in(e.path()), ids.in(body))
				r.want(e.name+" as "+role.String(), w, "403 forbidden")
			}
		}
		if strings.Contains(e.path(), "{") {
			r.want(e.name+" of nothing", r.send(r.keyOf(e.leastRole()), e.method(), nothing.in(e.path()), nothing.in(body)),
				"404 not-found")
		}
	}
	r.wantSameRows("writes without a key", before)
	if tried < 15 {
		t.Errorf("only %d routes require a key", tried)
	}
	r.want("with a key", r.customer("POST", "/v1/orders", anOrder, "Idempotency-Key", "k"), "201")
	r.want("another tenant's", r.send(r.OtherTenant.Keys[tenant.Customer], "POST", "/v1/orders", anOrder), "201")
	r.want("settings without a key", r.admin("PUT", "/v1/settings",
		r.settings(map[string]any{"require_idempotency_key": false})), "400 idempotency-key-required")
	r.want("settings", r.admin("PUT", "/v1/settings", r.settings(map[string]any{"require_idempotency_key": false}),
		"Idempotency-Key", "off"), "200")
	r.want("without a key again", r.customer("POST", "/v1/orders", anOrder), "201")
}

func TestThePermissionIsCheckedBeforeTheBody(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	ids := r.seed(r.Tenant.Keys)
	const unprintable = `{"reason":"line\nbreak"}`
	before := r.rows()
	for _, target := range []string{"payment/revert", "hold", "release"} {
		r.want(target+" as customer", r.customer("POST", "/v1/orders/"+ids.order+"/"+target, unprintable), "403 forbidden")
		r.want(target+" as operator", r.operator("POST", "/v1/orders/"+ids.order+"/"+target, unprintable),
			"422 validation-failed")
	}
	r.want("cancel as auditor", r.send(r.keyOf(tenant.Auditor), "POST", "/v1/orders/"+ids.order+"/cancel", unprintable),
		"403 forbidden")
	r.want("redrive as customer", r.customer("POST", "/v1/dead-letters/"+ids.deadLetter+"/redrive", unprintable),
		"403 forbidden")
	done := `{"order":"` + ids.order + `","reason":"line\nbreak"}`
	r.want("work item as customer", r.customer("POST", "/v1/work-items/"+ids.refund+"/done", done), "403 forbidden")
	r.want("work item as operator", r.operator("POST", "/v1/work-items/"+ids.refund+"/done", done),
		"422 validation-failed")
	r.want("confirm as customer", r.customer("POST", "/v1/orders/"+ids.order+"/payment/confirm",
		confirmation("r", amount{"x", "EUR"})), "403 forbidden")
	r.want("settings as operator", r.operator("PUT", "/v1/settings", r.settings(map[string]any{"payment_method": "gold"})),
		"403 forbidden")
	r.want("for another customer as customer", r.customer("POST", "/v1/orders",
		`{"customer_id":"`+r.Tenant.Members[tenant.Operator].ID.String()+
			`","items":[{"product":"x","region":"x","billing_cycle":"x"}]}`), "403 forbidden")
	r.wantSameRows("requests without the permission", before)
}

func TestAnExternalIDBelongsToOneOrder(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	first := r.orderOf(r.customer("POST", "/v1/orders", `{"external_id":"po-1"}`))
	second := r.create(theVPS)
	before := r.rows()
	w := r.customer("POST", "/v1/orders", `{"external_id":"po-1"}`)
	r.want("create", w, "409 external-id-in-use")
	if !strings.Contains(w.Body.String(), first.ID) {
		t.Errorf("the conflict does not name the order: %s", w.Body)
	}
	r.want("edit", r.customer("PATCH", "/v1/orders/"+second.ID, `{"version":1,"external_id":"po-1"}`),
		"409 external-id-in-use")
	r.want("edit with a key", r.customer("PATCH", "/v1/orders/"+second.ID, `{"version":1,"external_id":"po-1"}`,
		"Idempotency-Key", "k"), "409 external-id-in-use")
	r.wantSameRows("an external id that is taken", before)
	r.want("its own again", r.customer("PATCH", "/v1/orders/"+first.ID, `{"version":1,"external_id":"po-1"}`), "200")
	r.want("another tenant's", r.send(r.OtherTenant.Keys[tenant.Customer], "POST", "/v1/orders", `{"external_id":"po-1"}`),
		"201")
	r.want("cancel the first", r.customer("POST", "/v1/orders/"+first.ID+"/cancel", ""), "200")
	r.want("after it was cancelled", r.customer("PATCH", "/v1/orders/"+second.ID, `{"version":1,"external_id":"po-1"}`),
		"409 external-id-in-use")
	r.want("two without one", r.customer("PATCH", "/v1/orders/"+second.ID, `{"version":1,"external_id":""}`), "200")
}

func TestAnOperatorMayOrderOnlyForMembersOfTheTenant(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	mine, theirs := r.Tenant.Members[tenant.Customer].ID.String(), r.OtherTenant.Members[tenant.Customer].ID.String()
	o := r.orderOf(r.operator("POST", "/v1/orders", `{"customer_id":"`+mine+`","items":[`+theVPS+`]}`))
	r.want("read by whom it is for", r.customer("GET", "/v1/orders/"+o.ID, ""), "200")
	r.want("for oneself, in capitals", r.customer("POST", "/v1/orders", `{"customer_id":"`+strings.ToUpper(mine)+`"}`),
		"201")
	before := r.rows()
	foreign := r.operator("POST", "/v1/orders", `{"customer_id":"`+theirs+`"}`)
	absent := r.operator("POST", "/v1/orders", `{"customer_id":"`+noID+`"}`)
	r.want("for another tenant's", foreign, "422 validation-failed")
	if withoutID(foreign) != withoutID(absent) {
		t.Errorf("the answers for another tenant's member and for nobody differ:\n%s\n%s", foreign.Body, absent.Body)
	}
	r.wantSameRows("orders for nobody", before)
}

func TestADeliveryKeyIsCheckedStoredAndRemoved(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	before := r.rows()
	for what, key := range map[string]string{
		"no key": "hello", "half a key": harness.PublicKey[:200],
		"another kind of block": strings.ReplaceAll(harness.PublicKey, "PUBLIC KEY BLOCK", "MESSAGE"),
	} {
		body, err := json.Marshal(map[string]string{"public_key": key})
		if err != nil {
			t.Fatal(err)
		}
		if w := r.customer("PUT", "/v1/me/delivery-key", string(body)); w.Code != 422 {
			t.Errorf("%s answered %d %s", what, w.Code, w.Body)
		}
	}
	r.wantSameRows("malformed keys", before)
	body, err := json.Marshal(map[string]string{"public_key": harness.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	put := r.customer("PUT", "/v1/me/delivery-key", string(body), "Idempotency-Key", "put")
	r.want("put", put, "200")
	r.wantReplay("put", put, r.customer("PUT", "/v1/me/delivery-key", string(body), "Idempotency-Key", "put"))
	if got := r.customer("GET", "/v1/me/delivery-key", "").Body.String(); got != put.Body.String() ||
		!strings.Contains(got, "fingerprint") {
		t.Errorf("read %s, put answered %s", got, put.Body)
	}
	if got := r.operator("GET", "/v1/me/delivery-key", "").Body.String(); got != `{"delivery_key":null}` {
		t.Errorf("the operator has the customer's key: %s", got)
	}
	r.want("delete", r.customer("DELETE", "/v1/me/delivery-key", ""), "200")
	if got := r.customer("GET", "/v1/me/delivery-key", "").Body.String(); got != `{"delivery_key":null}` {
		t.Errorf("after the delete: %s", got)
	}
}

func TestBadSettingsAreRefusedWithPointersAndStaleOnesByVersion(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	before := r.rows()
	badValues := map[string][]any{
		"currency": {"ZZZ", "eur", ""}, "time_zone": {"Mars/Olympus", "Local", "", "../etc/passwd", "UTC\u0000"[:3] + "x"},
		"payment_method": {"gold", ""}, "safety_window": {-1, 604801},
		"payment_due_days": {0, 366}, "quote_valid_days": {0, 366}, "brand_color": {"red", "#12345", "#12345g", "1234567"},
		"brand_contrast": {"url(x)"}, "language": {"fr", "EN"}, "name": {"a\nb", strings.Repeat("n", 81)},
	}
	for f := range reflect.TypeFor[app.Settings]().Fields() {
		name := f.Tag.Get("json")
		if name != "-" && f.Type.Kind() != reflect.Bool && len(badValues[name]) == 0 {
			t.Errorf("%s has no bad value here: check it in checkSettings in internal/app/account.go", name)
		}
	}
	for member, bad := range badValues {
		for _, v := range bad {
			w := r.admin("PUT", "/v1/settings", r.settings(map[string]any{member: v}))
			r.want(member, w, "422 validation-failed")
			if !pointsAt(w, "/"+member) {
				t.Errorf("%s = %v: no error points at it: %s", member, v, w.Body)
			}
		}
	}
	r.wantSameRows("bad settings", before)
	stale := r.settings(nil)
	changed := r.admin("PUT", "/v1/settings", r.settings(map[string]any{
		"name": "Alpha d.o.o.", "time_zone": "Europe/Ljubljana", "language": "sl", "brand_color": "#0B5fff",
	}))
	r.want("put", changed, "200")
	if got := r.admin("GET", "/v1/settings", ""); got.Body.String() != changed.Body.String() ||
		got.Header().Get("ETag") != changed.Header().Get("ETag") {
		t.Errorf("read %s, put answered %s", got.Body, changed.Body)
	}
	r.want("a stale put", r.admin("PUT", "/v1/settings", stale), "409 version-conflict")
	got := r.send(r.OtherTenant.Keys[tenant.Admin], "GET", "/v1/settings", "").Body.String()
	if strings.Contains(got, "Alpha") {
		t.Errorf("another tenant's settings: %s", got)
	}
}
