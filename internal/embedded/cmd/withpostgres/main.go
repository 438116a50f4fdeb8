// Command withpostgres runs another command with a PostgreSQL of its own:
//
//	go run ./internal/embedded/cmd/withpostgres -- go test ./...
//
// The command finds the superuser's address in PLATFORMA_TEST_DSN. The server is removed afterwards, whatever
// happens to the command or to this program. If PLATFORMA_TEST_DSN is set already, that server is used and none
// is started. The exit code is that of the command.
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

// dsnEnv is the environment variable from which the test kits read the server's address.
const dsnEnv = "PLATFORMA_TEST_DSN"

// The exit codes of a shell for wrong arguments, and for a command that cannot be started.
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

// run is main without os.Exit, so that its deferred calls run.
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

// untilSignal returns a context for the start of the server. A signal ends it.
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

// command runs the command, passes every signal on to it, and returns its exit code. If a signal ended it, the
// code is 128 plus the signal's number, as in a shell.
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
