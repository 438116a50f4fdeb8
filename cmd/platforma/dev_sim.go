package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type simPlace struct {
	Dir    string
	Speed  int
	Naming string
}

func (at simPlace) ledger() string { return filepath.Join(at.Dir, "ledger") }

// simNote is where a simulated cloud says how to reach it, beside its ledger.
func simNote(ledger string) string { return ledger + ".process" }

// simProcess is the simulated cloud of a development installation: a program of its own, so that it
// outlives a kill of ours as a real cloud would. It writes this note itself, once it has the ledger
// and can be called, so that no kill of ours comes between.
type simProcess struct {
	PID    int     `json:"pid"`
	URL    string  `json:"url"`
	Speed  float64 `json:"speed"`
	Naming string  `json:"naming"`
}

// startSim takes over the cloud that an earlier start left running, or starts one on the same ledger.
// The ledger's lock forbids two.
func startSim(ctx context.Context, at simPlace) (*simProcess, error) {
	if err := os.MkdirAll(at.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the simulated cloud's folder: %w", err)
	}
	for attempt := 1; ; attempt++ {
		if p, err := takeOverSim(ctx, at); p != nil || err != nil {
			return p, err
		}
		p, err := launchSim(ctx, at)
		if err == nil || ctx.Err() != nil || attempt == 3 || !held(at.ledger()) {
			return p, err
		}
		// One that an earlier start had just begun was faster: that one will do.
	}
}

// takeOverSim finds the cloud that holds the ledger, nil when none does. One that does not run as it is
// wanted is ended.
func takeOverSim(ctx context.Context, at simPlace) (*simProcess, error) {
	var p *simProcess
	err := await(ctx, func() bool {
		p = readSimNote(at)
		return !held(at.ledger()) || p != nil && answers(ctx, p.URL+"/healthz")
	})
	if err != nil {
		return nil, fmt.Errorf("the simulated cloud's ledger %s is in use by a process that does not answer: %w",
			at.ledger(), err)
	}
	if p == nil || !held(at.ledger()) {
		return nil, nil
	}
	if p.Speed == float64(at.Speed) && p.Naming == at.Naming {
		return p, nil
	}
	return nil, p.stop(ctx)
}

func readSimNote(at simPlace) *simProcess {
	raw, err := os.ReadFile(simNote(at.ledger()))
	if err != nil {
		return nil
	}
	var p simProcess
	if json.Unmarshal(raw, &p) != nil || p.PID <= 1 {
		return nil
	}
	return &p
}

// launchSim starts the program, at the address of the last time where it can be had.
func launchSim(ctx context.Context, at simPlace) (*simProcess, error) {
	port := "0"
	if last := readSimNote(at); last != nil {
		_, p, _ := strings.Cut(strings.TrimPrefix(last.URL, "http://"), ":")
		if l, err := net.Listen("tcp", "127.0.0.1:"+p); err == nil && l.Close() == nil {
			port = p
		}
	}
	if err := os.Remove(simNote(at.ledger())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("forget the last simulated cloud: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find our own program: %w", err)
	}
	out, err := os.OpenFile(filepath.Join(at.Dir, "sim.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the simulated cloud's log: %w", err)
	}
	defer func() { _ = out.Close() }()
	//nolint:noctx // our own program, which is to outlive us
	cmd := exec.Command(self, "sim", "--listen", "127.0.0.1:"+port, "--ledger", at.ledger(),
		"--speed", strconv.Itoa(at.Speed), "--naming", at.Naming)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the simulated cloud: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in its log
	}()
	var p *simProcess
	err = await(ctx, func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		p = readSimNote(at)
		return p != nil && p.PID == cmd.Process.Pid
	})
	if err != nil {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-ended
		return nil, err
	}
	if p == nil || p.PID != cmd.Process.Pid {
		raw, _ := os.ReadFile(out.Name())
		return nil, fmt.Errorf("the simulated cloud did not start: %s", strings.TrimSpace(string(raw)))
	}
	return p, nil
}

// await asks until ok, for 10 s; the error is the context's, or says that it took too long.
func await(ctx context.Context, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("no answer within 10 s"))
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop asks the program to end and waits until it is gone.
func (p *simProcess) stop(ctx context.Context) error {
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return fmt.Errorf("stop the simulated cloud: %w", err)
	}
	if err := await(ctx, func() bool { return errors.Is(syscall.Kill(p.PID, 0), syscall.ESRCH) }); err != nil {
		return fmt.Errorf("stop the simulated cloud (process %d): %w", p.PID, err)
	}
	return nil
}
