package postgres_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/migrations"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// envMigrate is an environment variable with an address. It makes this test binary only migrate that database.
const envMigrate = "PLATFORMA_TEST_MIGRATE"

func TestMigrationsFromFourProcessesAtOnce(t *testing.T) {
	t.Parallel()
	if address := os.Getenv(envMigrate); address != "" {
		if err := postgres.Migrate(t.Context(), address); err != nil {
			t.Fatal(err)
		}
		return
	}
	db := pgtest.Empty(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMigrationsFromFourProcessesAtOnce$")
			cmd.Env = append(os.Environ(), envMigrate+"="+db.OwnerURL())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	c := db.Super(t)
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	applied := textColumn(t, c, `
		SELECT lpad(version_id::text, 4, '0')
		FROM public.goose_db_version
		WHERE is_applied AND version_id > 0`)
	for i, f := range files {
		if files[i], _, _ = strings.Cut(f, "_"); i > 0 && files[i] == files[i-1] {
			t.Errorf("two migrations have the number %s", files[i])
		}
	}
	if diff := cmp.Diff(files, applied); diff != "" {
		t.Errorf("each migration once (-want +applied):\n%s", diff)
	}
	if err := postgres.Migrate(t.Context(), db.OwnerURL()); err != nil {
		t.Errorf("migrating again: %v", err)
	}
}

// TestTriggersListTheMovesOfTheLifecycle compares the lists in the database with copies that are written by hand,
// so that an error in the lifecycle table or in the generator is found.
func TestTriggersListTheMovesOfTheLifecycle(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t).Super(t)
	want := map[string]string{
		"order_move": "1>2 1>8 2>3 2>8 3>2 3>4 3>8 4>2 4>5 4>8 4>9 5>6 5>7 5>8 5>9 6>7 6>8 6>9 8>1",
		"item_move":  "1>2 1>10 2>3 2>10 3>4 3>6 3>7 3>8 4>5 4>8 6>3 6>8 7>3 7>8 8>9 8>11 9>1 10>1 11>8 11>9",
	}
	pair := regexp.MustCompile(`\((\d+), (\d+)\)`)
	for name, list := range want {
		var source string
		row := c.QueryRow(t.Context(), `SELECT prosrc FROM pg_proc WHERE oid = to_regproc('platforma.' || $1)`, name)
		if err := row.Scan(&source); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range pair.FindAllStringSubmatch(source, -1) {
			got = append(got, m[1]+">"+m[2])
		}
		if diff := cmp.Diff(strings.Fields(list), got); diff != "" {
			t.Errorf("%s (-by hand +in the database):\n%s", name, diff)
		}
	}
	var generated []string
	for _, m := range order.Moves() {
		generated = append(generated, fmt.Sprintf("%d>%d", m[0], m[1]))
	}
	if diff := cmp.Diff(strings.Fields(want["order_move"]), generated); diff != "" {
		t.Errorf("order.Moves (-by hand +code):\n%s", diff)
	}
}

func TestDatabaseRefusesEveryMoveThatIsNotInTheLifecycle(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	insert(t, db.API(t), draft(db, org, 1))
	c := db.Super(t)
	legal := map[[2]int]bool{}
	for _, m := range order.Moves() {
		legal[[2]int{int(m[0]), int(m[1])}] = true
	}
	for from := 1; from <= 9; from++ {
		for to := 1; to <= 9; to++ {
			if from == to {
				continue
			}
			tx, err := c.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), `
				ALTER TABLE orders DISABLE TRIGGER order_move;
				UPDATE orders SET state = `+strconv.Itoa(from)+`;
				ALTER TABLE orders ENABLE TRIGGER order_move`); err != nil {
				t.Fatal(err)
			}
			_, err = tx.Exec(t.Context(), `UPDATE orders SET state = $1`, to)
			if (err == nil) != legal[[2]int{from, to}] || err != nil && sqlState(err) != "23514" {
				t.Errorf("move %d to %d: %v", from, to, err)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestIllegalMoveEndsTheWholeTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	agg := draft(db, org, 1)
	insert(t, api, agg)
	_, err := tryChange(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) {
		agg.Order.State = order.Fulfilled
	})
	if sqlState(err) != "23514" {
		t.Errorf("draft to fulfilled: %v", err)
	}
	if got := must(api.Order(t.Context(), org.ID, agg.Order.ID)); got.Order.State != order.Draft ||
		got.Order.Version != 1 {
		t.Errorf("state %s, version %d after a refused move", got.Order.State, got.Order.Version)
	}
}

// TestAnOrdinaryLoginMigrates shows that production needs no superuser. A login that owns the database and may
// create roles can migrate, and can also add tenants under row-level security.
func TestAnOrdinaryLoginMigrates(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	super := db.Super(t)
	pgtest.New(t) // makes sure that the cluster has the product's roles
	login := "migrator_" + db.Name
	for _, sql := range []string{
		`CREATE ROLE ` + login + ` LOGIN CREATEROLE NOSUPERUSER`,
		`GRANT platforma_owner, platforma_system TO ` + login + ` WITH ADMIN OPTION`,
		`ALTER DATABASE ` + db.Name + ` OWNER TO ` + login,
		`ALTER SCHEMA public OWNER TO ` + login,
	} {
		if _, err := super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, sql := range []string{
			`ALTER DATABASE ` + db.Name + ` OWNER TO postgres`, `REASSIGN OWNED BY ` + login + ` TO postgres`,
			`DROP OWNED BY ` + login, `DROP ROLE ` + login,
		} {
			if _, err := super.Exec(t.Context(), sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	}()
	for range 2 {
		if err := postgres.Migrate(t.Context(), db.URL(login)); err != nil {
			t.Fatal(err)
		}
	}
	admin, err := postgres.OpenAdmin(t.Context(), db.URL(login))
	if err != nil {
		t.Fatal(err)
	}
	org := newID[tenant.Tenant](db)
	for range 2 {
		if err := admin.AddTenant(t.Context(), org, "alpha", db.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	api := db.API(t)
	defer api.Close() // before the role is dropped
	if got := must(api.Tenants(t.Context())); len(got) != 1 || got[0].ID != org || got[0].Slug != "alpha" {
		t.Errorf("tenants %+v", got)
	}
	s := must(api.Settings(t.Context(), org))
	want := app.Settings{
		Tenant: org, Slug: "alpha", Name: "alpha", Currency: "EUR", TimeZone: "UTC", Language: "en",
		PaymentMethod: "manual", PaymentDueDays: 14, QuoteValidDays: 30,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("settings before any were set (-want +got):\n%s", diff)
	}
}
