package postgres_test

import (
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/migrations"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// migrateBefore runs the migrations before the one with a file name.
func migrateBefore(t *testing.T, db *pgtest.DB, name string) {
	t.Helper()
	earlier := fstest.MapFS{}
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if raw, err := migrations.Files.ReadFile(f); err != nil {
			t.Fatal(err)
		} else if f < name {
			earlier[f] = &fstest.MapFile{Data: raw}
		}
	}
	cfg, err := pgx.ParseConfig(db.OwnerURL())
	if err != nil {
		t.Fatal(err)
	}
	conn := stdlib.OpenDB(*cfg)
	defer func() { _ = conn.Close() }()
	p, err := goose.NewProvider(goose.DialectPostgres, conn, earlier, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheMigrationChainsExistingRowsInTheOrderInWhichTheyWereSeen(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	migrateBefore(t, db, "0014_witness.sql")
	a, b, o := newID[tenant.Tenant](db), newID[tenant.Tenant](db), newID[order.Order](db)
	super := db.Super(t)
	for slug, of := range map[string]tenant.ID{"alpha": a, "beta": b} {
		_, err := super.Exec(t.Context(), `INSERT INTO tenants VALUES ($1, $2, now())`, of.String(), slug)
		if err != nil {
			t.Fatal(err)
		}
	}
	addOldRow := func(of tenant.ID, seq int, second int) {
		t.Helper()
		entry := record(db, of, o, seq, int64(seq))
		_, err := super.Exec(t.Context(), `
			INSERT INTO audit_log (tenant_id, order_id, seq, event_id, type, at, seen_at, data_sha256, part, off)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 3, $9)`,
			of.String(), o.String(), seq, entry.Event.String(), string(entry.Type), entry.At,
			entry.At.Add(time.Duration(second)*time.Second+123456*time.Microsecond), entry.DataSHA256[:], entry.Offset)
		if err != nil {
			t.Fatal(err)
		}
	}
	addOldRow(a, 2, 20)
	addOldRow(a, 1, 10)
	addOldRow(b, 1, 15)
	addOldRow(a, 3, 30)
	if err := postgres.Migrate(t.Context(), db.OwnerURL()); err != nil {
		t.Fatal(err)
	}
	audit := db.Audit(t)
	wantChain(t, audit, a, 3)
	wantChain(t, audit, b, 1)
	var seqs []int
	for _, entry := range must(audit.Entries(t.Context(), a, 0, 10)) {
		if seqs = append(seqs, entry.Seq); !entry.Topic.IsZero() {
			t.Errorf("n %d has topic %s, want none", entry.N, entry.Topic)
		}
	}
	if diff := cmp.Diff([]int{1, 2, 3}, seqs); diff != "" {
		t.Errorf("order of the chain (-want +got):\n%s", diff)
	}
	// The tenant walls are in force again, and the chain continues: records that are read again are known.
	var forced bool
	row := super.QueryRow(t.Context(), `SELECT relforcerowsecurity FROM pg_class WHERE relname = 'audit_log'`)
	if err := row.Scan(&forced); err != nil || !forced {
		t.Errorf("audit_log under FORCE ROW LEVEL SECURITY: %t, %v", forced, err)
	}
	again := []auditlog.Entry{
		record(db, a, o, 1, 101), record(db, a, o, 2, 102), record(db, a, o, 3, 103), record(db, a, o, 4, 104),
	}
	if found := appendAll(t, audit, again...); found != nil {
		t.Errorf("found %v", found)
	}
	wantChain(t, audit, a, 4)
}
