// Package pgtest gives each test a migrated database of its own on a real PostgreSQL, and pools of the product's
// logins, never of a superuser. The server is the one that PLATFORMA_TEST_DSN names, or one that this process
// starts (named exception: a test kit may import embedded). The package must never reach the binary.
package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/migrations"
)

// EnvDSN is the environment variable with a superuser's address of the server to use.
const EnvDSN = "PLATFORMA_TEST_DSN"

// DB is the database of one test. It is dropped when the test passes and kept when it fails.
type DB struct {
	Name  string
	Clock *Clock
	super string // the superuser's address of this database
}

// New creates a database for the test as a copy of the migrated template, which takes about 20 ms.
func New(t testing.TB) *DB {
	t.Helper()
	ctx := t.Context()
	server := serverURL(t)
	template, err := ensureTemplate(ctx, server)
	if err != nil {
		t.Fatalf("prepare the template database: %v", err)
	}
	db := &DB{Name: "t_" + hex.EncodeToString(randomBytes(8)), Clock: NewClock()}
	db.super = withDatabase(server, db.Name)
	create := `CREATE DATABASE ` + db.Name + ` TEMPLATE ` + template + ` STRATEGY FILE_COPY`
	if err := onServer(ctx, server, create); err != nil {
		t.Fatalf("copy the template database: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept database %s", db.Name)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := onServer(ctx, server, `DROP DATABASE `+db.Name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop database %s: %v", db.Name, err)
		}
	})
	return db
}

// Empty creates a database without a schema, for tests of the migrations. It is always dropped.
func Empty(t testing.TB) *DB {
	t.Helper()
	server := serverURL(t)
	db := &DB{Name: "e_" + hex.EncodeToString(randomBytes(8)), Clock: NewClock()}
	db.super = withDatabase(server, db.Name)
	if err := onServer(t.Context(), server, `CREATE DATABASE `+db.Name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := onServer(ctx, server, `DROP DATABASE `+db.Name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop database %s: %v", db.Name, err)
		}
	})
	return db
}

// OwnerURL returns the address for migrating and for adding tenants.
func (db *DB) OwnerURL() string { return db.super }

// URL returns the address of a login.
func (db *DB) URL(login string) string { return withUser(db.super, login) }

// Super opens a superuser's connection, to read what no login may see. It is closed with the test.
func (db *DB) Super(t testing.TB) *pgx.Conn {
	t.Helper()
	return db.Conn(t, "")
}

