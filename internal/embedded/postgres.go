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

// pgSuperuser is the only role of a new server. Anybody on this machine can be it, without a
// password: that is why the server listens on loopback only and is for development and tests.
const pgSuperuser = "postgres"

// readyDeadline is how long a server may take to answer. A start takes 0.2 s; recovery after a crash
// on a busy machine takes longer.
const readyDeadline = 30 * time.Second

// PostgresConfig says what server StartPostgres starts.
type PostgresConfig struct {
	// Dir belongs to this server alone: data, log, socket, remembered port. It is made if missing.
	Dir string
	// Port on 127.0.0.1. 0 takes the port of the last start in Dir, else any free one.
	Port int
	// Fsync keeps the promises of a COMMIT through a power cut. Without it the server is several
	// times faster and a power cut may destroy Dir; a kill of the server or of us loses no COMMIT.
	Fsync bool
	// BinDir has the programs postgres and initdb. "" searches: see findPgBinaries.
	BinDir string
	// Log is told, in single lines, what a person should know. nil is silent.
	Log io.Writer
}

// Postgres is a running server. Its process is independent of ours: it lives on when we are killed,
// and the next StartPostgres on the same Dir takes it over.
type Postgres struct {
	dir     string // where the files really are
	port    int
	pid     int
	version string
	exited  <-chan struct{} // closed when our own child has ended; nil for one taken over
	cleanup func() error    // what Stop does once the server is gone; nil for nothing
}

// StartPostgres brings up the server of cfg.Dir and returns once it answers, at the latest after
// readyDeadline. A server that still runs there is taken over; what a crash left (a stale pid file,
// a half-made data directory) is cleared away. As root the server runs as an unprivileged user.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	if cfg.Dir == "" {
		return nil, errors.New("start PostgreSQL: no directory given")
	}
	as, err := unprivileged(pgData(cfg.Dir))
	if err != nil {
		return nil, err
	}
	dir, err := home(cfg.Dir, as, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("prepare %s for PostgreSQL: %w", cfg.Dir, err)
	}
	if as != nil {
		// The files may be elsewhere than asked for, and belong to somebody already.
		if as, err = unprivileged(pgData(dir)); err != nil {
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
			return nil, fmt.Errorf("make a PostgreSQL data directory in %s: %w", dir, err)
		}
	}
	return launch(ctx, bin, dir, as, cfg)
}

// Port is the TCP port the server listens on.
func (p *Postgres) Port() int { return p.port }

// Pid is the process id of the server.
func (p *Postgres) Pid() int { return p.pid }

// Dir is where the server's files are: PostgresConfig.Dir, unless the user it runs as could not
// reach that.
func (p *Postgres) Dir() string { return p.dir }

// Version is what the server calls itself, such as "15.18 (Debian 15.18-0+deb12u1)".
func (p *Postgres) Version() string { return p.version }

// SuperuserURL is the address of a database for who migrates and makes roles. There is no TLS and no
// password: it is loopback.
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

// Stop ends the server, rolling open transactions back, and waits until it is gone. Stopping one
// that has already ended is no error. When ctx ends first the server may still be stopping.
func (p *Postgres) Stop(ctx context.Context) error {
	if err := p.interrupt(ctx); err != nil {
		return fmt.Errorf("stop PostgreSQL (pid %d): %w", p.pid, err)
	}
	if p.cleanup == nil {
		return nil
	}
	// One that was killed leaves its pid file, and the number in it may be somebody else's soon.
	return errors.Join(removeStale(pgData(p.dir)), p.cleanup())
}

func (p *Postgres) interrupt(ctx context.Context) error {
	if p.exited == nil {
		return stopPostmaster(ctx, p.pid, pgData(p.dir))
	}
	select {
	case <-p.exited:
		return nil // the pid may be somebody else's by now
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

// pgData is the data directory proper.
func pgData(dir string) string { return filepath.Join(dir, "data") }

// answer is what a server says about itself.
type answer struct {
	version string
	dataDir string
	fsync   bool
}

// ask connects to the server on a port and asks who it is.
func ask(ctx context.Context, port int) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, superuserURL(port, "postgres"))
	if err != nil {
		return answer{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var a answer
	const q = `SELECT current_setting('server_version'), current_setting('data_directory'),
		current_setting('fsync')::boolean`
	if err := conn.QueryRow(ctx, q).Scan(&a.version, &a.dataDir, &a.fsync); err != nil {
		return answer{}, err
	}
	return a, nil
}

// serves reports whether the server that gave the answer works on this data directory.
func (a answer) serves(data string) bool {
	one, errA := os.Stat(a.dataDir)
	two, errB := os.Stat(data)
	return errA == nil && errB == nil && os.SameFile(one, two)
}

// awaitAnswer asks the server on a port until it answers for data, gone says it has ended, or
// readyDeadline is over.
func awaitAnswer(ctx context.Context, port int, data string, gone func() bool) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readyDeadline, fmt.Errorf("no answer within %s", readyDeadline))
	defer cancel()
	for {
		a, err := ask(ctx, port)
		if err == nil && a.serves(data) {
			return a, nil
		}
		if err == nil {
			err = fmt.Errorf("port %d is another server's, of %s", port, a.dataDir)
		}
		if gone() {
			return answer{}, fmt.Errorf("%w: %w", errEnded, err)
		}
		if perr := pause(ctx, 20*time.Millisecond); perr != nil {
			return answer{}, fmt.Errorf("%w: %w", perr, err)
		}
	}
}

// errEnded says that a server ended while we waited for its answer.
var errEnded = errors.New("the server ended")
