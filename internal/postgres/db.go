package postgres

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/platforma-cloud/orders/internal/app"
)

// The logins, one for each kind of work (ADR 0005). A process opens a DB for each login that it needs.
const (
	LoginAPI      = "platforma_api"
	LoginPortal   = "platforma_portal"
	LoginWorker   = "platforma_worker"
	LoginDelivery = "platforma_delivery"
	LoginRelay    = "platforma_relay"
	LoginAudit    = "platforma_audit"
)

// Logins returns all six logins.
func Logins() []string {
	return []string{LoginAPI, LoginPortal, LoginWorker, LoginDelivery, LoginRelay, LoginAudit}
}

// Options configure a DB.
type Options struct {
	Clock app.Clock       // required
	NewID func() [16]byte // required; makes UUIDv7s for the rows that the store adds itself
	// MaxConns bounds the pool; 0 means 8. All processes together should have 8 to 16 connections per 2 cores.
	MaxConns int
	// AcquireTimeout is how long a transaction waits for a connection before it fails as unavailable; 0 means
	// 1 s.
	AcquireTimeout time.Duration
	// DialFunc opens a connection; nil means the network. Tests count round trips here.
	DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)
}

// DB is the connection pool of one login. It is safe for concurrent use.
type DB struct {
	pool    *pgxpool.Pool
	login   string
	clock   app.Clock
	newID   func() [16]byte
	acquire time.Duration

	snapshots snapshots

	mu        sync.Mutex
	notifiers []app.Notifier // guarded by mu
}

// Open connects a login and checks the tenant walls before anything is served. An error says in one sentence
// what to correct. url is the database's address and must name the login as its user.
func Open(ctx context.Context, url, login string, o Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the address of login %s: %w", login, withoutAddress(err))
	}
	cfg.MaxConns = int32(o.MaxConns)
	if o.MaxConns == 0 {
		cfg.MaxConns = 8
	}
	cfg.ConnConfig.RuntimeParams["search_path"] = "platforma, pg_temp"
	cfg.ConnConfig.RuntimeParams["application_name"] = login
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if o.DialFunc != nil {
		cfg.ConnConfig.DialFunc = o.DialFunc
	}
	cfg.AfterConnect = prepareTxEnd
	// Each transaction reads its settings back at its end, and a connection that kept one is closed. A connection
	// that is released in the middle of a transaction is closed here, so that it never serves another tenant.
	cfg.AfterRelease = func(c *pgx.Conn) bool { return c.PgConn().TxStatus() == 'I' }
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the pool of login %s: %w", login, err)
	}
	db := &DB{pool: pool, login: login, clock: o.Clock, newID: o.NewID, acquire: o.AcquireTimeout}
	if db.acquire == 0 {
		db.acquire = time.Second
	}
	if err := db.check(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// prepareTxEnd prepares the statements that end a transaction, because nothing can be prepared in a transaction
// that has failed.
func prepareTxEnd(ctx context.Context, c *pgx.Conn) error {
	for _, sql := range []string{sqlRollback, sqlSettingsLeft} {
		if _, err := c.Prepare(ctx, sql, sql); err != nil {
			return fmt.Errorf("prepare the end of transactions: %w", err)
		}
	}
	return nil
}

func (db *DB) check(ctx context.Context) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect as %s: %w", db.login, err)
	}
	defer conn.Release()
	return selfTest(ctx, conn.Conn(), db.login)
}

// Close closes the pool. It waits for running transactions.
func (db *DB) Close() { db.pool.Close() }

// Ping returns an error if the server does not answer.
func (db *DB) Ping(ctx context.Context) error { return explain(ctx, db.pool.Ping(ctx)) }

// OnCommit registers n, which is notified after every commit that wrote something.
func (db *DB) OnCommit(n app.Notifier) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.notifiers = append(db.notifiers, n)
}

func (db *DB) notify() {
	db.mu.Lock()
	notifiers := db.notifiers
	db.mu.Unlock()
	for _, n := range notifiers {
		n.Notify()
	}
}

func (db *DB) now() time.Time { return moment(db.clock.Now()) }

// conn takes a connection from the pool. It waits for at most AcquireTimeout.
func (db *DB) conn(ctx context.Context) (*pgxpool.Conn, error) {
	wait, cancel := context.WithTimeout(ctx, db.acquire)
	defer cancel()
	c, err := db.pool.Acquire(wait)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	default:
		return nil, unavailable("All connections are at work.", err)
	}
}
