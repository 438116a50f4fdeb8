package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidFile is what a running server says about itself in its data directory.
type pidFile struct {
	pid  int
	port int // 0 when it has not got that far
}

// readPidFile reads postmaster.pid: the pid is its first line, the port its fourth. The zero value
// means there is none to go by.
func readPidFile(data string) pidFile {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}
	}
	lines := strings.Split(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid < 2 {
		return pidFile{}
	}
	f := pidFile{pid: pid}
	if len(lines) > 3 {
		f.port, _ = strconv.Atoi(strings.TrimSpace(lines[3])) // unreadable is as good as not there yet
	}
	return f
}

// takeOver returns the server that already runs on dir, nil when there is none (any more). One that
// runs but not as configured, or does not answer, is stopped.
func takeOver(ctx context.Context, cfg PostgresConfig, dir string) (*Postgres, error) {
	data := pgData(dir)
	f := readPidFile(data)
	if f.pid == 0 {
		return nil, nil
	}
	gone := func() bool { return !isPostmaster(f.pid, data) }
	if gone() {
		// Left by a crash. PostgreSQL would clear it away itself, unless the number now belongs to
		// some other process of its user.
		return nil, removeStale(data)
	}
	for f.port == 0 && !gone() {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
		f.port = readPidFile(data).port
	}
	a, err := awaitAnswer(ctx, f.port, data, gone)
	if errors.Is(err, errEnded) {
		return nil, removeStale(data)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	suits := err == nil && (cfg.Port == 0 || cfg.Port == f.port) && (a.fsync || !cfg.Fsync)
	if !suits {
		logf(cfg.Log, "the PostgreSQL running in %s (pid %d) is not as asked for: restarting it", dir, f.pid)
		ctx, cancel := context.WithTimeoutCause(ctx, readyDeadline, errors.New("it does not stop"))
		defer cancel()
		if err := stopPostmaster(ctx, f.pid, data); err != nil {
			return nil, fmt.Errorf("stop the PostgreSQL running in %s (pid %d): %w", dir, f.pid, err)
		}
		return nil, nil
	}
	logf(cfg.Log, "PostgreSQL still runs in %s (pid %d, port %d): taken over", dir, f.pid, f.port)
	p := &Postgres{dir: dir, port: f.port, pid: f.pid, version: a.version}
	return p, rememberPort(dir, "postgres", f.port)
}

// removeStale removes the pid file of a server that is known to be gone.
func removeStale(data string) error {
	err := os.Remove(filepath.Join(data, "postmaster.pid"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}

// stopPostmaster asks for a fast shutdown and waits until the server is gone.
func stopPostmaster(ctx context.Context, pid int, data string) error {
	for first := true; isPostmaster(pid, data); first = false {
		if first {
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// isPostmaster reports whether a process is alive and the server of this data directory. Pids are
// given out anew, so being alive is not enough; a dead child that nobody has waited for does not
// count as alive.
func isPostmaster(pid int, data string) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	if runtime.GOOS == "linux" {
		// A postmaster's working directory is its data directory.
		at, errA := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
		want, errB := os.Stat(data)
		return errA == nil && errB == nil && os.SameFile(at, want)
	}
	out, err := exec.Command("ps", "-o", "stat=,command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return false
	}
	line := strings.TrimSpace(string(out))
	return line != "" && !strings.HasPrefix(line, "Z") && strings.Contains(line, "postgres") &&
		strings.Contains(line, data)
}
