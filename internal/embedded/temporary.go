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

// watchdogScript waits for its standard input to end, which happens when the process that holds the
// other end is gone, however it went; then it stops the server and removes its files.
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

// StartTemporaryPostgres starts a server for one run of tests: fsync off, any port, in a directory
// for temporary files. Stop removes all of it. Should this process be killed before, a watchdog does
// the same, so that nothing is left behind whatever happens.
func StartTemporaryPostgres(ctx context.Context, log io.Writer) (*Postgres, error) {
	as, err := unprivileged("")
	if err != nil {
		return nil, err
	}
	dir, err := temporaryDir(as)
	if err != nil {
		return nil, fmt.Errorf("make a directory for a temporary PostgreSQL: %w", err)
	}
	dog, err := startWatchdog(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start the watchdog of a temporary PostgreSQL: %w", err)
	}
	p, err := StartPostgres(ctx, PostgresConfig{Dir: dir, Log: log})
	if err != nil {
		return nil, errors.Join(err, dog.dismiss())
	}
	p.cleanup = dog.dismiss
	return p, nil
}

// temporaryDir makes a directory that the account can enter: below the directory for temporary
// files, or, where that is closed to it, below the common place.
func temporaryDir(as *account) (string, error) {
	base := os.TempDir()
	ok, err := as.reaches(base)
	if err != nil {
		return "", err
	}
	if !ok {
		if base, err = commonPlace(as); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(base, "platforma-pg-")
	if err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}

// watchdog is the process that outlives us for as long as it takes to clear away.
type watchdog struct {
	leash io.Closer
	cmd   *exec.Cmd
	dir   string
}

func startWatchdog(dir string) (*watchdog, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "platforma-pg-watchdog", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for us, not for it
	cmd.Dir = "/"
	leash, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &watchdog{leash: leash, cmd: cmd, dir: dir}, nil
}

// dismiss lets the watchdog do its work now, which with the server stopped is only to remove the
// files, and waits for it.
func (w *watchdog) dismiss() error {
	_ = w.leash.Close()
	_ = w.cmd.Wait() // what counts is whether the files are gone
	if err := os.RemoveAll(w.dir); err != nil {
		return fmt.Errorf("remove the temporary PostgreSQL: %w", err)
	}
	return nil
}
