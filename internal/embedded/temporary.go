package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// watchdogScript waits until its standard input ends, which happens when the process at the other end has
// ended in whatever way. Then it stops the server and removes its files.
const watchdogScript = `cat >/dev/null
pidfile="$1/data/postmaster.pid"
if read -r pid <"$pidfile" && [ "${pid:-0}" -gt 1 ]; then
	kill -INT "$pid"
	n=0
	while [ -e "$pidfile" ] && kill -0 "$pid" && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
	[ $n -lt 100 ] || kill -KILL "$pid"
fi
rm -rf "$1"
`

// StartTemporaryPostgres starts a server for one run of tests: without fsync, on any port, in a directory for
// temporary files. Stop removes its files. If this process is killed before, a watchdog stops the server and
// removes them.
func StartTemporaryPostgres(ctx context.Context, log io.Writer) (*Postgres, error) {
	as, err := unprivilegedAccount("")
	if err != nil {
		return nil, err
	}
	dir, err := temporaryDir(as)
	if err != nil {
		return nil, fmt.Errorf("make a directory for a temporary PostgreSQL: %w", err)
	}
	w, err := startWatchdog(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start the watchdog of a temporary PostgreSQL: %w", err)
	}
	p, err := StartPostgres(ctx, PostgresConfig{Dir: dir, Log: log})
	if err != nil {
		return nil, errors.Join(err, w.finish())
	}
	p.cleanup = w.finish
	return p, nil
}

// temporaryDir creates a directory that the account can enter. It is below the directory for temporary files,
// or below sharedDir if the account cannot enter that.
func temporaryDir(as *account) (string, error) {
	base := os.TempDir()
	ok, err := as.canEnter(base)
	if err != nil {
		return "", err
	}
	if !ok {
		if base, err = sharedDir(as); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(base, "platforma-pg-")
	if err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}

// watchdog is the process that cleans up after this process has ended.
type watchdog struct {
	stdin io.Closer // its end starts the clean-up
	cmd   *exec.Cmd
	dir   string
}

func startWatchdog(dir string) (*watchdog, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "platforma-pg-watchdog", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // so that Ctrl-C does not reach it
	cmd.Dir = "/"
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &watchdog{stdin: stdin, cmd: cmd, dir: dir}, nil
}

// finish lets the watchdog clean up now, and waits for it. If the server has ended, it only removes the files.
func (w *watchdog) finish() error {
	_ = w.stdin.Close()
	_ = w.cmd.Wait() // whether the files are removed is checked next
	if err := os.RemoveAll(w.dir); err != nil {
		return fmt.Errorf("remove the temporary PostgreSQL: %w", err)
	}
	return nil
}
