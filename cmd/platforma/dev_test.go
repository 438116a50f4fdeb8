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

// ready is how long a start may take on a busy machine.
const ready = 90 * time.Second

// addresses are dev.json, as a script reads it.
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

// user of the first tenant in a role.
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
	Took time.Duration // from the start of the process until it said where everything is

	t     *testing.T
	cmd   *exec.Cmd
	begun time.Time
	said  *transcript
	done  chan struct{}
	err   error // of the process, once done is closed
}

// folder for an installation's data, which PostgreSQL's own user can reach.
func folder(t *testing.T) string {
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
	t.Cleanup(func() { endAll(t, data) })
	return data
}

// endAll ends what a killed process left running on a data folder.
func endAll(t *testing.T, data string) {
	t.Helper()
	for _, pid := range servers(data) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			t.Logf("ended process %d, which was still running on %s", pid, data)
		}
	}
}

// servers are the processes beside ours that run on a data folder: PostgreSQL and the cloud. On a
// system without /proc it finds none.
func servers(data string) []int {
	var pids []int
	if raw, err := os.ReadFile(filepath.Join(data, "postgres/data/postmaster.pid")); err == nil {
		line, _, _ := strings.Cut(string(raw), "\n")
		if pid, err := strconv.Atoi(line); err == nil && mentions(pid, data) {
			pids = append(pids, pid)
		}
	}
	var cloud struct{ PID int }
	if raw, err := os.ReadFile(filepath.Join(data, "sim/ledger.process")); err == nil &&
		json.Unmarshal(raw, &cloud) == nil && mentions(cloud.PID, data) {
		pids = append(pids, cloud.PID)
	}
	return pids
}

// mentions reports whether a process is alive and was started with the folder in its arguments.
func mentions(pid int, data string) bool {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && bytes.Contains(raw, []byte(data))
}

// startDev starts `platforma dev --no-demo` and waits until it is up. It is stopped with the test.
func startDev(t *testing.T, data string, args ...string) *dev {
	t.Helper()
	d := launch(t, nil, data, append([]string{"dev", "--no-demo"}, args...)...)
	d.awaitUp()
	return d
}

// launch starts the binary on a data folder, with variables of the environment besides; args begin
// with the command.
func launch(t *testing.T, env []string, data string, args ...string) *dev {
	t.Helper()
	return launchProgram(t, binary, env, data, args...)
}

// launchProgram is launch of another build of the binary.
func launchProgram(t *testing.T, program string, env []string, data string, args ...string) *dev {
	t.Helper()
	d := &dev{Data: data, t: t, said: &transcript{}, done: make(chan struct{})}
	d.cmd = exec.Command(program, append(args, "--data", data, "--listen", "127.0.0.1:0")...)
	d.cmd.Stdout, d.cmd.Stderr = d.said, d.said
	d.cmd.Env = append(withoutOwnServers(os.Environ()), env...)
	// so that a test can send what Ctrl-C sends: a signal to the group
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.begun = time.Now()
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("start platforma: %v", err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(func() {
		d.interrupt()
		if !d.ends(40 * time.Second) {
			t.Errorf("platforma does not end:\n%s", d.said)
			d.kill()
		}
		if t.Failed() {
			t.Logf("platforma said:\n%s", d.said)
		}
	})
	return d
}

func withoutOwnServers(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "DATABASE_URL=") && !strings.HasPrefix(e, "KAFKA_BROKERS=") &&
			!strings.HasPrefix(e, "PLATFORMA_CONFIG=") {
			kept = append(kept, e)
		}
	}
	return kept
}

// awaitUp waits for the line that ends what dev says at its start, and reads dev.json.
func (d *dev) awaitUp() {
	d.t.Helper()
	until(d.t, ready, "platforma to be up", func() bool {
		select {
		case <-d.done:
			d.t.Fatalf("platforma ended before it was up: %v\n%s", d.err, d.said)
		default:
		}
		return strings.Contains(d.said.String(), "dev.json in the data folder")
	})
	d.Took = time.Since(d.begun)
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

// interrupt is Ctrl-C: the whole group of processes gets the signal.
func (d *dev) interrupt() { _ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT) }

// kill is kill -9 of our process alone: PostgreSQL and the cloud live on.
func (d *dev) kill() {
	_ = syscall.Kill(d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.done
}

// ends reports whether the process has ended within limit.
func (d *dev) ends(limit time.Duration) bool {
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
func (d *dev) running() bool { return !d.ends(0) }

// code is the exit status of a process that ended by itself.
func (d *dev) code() int {
	var failed *exec.ExitError
	switch {
	case d.err == nil:
		return 0
	case errors.As(d.err, &failed):
		return failed.ExitCode()
	}
	return -1
}

// transcript is what a program said, or was answered.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write adds to it.
func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

// String is all of it so far.
func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// until polls until ok, and fails the test after limit.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
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
