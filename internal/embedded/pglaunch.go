package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pgHBA allows every connection from this machine, and no others, not even for replication.
const pgHBA = `# Written by platforma: a server for development and tests.
local all all               trust
host  all all 127.0.0.1/32  trust
`

// dataVersion returns the major version that created the data directory, or 0 if there is none yet.
func dataVersion(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(pgData(dir), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the data directory: %w", err)
	}
	// initdb writes PG_VERSION early: without a control file it was interrupted.
	if !exists(filepath.Join(pgData(dir), "global", "pg_control")) {
		return 0, nil
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read the version of the data directory %s: %w", pgData(dir), err)
	}
	return v, nil
}

// initData creates the data directory under a temporary name and renames it when it is complete, so that a
// crash leaves nothing that looks like data. The name is a new one each time: if this process is killed, its
// initdb may go on for a moment.
func initData(ctx context.Context, bin pgBinaries, dir string, as *account, cfg PostgresConfig) error {
	if err := removeUnfinished(dir, cfg.Log); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(dir, unfinishedPrefix)
	if err != nil {
		return err
	}
	if err := as.createOwned(unfinished); err != nil {
		return err
	}
	args := []string{
		"-D", unfinished, "-U", pgSuperuser, "--encoding=UTF8", "--locale=C",
		"--auth-host=trust", "--auth-local=trust", "--no-instructions",
	}
	if cfg.Fsync {
		args = append(args, "--data-checksums")
	} else {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin.dir, "initdb"), args...)
	cmd.Dir = "/"
	cmd.Env = pgEnviron()
	cmd.SysProcAttr = as.process()
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(unfinished, "pg_hba.conf"), []byte(pgHBA), 0o600); err != nil {
		return err
	}
	if err := os.Rename(unfinished, pgData(dir)); err != nil {
		return err
	}
	return syncDir(dir)
}

// unfinishedPrefix is the prefix of the directories in which initdb works.
const unfinishedPrefix = "data.half-"

// removeUnfinished removes the data directories that earlier starts did not finish. A directory into which an
// initdb still writes may stay; the next call removes it.
func removeUnfinished(dir string, log io.Writer) error {
	paths, err := filepath.Glob(filepath.Join(dir, unfinishedPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		logf(log, "%s is unfinished: removing it", path)
		_ = os.RemoveAll(path) // an initdb may still write into it
	}
	if exists(pgData(dir)) {
		logf(log, "%s is unfinished: removing it", pgData(dir))
	}
	return os.RemoveAll(pgData(dir))
}

// launch starts the server program and waits for its answer. If the server ends, it tries again up to three
// times: with another port if somebody else took it and cfg does not name one, and because the last children of
// a killed predecessor keep its shared memory for a moment.
func launch(ctx context.Context, bin pgBinaries, dir string, as *account, cfg PostgresConfig) (*Postgres, error) {
	if err := as.createOwned(pgData(dir)); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		port, err := choosePort(dir, "postgres", cfg.Port)
		if err != nil {
			return nil, err
		}
		p, err := launchOn(ctx, port, bin, dir, as, cfg.Fsync)
		if err == nil {
			return p, rememberPort(dir, "postgres", port)
		}
		if !errors.Is(err, errEnded) || attempt == 4 {
			return nil, err
		}
		if cfg.Port != 0 && !portIsFree(cfg.Port) {
			return nil, fmt.Errorf("port %d is taken: %w", cfg.Port, err)
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func launchOn(ctx context.Context, port int, bin pgBinaries, dir string, as *account, fsync bool) (*Postgres, error) {
	log, begin, err := openServerLog(dir)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has its own copy

	args := []string{"-D", pgData(dir)}
	for _, s := range pgSettings(port, socketDir(dir, as), fsync) {
		args = append(args, "-c", s)
	}
	cmd := exec.Command(filepath.Join(bin.dir, "postgres"), args...)
	cmd.Dir = "/"
	cmd.Env = pgEnviron()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = as.process()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // its log says how it ended
	}()
	gone := func() bool {
		select {
		case <-exited:
			return true
		default:
			return false
		}
	}
	a, err := awaitServer(ctx, port, pgData(dir), gone)
	if err != nil {
		if !gone() {
			_ = syscall.Kill(cmd.Process.Pid, syscall.SIGQUIT)
			<-exited
		}
		return nil, fmt.Errorf("start PostgreSQL in %s: %w\n%s", dir, err, tail(log.Name(), begin))
	}
	return &Postgres{dir: dir, port: port, pid: cmd.Process.Pid, version: a.version, exited: exited}, nil
}

// pgSettings returns the settings for the command line. There they precede those in the data directory.
func pgSettings(port int, sockets string, fsync bool) []string {
	s := []string{
		"port=" + strconv.Itoa(port),
		"listen_addresses=" + loopback,
		"unix_socket_directories=" + sockets,
		"unix_socket_permissions=0700",
		"max_connections=200",
		"logging_collector=off",
		"log_destination=stderr",
		"log_timezone=UTC",
		"timezone=UTC",
		// Parameters must not be logged: they contain customers' texts and sealed credentials.
		"log_parameter_max_length=0",
		"log_parameter_max_length_on_error=0",
	}
	if fsync {
		return s
	}
	// synchronous_commit stays on. Without fsync it costs nothing (measured: 96 µs against 102 µs per insert),
	// and a COMMIT survives a kill of the server, on which fault tests rely.
	return append(s, "fsync=off", "full_page_writes=off")
}

// socketDir creates and returns an empty private directory for the server's socket: files of a killed server
// could prevent the next start. It returns "", for no socket, if the path would be too long for the kernel
// (103 bytes on macOS).
func socketDir(dir string, as *account) string {
	run := filepath.Join(dir, "run")
	if len(run)+len("/.s.PGSQL.65535.lock") > 103 || strings.ContainsAny(run, ", \"") {
		return ""
	}
	if err := errors.Join(os.RemoveAll(run), as.createOwned(run)); err != nil {
		return ""
	}
	return run
}

// openServerLog opens the server's own log for appending, and returns the offset at which this start begins. A
// log of more than 16 MB is renamed first; one old log is kept.
func openServerLog(dir string) (*os.File, int64, error) {
	path := filepath.Join(dir, "postgres.log")
	if info, err := os.Stat(path); err == nil && info.Size() > 16<<20 {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, 0, err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	begin, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, begin, nil
}

// tail returns what the server has written since begin, but not more than the last 4 KiB.
func tail(path string, begin int64) string {
	const limit = 4 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(begin, info.Size()-limit), limit))
	if err != nil {
		return ""
	}
	return string(b)
}
