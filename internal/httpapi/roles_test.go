package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// wantRoles says who may call which route, written by hand from D24: customer, operator, admin, auditor.
var wantRoles = map[string]string{
	"GET /v1/catalog":                                     "yes yes yes yes",
	"GET /v1/catalog/{product}":                           "yes yes yes yes",
	"POST /v1/quotes":                                     "yes yes yes no",
	"POST /v1/orders":                                     "yes yes yes no",
	"GET /v1/orders":                                      "yes yes yes yes",
	"GET /v1/orders/{id}":                                 "yes yes yes yes",
	"PATCH /v1/orders/{id}":                               "yes yes yes no",
	"POST /v1/orders/{id}/submit":                         "yes yes yes no",
	"POST /v1/orders/{id}/payment/confirm":                "no yes yes no",
	"POST /v1/orders/{id}/payment/revert":                 "no yes yes no",
	"POST /v1/orders/{id}/cancel":                         "yes yes yes no",
	"POST /v1/orders/{id}/restore":                        "yes yes yes no",
	"POST /v1/orders/{id}/hold":                           "no yes yes no",
	"POST /v1/orders/{id}/release":                        "no yes yes no",
	"GET /v1/orders/{id}/events":                          "yes yes yes yes",
	"GET /v1/orders/{id}/stream":                          "yes yes yes yes",
	"GET /v1/orders/{id}/saga":                            "no yes yes yes",
	"POST /v1/orders/{id}/items/{item}/redeliver":         "yes yes yes no",
	"GET /v1/dead-letters":                                "no yes yes yes",
	"GET /v1/dead-letters/{id}":                           "no yes yes yes",
	"POST /v1/dead-letters/{id}/redrive":                  "no yes yes no",
	"POST /v1/dead-letters/redrive":                       "no yes yes no",
	"POST /v1/dead-letters/{id}/adopt":                    "no yes yes no",
	"POST /v1/dead-letters/{id}/abandon":                  "no yes yes no",
	"DELETE /v1/dead-letters/{id}/abandon":                "no yes yes no",
	"GET /v1/work-items":                                  "no yes yes yes",
	"POST /v1/work-items/{id}/done":                       "no yes yes no",
	"GET /v1/analytics/orders":                            "no yes yes yes",
	"GET /v1/routing":                                     "no yes yes yes",
	"GET /v1/me":                                          "yes yes yes yes",
	"GET /v1/me/delivery-key":                             "yes yes yes no",
	"PUT /v1/me/delivery-key":                             "yes yes yes no",
	"DELETE /v1/me/delivery-key":                          "yes yes yes no",
	"GET /v1/settings":                                    "no no yes yes",
	"PUT /v1/settings":                                    "no no yes no",
	"POST /v1/webhooks":                                   "no no yes no",
	"GET /v1/webhooks":                                    "no no yes yes",
	"GET /v1/webhooks/{id}":                               "no no yes yes",
	"PATCH /v1/webhooks/{id}":                             "no no yes no",
	"DELETE /v1/webhooks/{id}":                            "no no yes no",
	"POST /v1/webhooks/{id}/rotate":                       "no no yes no",
	"GET /v1/webhooks/{id}/deliveries":                    "no no yes yes",
	"GET /v1/webhooks/{id}/deliveries/{delivery}":         "no no yes yes",
	"POST /v1/webhooks/{id}/deliveries/{delivery}/replay": "no no yes no",
}

// fakeAccounts knows one API key for each role, and an operator's key that is scoped to confirming payments.
type fakeAccounts struct{}

func keyOf(role tenant.Role) string { return "pk_test_of_the_role_" + role.String() }

const scopedKey = "pk_test_scoped_to_confirming"

func (fakeAccounts) FindActor(_ context.Context, hash [32]byte) (tenant.Actor, error) {
	if hash == sha256.Sum256([]byte(scopedKey)) {
		return tenant.Actor{
			Tenant: tenantA, Kind: tenant.KindMember, Member: ana, Role: tenant.Operator,
			Scopes: []string{string(app.ConfirmMoney)},
		}, nil
	}
	for _, r := range tenant.Roles() {
		if hash == sha256.Sum256([]byte(keyOf(r))) {
			return tenant.Actor{Tenant: tenantA, Kind: tenant.KindMember, Member: ana, Role: r}, nil
		}
	}
	return tenant.Actor{}, fault.New(fault.KindUnauthenticated, "unauthenticated", "no")
}

type builtInCatalog struct{}

func (builtInCatalog) Catalog(context.Context) (*catalog.Catalog, error) {
	return catalog.Load(catalog.Default(), now)
}

type stoppedClock struct{}

func (stoppedClock) Now() time.Time { return now }
func (stoppedClock) Speed() int     { return 1 }

// realUseCases returns the real use cases without a store. A caller with the permission gets a 500, because the store
// is missing, and a caller without it a 403. The test needs nothing more.
func realUseCases() *app.App {
	var noStore struct{ app.Store }
	return app.New(app.Deps{
		Random: rand.Reader, Store: noStore, Accounts: fakeAccounts{}, Catalog: builtInCatalog{}, Clock: stoppedClock{},
		NewID: func() [16]byte { return [16]byte{1} }, Log: slog.New(slog.DiscardHandler),
		Mailer: struct{ app.Mailer }{}, WebhookSender: struct{ app.WebhookSender }{},
	})
}

func TestEveryRoleMayCallOnlyTheRoutesOfTheTable(t *testing.T) {
	t.Parallel()
	api := newServer(realUseCases(), Config{
		Now: func() time.Time { return now }, NewRequestID: func() string { return absent }, Hub: app.NewHub(),
		Log: slog.New(slog.DiscardHandler),
	})
	k := &kit{T: t}
	call := func(name, key string) int {
		method, path, _ := strings.Cut(name, " ")
		r := httptest.NewRequest(method, concrete(path), strings.NewReader(validBody(k, operations(api)[name])))
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		if strings.Contains(path, "/v1/orders/{id}") {
			r.Header.Set("If-Match", `"1"`)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w.Code
	}
	for name := range operations(api) {
		if wantRoutes[name].public {
			continue
		}
		cells := strings.Fields(wantRoles[name])
		if len(cells) != 4 {
			t.Errorf("%s has no row in the table", name)
			continue
		}
		for i, role := range tenant.Roles() {
			got := call(name, keyOf(role))
			if got == 401 || (got == 403) != (cells[i] == "no") {
				t.Errorf("%s as %s answered %d, but the table says %s", name, role, got, cells[i])
			}
		}
		wantForbidden := name != "POST /v1/orders/{id}/payment/confirm" && name != "GET /v1/me"
		if got := call(name, scopedKey); (got == 403) != wantForbidden {
			t.Errorf("%s with a key scoped to confirming payments answered %d", name, got)
		}
	}
}
