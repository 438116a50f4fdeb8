package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// simProcess is the simulated cloud of a development installation: a program of its own, so that it
// outlives a kill of ours as a real cloud would.
type simProcess struct {
	PID    int    `json:"pid"`
	URL    string `json:"url"`
	Speed  int    `json:"speed"`
	Naming string `json:"naming"`
	url    string
}

// startSim takes over the cloud that an earlier start left running, or starts one on the same ledger.
// The ledger's lock forbids two.
func startSim(ctx context.Context, at simPlace) (*simProcess, error) {
	if err := os.MkdirAll(at.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the simulated cloud's folder: %w", err)
	}
	note := filepath.Join(at.Dir, "sim.json")
	if p, ok := runningSim(ctx, note); ok && held(filepath.Join(at.Dir, "ledger")) { // else somebody else's answers at that address
		if p.Speed == at.Speed && p.Naming == at.Naming {
			return p, nil
		}
		if err := p.stop(ctx); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find our own program: %w", err)
	}
	out, err := os.OpenFile(filepath.Join(at.Dir, "sim.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the simulated cloud's log: %w", err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(self, "sim", "--listen", "127.0.0.1:"+strconv.Itoa(lastPort(note)), "--ledger", filepath.Join(at.Dir, "ledger"), //nolint:gosec,noctx // our own program, which is to outlive us
		"--speed", strconv.Itoa(at.Speed), "--naming", at.Naming)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the simulated cloud: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	p := &simProcess{PID: cmd.Process.Pid, Speed: at.Speed, Naming: at.Naming}
	if p.URL, err = readyLine(ctx, out.Name()); err != nil {
		return nil, errors.Join(err, p.stop(ctx))
	}
	p.url = p.URL
	return p, writePrivate(note, p)
}

// runningSim finds the cloud of an earlier start, if it still answers.
func runningSim(ctx context.Context, note string) (*simProcess, bool) {
	raw, err := os.ReadFile(note)
	if err != nil {
		return nil, false
	}
	var p simProcess
	if json.Unmarshal(raw, &p) != nil || !answers(ctx, p.URL+"/healthz") {
		return nil, false
	}
	p.url = p.URL
	return &p, true
}

// lastPort keeps the address over restarts; 0 takes a free one.
func lastPort(note string) int {
	raw, err := os.ReadFile(note)
	if err != nil {
		return 0
	}
	var p simProcess
	if json.Unmarshal(raw, &p) != nil {
		return 0
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL, "http://"), ":")
	n, _ := strconv.Atoi(port)
	return n
}

// readyLine waits for the line that tells the address.
func readyLine(ctx context.Context, path string) (string, error) {
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("read the simulated cloud's log: %w", err)
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if url, ok := strings.CutPrefix(lines.Text(), "sim: ready on "); ok {
				_ = f.Close()
				return url, nil
			}
		}
		_ = f.Close()
		time.Sleep(20 * time.Millisecond)
	}
	raw, _ := os.ReadFile(path)
	return "", fmt.Errorf("the simulated cloud did not start: %s", strings.TrimSpace(string(raw)))
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

// stop asks the program to end and waits for it.
func (p *simProcess) stop(ctx context.Context) error {
	if p.PID <= 1 {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return fmt.Errorf("stop the simulated cloud: %w", err)
	}
	for range 200 {
		if p.url == "" || !answers(ctx, p.url+"/healthz") {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the simulated cloud (process %d) does not stop", p.PID)
}
