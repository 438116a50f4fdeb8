package pgtest

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/payment"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Org is a tenant with one member of each role. Each member has an API key.
type Org struct {
	ID      tenant.ID
	Slug    string
	Members map[tenant.Role]app.Member
	Keys    map[tenant.Role]string // the keys in plain text
}

// Actor returns the member with a role as an actor.
func (o Org) Actor(r tenant.Role) tenant.Actor {
	return tenant.Actor{Tenant: o.ID, Kind: tenant.KindMember, Member: o.Members[r].ID, Role: r}
}

// Two adds two independent tenants, alpha and beta, in EUR and UTC.
func (db *DB) Two(t testing.TB) (a, b Org) {
	t.Helper()
	api := db.API(t)
	return db.Seed(t, api, "alpha"), db.Seed(t, api, "beta")
}

// Seed adds a tenant by the functions that the product uses.
func (db *DB) Seed(t testing.TB, api *postgres.DB, slug string) Org {
	t.Helper()
	ctx := t.Context()
	o := Org{
		ID: id.Of[tenant.Tenant](db.Clock.NewID()), Slug: slug, Members: map[tenant.Role]app.Member{},
		Keys: map[tenant.Role]string{},
	}
	owner, err := postgres.OpenAdmin(ctx, db.OwnerURL())
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(ctx)
	if err := owner.AddTenant(ctx, o.ID, slug, db.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	err = api.InTenant(ctx, o.ID, app.With{}, func(tx app.Tx) error {
		tx.PutSettings(app.Settings{
			Version: 1, Name: slug, Currency: money.EUR, TimeZone: "UTC", Language: "en", PaymentMethod: payment.DefaultMethod,
			PaymentDueDays: 14, QuoteValidDays: 30,
		})
		return nil
	})
	if err != nil {
		t.Fatalf("settings of %s: %v", slug, err)
	}
	for _, r := range tenant.Roles() {
		m := app.Member{
			ID: id.Of[tenant.Member](db.Clock.NewID()), Role: r, Subject: slug + "|" + r.String(),
			Email: r.String() + "@" + slug + ".example",
		}
		if err := api.PutMember(ctx, o.ID, m); err != nil {
			t.Fatalf("member %s of %s: %v", r, slug, err)
		}
		key := "test_" + slug + "_" + r.String() + "_0123456789abcdef"
		err := api.AddAPIKey(ctx, o.ID, postgres.APIKey{
			ID: db.Clock.NewID(), Member: m.ID, Hash: sha256.Sum256([]byte(key)), Prefix: key[:8],
			CreatedAt: db.Clock.Now(), ExpiresAt: db.Clock.Now().Add(90 * 24 * time.Hour),
		})
		if err != nil {
			t.Fatalf("key of %s of %s: %v", r, slug, err)
		}
		o.Members[r], o.Keys[r] = m, key
	}
	return o
}
