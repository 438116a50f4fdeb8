package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// pgSuperuser is the only role of a new server. Everybody on this machine can log in as it without a
// password. Therefore the server listens on loopback only, and is only for development and tests.
const pgSuperuser = "postgres"

// readyTimeout is how long a server may take to answer. A start takes 0.2 s; the recovery after a crash on a
// busy machine takes longer.
const readyTimeout = 30 * time.Second

// PostgresConfig configures StartPostgres.
type PostgresConfig struct {
	// Dir belongs to this server alone: data, log, socket, remembered port. It is created if it is missing.
	Dir string
	// Port is on 127.0.0.1. 0 is the port of the last start in Dir, or otherwise any free one.
	Port int
	// Fsync makes a COMMIT survive a power failure. Without it the server is several times faster, and a
	// power failure may destroy Dir; a kill of the server or of this process loses no COMMIT.
	Fsync bool
	// BinDir has the programs postgres and initdb. "" searches for them: see findPgBinaries.
	BinDir string
	// Log gets single lines that a person should read. nil discards them.
	Log io.Writer
}

// Postgres is a running server. Its process is independent of this one: it continues if this process is
// killed, and the next StartPostgres with the same Dir takes it over.
type Postgres struct {
	dir     string // the actual directory of the files
	port    int
	pid     int
	version string
	exited  <-chan struct{} // closed when our child process has ended; nil for a server that was taken over
	cleanup func() error    // called by Stop after the server has ended; may be nil
}

// StartPostgres starts the server of cfg.Dir and returns once it answers. It waits up to readyTimeout. It takes
// over a server that still runs there, and removes what a crash left: a stale pid file or an unfinished data
// directory. If we are root, the server runs as an unprivileged user.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	if cfg.Dir == "" {
		return nil, errors.New("start PostgreSQL: no directory given")
	}
	as, err := unprivilegedAccount(pgData(cfg.Dir))
	if err != nil {
		return nil, err
	}
	dir, err := serverDir(cfg.Dir, as, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("prepare %s for PostgreSQL: %w", cfg.Dir, err)
	}
	if as != nil {
		// dir may be another directory than cfg.Dir, and its files may already have an owner.
		if as, err = unprivilegedAccount(pgData(dir)); err != nil {
			return nil, err
		}
	}
	lock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer lock.release()

	p, err := takeOver(ctx, cfg, dir)
	if err != nil || p != nil {
		return p, err
	}
	major, err := dataVersion(dir)
	if err != nil {
		return nil, err
	}
	bin, err := findPgBinaries(ctx, cfg.BinDir, major, as, cfg.Log)
	if err != nil {
		return nil, err
	}
	if major == 0 {
		if err := initData(ctx, bin, dir, as, cfg); err != nil {
			return nil, fmt.Errorf("create a PostgreSQL data directory in %s: %w", dir, err)
		}
	}
	return launch(ctx, bin, dir, as, cfg)
}

// Port returns the TCP port on which the server listens.
func (p *Postgres) Port() int { return p.port }

// Pid returns the process id of the server.
func (p *Postgres) Pid() int { return p.pid }

// Dir returns the directory of the server's files: PostgresConfig.Dir, unless the user as which the server
// runs cannot enter it.
func (p *Postgres) Dir() string { return p.dir }

// Version returns the version that the server reports, such as "15.18 (Debian 15.18-0+deb12u1)".
func (p *Postgres) Version() string { return p.version }

// SuperuserURL returns the address of a database for the superuser, who can migrate it and create roles. It has
// no TLS and no password, because it is on loopback.
func (p *Postgres) SuperuserURL(database string) string { return superuserURL(p.port, database) }

func superuserURL(port int, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(pgSuperuser),
		Host:     net.JoinHostPort(loopback, strconv.Itoa(port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Stop ends the server and waits until it has ended. Open transactions are rolled back. It is no error if the
// server has ended already. If ctx ends first, the server may still be stopping.
func (p *Postgres) Stop(ctx context.Context) error {
	if err := p.interrupt(ctx); err != nil {
		return fmt.Errorf("stop PostgreSQL (pid %d): %w", p.pid, err)
	}
	if p.cleanup == nil {
		return nil
	}
	// A server that was killed leaves its pid file, and another process may get the pid.
	return errors.Join(removeStale(pgData(p.dir)), p.cleanup())
}

func (p *Postgres) interrupt(ctx context.Context) error {
	if p.exited == nil {
		return stopPostmaster(ctx, p.pid, pgData(p.dir))
	}
	select {
	case <-p.exited:
		return nil // another process may have the pid now
	default:
	}
	if err := syscall.Kill(p.pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pgData returns the data directory of a server's directory.
func pgData(dir string) string { return filepath.Join(dir, "data") }

// serverInfo is what a server reports about itself.
type serverInfo struct {
	version string
	dataDir string
	fsync   bool
}

// queryServer connects to the server on a port and reads its serverInfo.
func queryServer(ctx context.Context, port int) (serverInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, superuserURL(port, "postgres"))
	if err != nil {
		return serverInfo{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var a serverInfo
	const q = `
		SELECT
			current_setting('server_version'),
			current_setting('data_directory'),
			current_setting('fsync')::boolean`
	if err := conn.QueryRow(ctx, q).Scan(&a.version, &a.dataDir, &a.fsync); err != nil {
		return serverInfo{}, err
	}
	return a, nil
}

// serves reports whether the server uses this data directory.
func (a serverInfo) serves(data string) bool {
	actual, errA := os.Stat(a.dataDir)
	want, errB := os.Stat(data)
	return errA == nil && errB == nil && os.SameFile(actual, want)
}

// awaitServer polls the server on a port until it answers and uses data, gone returns true, or readyTimeout is
// over.
func awaitServer(ctx context.Context, port int, data string, gone func() bool) (serverInfo, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("no answer within %s", readyTimeout))
	defer cancel()
	for {
		a, err := queryServer(ctx, port)
		if err == nil && a.serves(data) {
			return a, nil
		}
		if err == nil {
			err = fmt.Errorf("port %d belongs to another server, of %s", port, a.dataDir)
		}
		if gone() {
			return serverInfo{}, fmt.Errorf("%w: %w", errEnded, err)
		}
		if perr := pause(ctx, 20*time.Millisecond); perr != nil {
			return serverInfo{}, fmt.Errorf("%w: %w", perr, err)
		}
	}
}

// errEnded means that a server ended while we waited for its answer.
var errEnded = errors.New("the server ended")
