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

// simConfig says where and how the simulated cloud of a development installation runs.
type simConfig struct {
	Dir    string
	Speed  int
	Naming string
}

func (c simConfig) ledger() string { return filepath.Join(c.Dir, "ledger") }

// simProcessFile returns the path of the file that says how to reach a simulated cloud. It is beside the ledger.
func simProcessFile(ledger string) string { return ledger + ".process" }

// simProcess is the simulated cloud of a development installation. It is a separate process, so that it survives
// a kill of the installation as a real cloud would. It writes this record itself, as soon as it has locked the
// ledger and can be called, so that no kill of the installation can come between.
type simProcess struct {
	PID    int     `json:"pid"`
	URL    string  `json:"url"`
	Speed  float64 `json:"speed"`
	Naming string  `json:"naming"`
}

// startSim takes over the simulated cloud that an earlier start left running, or starts one on the same ledger.
// The ledger's lock prevents two at a time.
func startSim(ctx context.Context, cfg simConfig) (*simProcess, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the simulated cloud's folder: %w", err)
	}
	for attempt := 1; ; attempt++ {
		if p, err := takeOverSim(ctx, cfg); p != nil || err != nil {
			return p, err
		}
		p, err := launchSim(ctx, cfg)
		if err == nil || ctx.Err() != nil || attempt == 3 || !isLocked(cfg.ledger()) {
			return p, err
		}
		// A simulated cloud that an earlier start had begun locked the ledger first: take over that one.
	}
}

// takeOverSim returns the simulated cloud that has locked the ledger, or nil when none has. It stops one that
// runs with another speed or naming.
func takeOverSim(ctx context.Context, cfg simConfig) (*simProcess, error) {
	var p *simProcess
	err := waitFor(ctx, func() bool {
		p = readSimProcess(cfg)
		return !isLocked(cfg.ledger()) || p != nil && isHealthy(ctx, p.URL+"/healthz")
	})
	if err != nil {
		return nil, fmt.Errorf("the simulated cloud's ledger %s is in use by a process that does not answer: %w",
			cfg.ledger(), err)
	}
	if p == nil || !isLocked(cfg.ledger()) {
		return nil, nil
	}
	if p.Speed == float64(cfg.Speed) && p.Naming == cfg.Naming {
		return p, nil
	}
	return nil, p.stop(ctx)
}

// readSimProcess returns the record of the last simulated cloud, or nil when there is none.
func readSimProcess(cfg simConfig) *simProcess {
	raw, err := os.ReadFile(simProcessFile(cfg.ledger()))
	if err != nil {
		return nil
	}
	var p simProcess
	if json.Unmarshal(raw, &p) != nil || p.PID <= 1 {
		return nil
	}
	return &p
}

// launchSim starts a simulated cloud, at the address of the last one when that is free.
func launchSim(ctx context.Context, cfg simConfig) (*simProcess, error) {
	port := "0"
	if last := readSimProcess(cfg); last != nil {
		_, p, _ := strings.Cut(strings.TrimPrefix(last.URL, "http://"), ":")
		if l, err := net.Listen("tcp", "127.0.0.1:"+p); err == nil && l.Close() == nil {
			port = p
		}
	}
	if err := os.Remove(simProcessFile(cfg.ledger())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the record of the last simulated cloud: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("locate the platforma program: %w", err)
	}
	out, err := os.OpenFile(filepath.Join(cfg.Dir, "sim.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the simulated cloud's log: %w", err)
	}
	defer func() { _ = out.Close() }()
	//nolint:noctx // the simulated cloud must survive this process
	cmd := exec.Command(self, "sim", "--listen", "127.0.0.1:"+port, "--ledger", cfg.ledger(),
		"--speed", strconv.Itoa(cfg.Speed), "--naming", cfg.Naming)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the simulated cloud: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its log says how it ended
	}()
	var p *simProcess
	err = waitFor(ctx, func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		p = readSimProcess(cfg)
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

// waitFor polls until ok returns true, for at most 10 s. Its error is the context's, or says that this took too
// long.
func waitFor(ctx context.Context, ok func() bool) error {
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

// isHealthy reports whether a GET of the URL answers 200 within 2 s.
func isHealthy(ctx context.Context, url string) bool {
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

// stop sends SIGTERM to the process and waits until it has ended.
func (p *simProcess) stop(ctx context.Context) error {
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return fmt.Errorf("stop the simulated cloud: %w", err)
	}
	ended := func() bool { return errors.Is(syscall.Kill(p.PID, 0), syscall.ESRCH) }
	if err := waitFor(ctx, ended); err != nil {
		return fmt.Errorf("stop the simulated cloud (process %d): %w", p.PID, err)
	}
	return nil
}
