// Command withpostgres runs another command with a PostgreSQL of its own:
//
//	go run ./internal/embedded/cmd/withpostgres -- go test ./...
//
// The command finds the address in PLATFORMA_TEST_DSN (as the superuser). The server is thrown away
// afterwards, whatever happens to the command or to this program. When PLATFORMA_TEST_DSN is already
// set, that server is used and none is started. The exit code is the command's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/platforma-cloud/orders/internal/embedded"
)

// dsnEnv is the variable in which the test kits look for a server.
const dsnEnv = "PLATFORMA_TEST_DSN"

// What a shell answers when it has nothing to run, and when the command cannot be started.
const (
	exitUsage  = 2
	exitCannot = 126
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: withpostgres [--] command [argument ...]")
		os.Exit(exitUsage)
	}
	code, err := run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
	}
	os.Exit(code)
}

// run is main without os.Exit, so that what it defers happens.
func run(args []string) (code int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)

	env := os.Environ()
	if os.Getenv(dsnEnv) == "" {
		ctx, cancel := untilSignal(signals)
		pg, err := embedded.StartTemporaryPostgres(ctx, os.Stderr)
		if cancel(); err != nil {
			return exitCannot, err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			err = errors.Join(err, pg.Stop(ctx))
		}()
		env = append(env, dsnEnv+"="+pg.SuperuserURL("postgres"))
	}
	return command(args, env, signals)
}

// untilSignal is a context for the start of the server: a signal ends it.
func untilSignal(signals <-chan os.Signal) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		select {
		case s := <-signals:
			cancel(fmt.Errorf("stopped by signal: %s", s))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// command runs the command, hands every signal on to it, and returns its exit code, or 128 and the
// number of the signal that ended it, as a shell does.
func command(args, env []string, signals <-chan os.Signal) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return exitCannot, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may have ended just now
		case err := <-done:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return exitCannot, err
			}
			if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				return 128 + int(ws.Signal()), nil
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}
