package postgres_test

import (
	"fmt"
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
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// envMigrate makes this test binary migrate the database it names, and do nothing else.
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
	applied := strings1(t, c, `SELECT version_id::text FROM public.goose_db_version WHERE is_applied AND version_id > 0`)
	if want := []string{"1", "2", "3", "4", "5", "6", "7", "8"}; cmp.Diff(want, applied) != "" {
		t.Errorf("applied %v, want each once: %v", applied, want)
	}
	if err := postgres.Migrate(t.Context(), db.OwnerURL()); err != nil {
		t.Errorf("migrating again: %v", err)
	}
}

// TestTriggersListTheMovesOfTheLifecycle reads the lists out of the database and compares them with
// copies written by hand from lifecycle.md, so that neither the table nor the generator can be wrong
// alone.
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
		if err := c.QueryRow(t.Context(), `SELECT prosrc FROM pg_proc WHERE oid = to_regproc('platforma.' || $1)`, name).Scan(&source); err != nil {
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
			if _, err := tx.Exec(t.Context(), `ALTER TABLE orders DISABLE TRIGGER order_move; UPDATE orders SET state = `+strconv.Itoa(from)+`; ALTER TABLE orders ENABLE TRIGGER order_move`); err != nil {
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
	d := draft(db, org, 1)
	insert(t, api, d)
	_, err := tryChange(t, api, db, org, d.Order.ID, app.Also{}, func(d *app.Dossier) { d.Order.State = order.Fulfilled })
	if sqlState(err) != "23514" {
		t.Errorf("draft to fulfilled: %v", err)
	}
	if got := must(api.Order(t.Context(), org.ID, d.Order.ID)); got.Order.State != order.Draft || got.Order.Version != 1 {
		t.Errorf("state %s, version %d after a refused move", got.Order.State, got.Order.Version)
	}
}
