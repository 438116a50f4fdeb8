package postgres_test

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

func TestAKeysetIsGeneratedOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	worker := db.Worker(t)
	var generated atomic.Int64
	got := make([]postgres.Keyset, 20)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			k, err := worker.Keyset(t.Context(), a.ID, postgres.ForCredentials, func() (postgres.Keyset, error) {
				return postgres.Keyset{Wrapped: []byte{byte(generated.Add(1))}, KEK: "k1"}, nil
			})
			if err != nil {
				t.Error(err)
			}
			got[i] = k
		})
	}
	wg.Wait()
	for _, k := range got {
		if !bytes.Equal(k.Wrapped, got[0].Wrapped) || k.KEK != "k1" {
			t.Fatalf("two callers got different keysets: %v and %v", k, got[0])
		}
	}
	other := must(worker.Keyset(t.Context(), b.ID, postgres.ForCredentials, func() (postgres.Keyset, error) {
		return postgres.Keyset{Wrapped: []byte("b")}, nil
	}))
	if string(other.Wrapped) != "b" {
		t.Errorf("another tenant got keyset %q", other.Wrapped)
	}
	boom := errors.New("no randomness")
	if _, err := worker.Keyset(t.Context(), a.ID, postgres.ForPassphrases, func() (postgres.Keyset, error) {
		return postgres.Keyset{}, boom
	}); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

func TestADestroyedKeysetIsNotGeneratedAgain(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	fill(t, db, org)
	if _, err := db.Super(t).Exec(t.Context(), `UPDATE keysets SET wrapped = NULL, destroyed_at = now()`); err != nil {
		t.Fatal(err)
	}
	_, err := db.Worker(t).Keyset(t.Context(), org.ID, postgres.ForCredentials, func() (postgres.Keyset, error) {
		t.Error("it was generated again")
		return postgres.Keyset{}, nil
	})
	if f := fault.Of(err); f == nil || f.Code != "destroyed" {
		t.Errorf("got %v", err)
	}
}

func TestAnAccessToCredentialsIsRecorded(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	o := fill(t, db, a)
	it := must(db.API(t).Order(t.Context(), a.ID, o)).Order.Items[0].ID
	super := db.Super(t)
	if _, err := super.Exec(t.Context(), `DELETE FROM credential_access`); err != nil {
		t.Fatal(err)
	}
	delivery := db.Delivery(t)
	got := must(delivery.SealedCredential(t.Context(), a.ID, it, 1, postgres.Access{
		Actor: "system:worker", Why: "delivery", Recipient: "r",
	}))
	want := postgres.Sealed{
		Value: []byte("sealed for alpha"), Keyset: postgres.Keyset{Wrapped: []byte("credential"), KEK: "k1"}, Item: it,
		Generation: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	refused := func(org pgtest.Org, generation int) {
		t.Helper()
		_, err := delivery.SealedCredential(t.Context(), org.ID, it, generation, postgres.Access{})
		if f := fault.Of(err); f == nil || f.Code != "destroyed" {
			t.Errorf("got %v", err)
		}
	}
	refused(b, 1)
	refused(a, 2)
	worker := db.Worker(t)
	change(t, worker, db, a, o, app.Also{}, func(agg *app.Aggregate) { agg.Added.Destroyed = []order.ItemID{it} })
	refused(a, 1)
	log := textColumn(t, super, `
		SELECT actor || ' ' || why || ' ' || recipient || ' ' || generation
		FROM credential_access`)
	if diff := cmp.Diff([]string{"system:worker delivery r 1"}, log); diff != "" {
		t.Errorf("access log; want only the access that succeeded (-want +got):\n%s", diff)
	}
}

func TestPassphraseIsShownOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	o := fill(t, db, a)
	otherOrder := draft(db, a, 1)
	insert(t, db.API(t), otherOrder)
	portal := db.Portal(t)
	d := must(portal.Deliveries(t.Context(), a.ID, o))[0]
	if !d.HasPassphrase {
		t.Error("it counts as shown before it was taken")
	}
	for name, take := range map[string]func() error{
		"another tenant": func() error { _, err := portal.TakePassphrase(t.Context(), b.ID, o, d.ID); return err },
		"another order": func() error {
			_, err := portal.TakePassphrase(t.Context(), a.ID, otherOrder.Order.ID, d.ID)
			return err
		},
		"no delivery": func() error {
			_, err := portal.TakePassphrase(t.Context(), a.ID, o, id.Of[app.Delivery](db.Clock.NewID()))
			return err
		},
	} {
		if f := fault.Of(take()); f == nil || f.Kind != fault.KindNotFound {
			t.Errorf("%s: %v", name, f)
		}
	}
	var shown, refused atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := portal.TakePassphrase(t.Context(), a.ID, o, d.ID)
			switch f := fault.Of(err); {
			case err == nil && string(s.Value) == "passphrase for alpha" && string(s.Keyset.Wrapped) == "passphrase" &&
				s.Item == d.Item && s.Generation == 1:
				shown.Add(1)
			case f != nil && f.Code == "passphrase-shown":
				refused.Add(1)
			default:
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
	wg.Wait()
	if shown.Load() != 1 || refused.Load() != 7 {
		t.Errorf("shown %d times, refused %d times; want 1 and 7", shown.Load(), refused.Load())
	}
	if must(portal.Deliveries(t.Context(), a.ID, o))[0].HasPassphrase {
		t.Error("it does not count as shown")
	}
}

func TestCatalogueIsReadAgainWhenItGrew(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	api := db.API(t)
	entries := catalog.Default()
	if err := api.AddCatalogEntries(t.Context(), entries, "system:test", "first"); err != nil {
		t.Fatal(err)
	}
	err := api.AddCatalogEntries(t.Context(), entries[:1], "system:test", "again")
	if f := fault.Of(err); f == nil || f.Kind != fault.KindConflict || f.Code != "catalog-version-exists" {
		t.Errorf("a version twice: %v", err)
	}
	if got := must(api.CatalogEntries(t.Context())); len(got) != len(entries) {
		t.Errorf("%d entries, want %d", len(got), len(entries))
	}
	source := postgres.NewCatalogue(api)
	first := must(source.Catalog(t.Context()))
	if len(first.Products()) == 0 {
		t.Error("nothing is sold")
	}
	if again := must(source.Catalog(t.Context())); again != first {
		t.Error("it was loaded again although nothing changed")
	}
	next := entries[0]
	next.Version, next.ValidFrom = next.Version+1, db.Clock.Now().Add(time.Hour)
	if err := api.AddCatalogEntries(t.Context(), []catalog.Entry{next}, "system:test", "a new version"); err != nil {
		t.Fatal(err)
	}
	db.Clock.Advance(6 * time.Second)
	second := must(source.Catalog(t.Context()))
	if second == first {
		t.Error("an added entry was not seen")
	}
	db.Clock.Advance(time.Minute)
	if again := must(source.Catalog(t.Context())); again != second {
		t.Error("it was loaded again although no entry changed")
	}
	db.Clock.Advance(time.Hour)
	if third := must(source.Catalog(t.Context())); third == second {
		t.Error("an entry that has become valid was not seen")
	}
	changes := textColumn(t, db.Super(t), `SELECT actor || ': ' || summary FROM catalog_change`)
	if diff := cmp.Diff([]string{"system:test: a new version", "system:test: first"}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