// Conn opens a plain connection of a login ("" is the superuser). It is closed with the test.
func (db *DB) Conn(t testing.TB, login string) *pgx.Conn {
	t.Helper()
	address := db.super
	if login != "" {
		address = db.URL(login)
	}
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["search_path"] = "platforma, pg_temp"
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("connect as %q: %v", login, err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// API opens a pool of the api login. This pool and those below have 4 connections and are closed with the test.
func (db *DB) API(t testing.TB) *postgres.DB {
	return db.Open(t, postgres.LoginAPI, postgres.Options{})
}

// Portal opens a pool of the portal login.
func (db *DB) Portal(t testing.TB) *postgres.DB {
	return db.Open(t, postgres.LoginPortal, postgres.Options{})
}

// Worker opens a pool of the worker login.
func (db *DB) Worker(t testing.TB) *postgres.DB {
	return db.Open(t, postgres.LoginWorker, postgres.Options{})
}

// Delivery opens a pool of the delivery login.
func (db *DB) Delivery(t testing.TB) *postgres.DB {
	return db.Open(t, postgres.LoginDelivery, postgres.Options{})
}

// Relay opens a pool of the relay login.
func (db *DB) Relay(t testing.TB) *postgres.DB {
	return db.Open(t, postgres.LoginRelay, postgres.Options{})
}

// Audit opens a pool of the audit login.
func (db *DB) Audit(t testing.TB) *postgres.DB {
	return db.Open(t, postgres.LoginAudit, postgres.Options{})
}

// Open opens a pool of a login. Options that are not set get defaults for tests: the clock of the database, ids of
// that clock, 4 connections, and an AcquireTimeout that is long enough for a busy machine.
func (db *DB) Open(t testing.TB, login string, o postgres.Options) *postgres.DB {
	t.Helper()
	if o.Clock == nil {
		o.Clock = db.Clock
	}
	if o.NewID == nil {
		o.NewID = db.Clock.NewID
	}
	if o.MaxConns == 0 {
		o.MaxConns = 4
	}
	if o.AcquireTimeout == 0 {
		o.AcquireTimeout = 30 * time.Second
	}
	opened, err := postgres.Open(t.Context(), db.URL(login), login, o)
	if err != nil {
		t.Fatalf("open login %s: %v", login, err)
	}
	t.Cleanup(opened.Close)
	return opened
}

var server struct {
	once    sync.Once
	url     string
	running *embedded.Postgres // kept, because the watchdog ends a server without a reference to it
	err     error
}

// serverURL returns a superuser's address of the server. A server that this process starts ends with the process,
// by its watchdog.
func serverURL(t testing.TB) string {
	t.Helper()
	server.once.Do(func() {
		if server.url = os.Getenv(EnvDSN); server.url != "" {
			return
		}
		p, err := embedded.StartTemporaryPostgres(context.Background(), os.Stderr)
		if err != nil {
			server.err = err
			return
		}
		server.running, server.url = p, p.SuperuserURL("postgres")
	})
	if server.err != nil {
		t.Fatalf("start a PostgreSQL for tests: %v", server.err)
	}
	return server.url
}

// templateLock is the advisory lock that keeps processes on one server from making the template twice.
const templateLock = 0x706c6174666f7202

var template struct {
	sync.Mutex
	name string
}

// ensureTemplate makes the template once for each server and set of migrations. Only a complete template has its
// name.
func ensureTemplate(ctx context.Context, server string) (string, error) {
	template.Lock()
	defer template.Unlock()
	if template.name != "" {
		return template.name, nil
	}
	name, err := templateName()
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", fmt.Errorf("connect to the test server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // and the lock with it
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil {
		return "", fmt.Errorf("lock the template: %w", err)
	}
	var exists bool
	row := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name)
	if err := row.Scan(&exists); err != nil {
		return "", fmt.Errorf("look for the template: %w", err)
	}
	if !exists {
		if err := makeTemplate(ctx, conn, server, name); err != nil {
			return "", err
		}
	}
	template.name = name
	return name, nil
}

func makeTemplate(ctx context.Context, conn *pgx.Conn, server, name string) error {
	partial := name + "_half"
	for _, sql := range []string{`DROP DATABASE IF EXISTS ` + partial + ` WITH (FORCE)`, `CREATE DATABASE ` + partial} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the template: %w", err)
		}
	}
	if err := postgres.Migrate(ctx, withDatabase(server, partial)); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `ALTER DATABASE `+partial+` RENAME TO `+name); err != nil {
		return fmt.Errorf("name the template: %w", err)
	}
	return nil
}

// templateName returns a name with a hash of everything that the template is made of.
func templateName() (string, error) {
	h := sha256.New()
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		return "", fmt.Errorf("list migrations: %w", err)
	}
	for _, f := range files {
		b, err := migrations.Files.ReadFile(f)
		if err != nil {
			return "", fmt.Errorf("read migration %s: %w", f, err)
		}
		fmt.Fprintf(h, "%s %d\n%s", f, len(b), b)
	}
	moves := postgres.MoveFunctions()
	for _, name := range slices.Sorted(maps.Keys(moves)) {
		fmt.Fprintf(h, "%s\n%s", name, moves[name])
	}
	return "platforma_template_" + hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// onServer runs one statement outside every test database.
func onServer(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

func withDatabase(address, name string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic("the test server's address is no URL: " + err.Error())
	}
	u.Path = "/" + name
	return u.String()
}

func withUser(address, user string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic("the test server's address is no URL: " + err.Error())
	}
	u.User = url.User(user)
	return u.String()
}

// M runs a package's tests and then stops the server if this process started one:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.M{M: m}) }
type M struct{ *testing.M }

// Run implements goleak.TestingM.
func (m M) Run() int {
	code := m.M.Run()
	if server.running == nil {
		return code
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := server.running.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "stop the PostgreSQL of the tests:", err)
	}
	return code
}
