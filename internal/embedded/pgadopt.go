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

// pidFile is the content of the file that a running server keeps in its data directory.
type pidFile struct {
	pid  int
	port int // 0 if the server has not written it yet
}

// readPidFile reads postmaster.pid: the pid is its first line, the port its fourth. It returns the zero
// value if there is no file with a pid.
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
		f.port, _ = strconv.Atoi(strings.TrimSpace(lines[3])) // unreadable means not written yet
	}
	return f
}

// takeOver returns the server that already runs in dir, or nil if there is none. It stops a server that does
// not answer or is not configured as cfg says.
func takeOver(ctx context.Context, cfg PostgresConfig, dir string) (*Postgres, error) {
	data := pgData(dir)
	f := readPidFile(data)
	if f.pid == 0 {
		return nil, nil
	}
	gone := func() bool { return !isPostmaster(f.pid, data) }
	if gone() {
		// A crash left the file. PostgreSQL removes it by itself, unless its user has another process with
		// that pid now.
		return nil, removeStale(data)
	}
	for f.port == 0 && !gone() {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
		f.port = readPidFile(data).port
	}
	a, err := awaitServer(ctx, f.port, data, gone)
	if errors.Is(err, errEnded) {
		return nil, removeStale(data)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	suits := err == nil && (cfg.Port == 0 || cfg.Port == f.port) && (a.fsync || !cfg.Fsync)
	if !suits {
		logf(cfg.Log, "the PostgreSQL running in %s (pid %d) has other settings: restarting it", dir, f.pid)
		ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("it does not stop"))
		defer cancel()
		if err := stopPostmaster(ctx, f.pid, data); err != nil {
			return nil, fmt.Errorf("stop the PostgreSQL running in %s (pid %d): %w", dir, f.pid, err)
		}
		return nil, nil
	}
	logf(cfg.Log, "PostgreSQL is still running in %s (pid %d, port %d): taken over", dir, f.pid, f.port)
	p := &Postgres{dir: dir, port: f.port, pid: f.pid, version: a.version}
	return p, rememberPort(dir, "postgres", f.port)
}

// removeStale removes the pid file of a server that has ended.
func removeStale(data string) error {
	err := os.Remove(filepath.Join(data, "postmaster.pid"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}

// stopPostmaster requests a fast shutdown and waits until the server has ended.
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

// isPostmaster reports whether a process is running and is the server of this data directory. The kernel
// reuses pids, so it is not enough that a process with the pid exists. A zombie does not count as running.
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
