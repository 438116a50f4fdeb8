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

// The logins, one per kind of work: a process has a DB for each it needs (ADR 0005).
const (
	LoginAPI      = "platforma_api"
	LoginPortal   = "platforma_portal"
	LoginWorker   = "platforma_worker"
	LoginDelivery = "platforma_delivery"
	LoginRelay    = "platforma_relay"
	LoginAudit    = "platforma_audit"
)

// Logins lists all six.
func Logins() []string {
	return []string{LoginAPI, LoginPortal, LoginWorker, LoginDelivery, LoginRelay, LoginAudit}
}

// Options of a DB.
type Options struct {
	Clock app.Clock       // required
	NewID func() [16]byte // required: UUIDv7, for the rows that the store itself adds
	// MaxConns bounds the pool; 0 is 8. All processes together want 8 to 16 per 2 cores.
	MaxConns int
	// AcquireTimeout is how long a transaction waits for a connection before it answers that the
	// service is busy; 0 is 1 s.
	AcquireTimeout time.Duration
	// DialFunc replaces how a connection is made; nil is the network. Tests count round trips here.
	DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)
}

// DB is one login's pool. It may be used by many goroutines.
type DB struct {
	pool    *pgxpool.Pool
	login   string
	clock   app.Clock
	newID   func() [16]byte
	acquire time.Duration

	snapshots snapshots

	mu      sync.Mutex
	kickers []app.Notifier // guarded by mu
}

// Open connects a login and makes sure that the walls stand before anything is served: an error says
// in one sentence what to mend. url is the database's address; its user is replaced by the login when
// it has none.
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
	cfg.AfterConnect = prepareEnds
	// The doors read the settings back with each end of a transaction and close a connection that
	// kept one; whatever else ended in the middle of a transaction never serves another tenant.
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

// prepareEnds prepares what ends a transaction beforehand: in one that has failed nothing can be
// prepared any more.
func prepareEnds(ctx context.Context, c *pgx.Conn) error {
	for _, sql := range []string{sqlRollback, sqlLeft} {
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

// Close ends the pool; transactions at work are waited for.
func (db *DB) Close() { db.pool.Close() }

// Ping asks whether the server answers.
func (db *DB) Ping(ctx context.Context) error { return explain(ctx, db.pool.Ping(ctx)) }

// OnCommit has k kicked after every commit that wrote something.
func (db *DB) OnCommit(k app.Notifier) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.kickers = append(db.kickers, k)
}

func (db *DB) kick() {
	db.mu.Lock()
	kickers := db.kickers
	db.mu.Unlock()
	for _, k := range kickers {
		k.Notify()
	}
}

func (db *DB) now() time.Time { return moment(db.clock.Now()) }

// conn takes a connection, waiting no longer than the pool is worth waiting for.
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
