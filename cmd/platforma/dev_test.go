package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a start may take on a busy machine.
const startTimeout = 90 * time.Second

// addresses is the content of dev.json as a script reads it.
type addresses struct {
	API, Portal, Kafka, SMTP, Inbox, Sim string
	DatabaseURL                          string `json:"database_url"`
	Tenants                              []struct {
		Slug, ID string
		Users    []user
	}
}

type user struct {
	Role, Email, ID string
	APIKey          string `json:"api_key"`
}

// user returns the user of the first tenant who has a role.
func (a addresses) user(t *testing.T, role string) user {
	t.Helper()
	for _, u := range a.Tenants[0].Users {
		if u.Role == role {
			return u
		}
	}
	t.Fatalf("dev.json has no %s", role)
	return user{}
}

// dev is a running `platforma dev`.
type dev struct {
	addresses
	Data string
	Took time.Duration // from the start of the process until it printed its addresses

	t       *testing.T
	cmd     *exec.Cmd
	started time.Time
	output  *outputBuffer
	done    chan struct{} // closed when the process has ended
	err     error         // of the process, once done is closed
}

// dataFolder returns a folder for an installation's data that PostgreSQL's own user can reach.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "platforma-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	t.Cleanup(func() { killServers(t, data) })
	return data
}

// killServers kills the servers that a killed process left running on a data folder.
func killServers(t *testing.T, data string) {
	t.Helper()
	for _, pid := range serverPIDs(data) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			t.Logf("killed process %d, which was still running on %s", pid, data)
		}
	}
}

// serverPIDs returns the process ids of the servers that run on a data folder: PostgreSQL and the simulated
// cloud. On a system without /proc it finds none.
func serverPIDs(data string) []int {
	var pids []int
	if raw, err := os.ReadFile(filepath.Join(data, "postgres/data/postmaster.pid")); err == nil {
		line, _, _ := strings.Cut(string(raw), "\n")
		if pid, err := strconv.Atoi(line); err == nil && runsOn(pid, data) {
			pids = append(pids, pid)
		}
	}
	var cloud struct{ PID int }
	if raw, err := os.ReadFile(filepath.Join(data, "sim/ledger.process")); err == nil &&
		json.Unmarshal(raw, &cloud) == nil && runsOn(cloud.PID, data) {
		pids = append(pids, cloud.PID)
	}
	return pids
}

// runsOn reports whether a process is alive and was started with the folder in its arguments.
func runsOn(pid int, data string) bool {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && bytes.Contains(raw, []byte(data))
}

// startDev starts `platforma dev --no-demo` and waits until it is up. It is stopped when the test ends.
func startDev(t *testing.T, data string, args ...string) *dev {
	t.Helper()
	d := launch(t, nil, data, append([]string{"dev", "--no-demo"}, args...)...)
	d.waitUp()
	return d
}

// launch starts the binary on a data folder with additional environment variables. The first of args is the
// command.
func launch(t *testing.T, env []string, data string, args ...string) *dev {
	t.Helper()
	return launchProgram(t, binary, env, data, args...)
}

// launchProgram is launch for another build of the binary.
func launchProgram(t *testing.T, program string, env []string, data string, args ...string) *dev {
	t.Helper()
	d := &dev{Data: data, t: t, output: &outputBuffer{}, done: make(chan struct{})}
	d.cmd = exec.Command(program, append(args, "--data", data, "--listen", "127.0.0.1:0")...)
	d.cmd.Stdout, d.cmd.Stderr = d.output, d.output
	d.cmd.Env = append(withoutExternalServers(os.Environ()), env...)
	// A test can signal the process group, as Ctrl-C does.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.started = time.Now()
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("start platforma: %v", err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(func() {
		d.interrupt()
		if !d.endsWithin(40 * time.Second) {
			t.Errorf("platforma does not end:\n%s", d.output)
			d.kill()
		}
		if t.Failed() {
			t.Logf("platforma printed:\n%s", d.output)
		}
	})
	return d
}

// withoutExternalServers removes the variables that name a database, brokers or a configuration file.
func withoutExternalServers(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "DATABASE_URL=") && !strings.HasPrefix(e, "KAFKA_BROKERS=") &&
			!strings.HasPrefix(e, "PLATFORMA_CONFIG=") {
			kept = append(kept, e)
		}
	}
	return kept
}

// waitUp waits for the last line that dev prints at its start, and reads dev.json.
func (d *dev) waitUp() {
	d.t.Helper()
	waitUntil(d.t, startTimeout, "platforma to be up", func() bool {
		select {
		case <-d.done:
			d.t.Fatalf("platforma ended before it was up: %v\n%s", d.err, d.output)
		default:
		}
		return strings.Contains(d.output.String(), "dev.json in the data folder")
	})
	d.Took = time.Since(d.started)
	d.addresses = readAddresses(d.t, d.Data)
}

func readAddresses(t *testing.T, data string) addresses {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(data, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	var a addresses
	if err := json.Unmarshal(raw, &a); err != nil || len(a.Tenants) != 2 {
		t.Fatalf("dev.json: %v, %d tenants", err, len(a.Tenants))
	}
	return a
}

// interrupt sends SIGINT to the process group, as Ctrl-C does.
func (d *dev) interrupt() { _ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT) }

// kill sends SIGKILL to the process alone. PostgreSQL and the simulated cloud survive.
func (d *dev) kill() {
	_ = syscall.Kill(d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.done
}

// endsWithin reports whether the process ends within limit.
func (d *dev) endsWithin(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-d.done:
		return true
	case <-timer.C:
		return false
	}
}

// running reports whether the process has not ended yet.
func (d *dev) running() bool { return !d.endsWithin(0) }

// exitStatus returns the exit status of a process that has ended by itself.
func (d *dev) exitStatus() int {
	var failed *exec.ExitError
	switch {
	case d.err == nil:
		return 0
	case errors.As(d.err, &failed):
		return failed.ExitCode()
	}
	return -1
}

// outputBuffer collects the output of a program or the answers to requests. It is safe for concurrent use.
type outputBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends to the buffer.
func (b *outputBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns everything written so far.
func (b *outputBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitUntil polls until ok returns true, and fails the test after limit.
func waitUntil(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}
