package arch

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// checkedScript returns a page's blocks that are marked "sh check", one after the other: what a reader types in one
// terminal.
func (p page) checkedScript() string {
	var script strings.Builder
	inBlock := false
	for _, line := range strings.Split(p.text, "\n") {
		switch fence := strings.TrimSpace(line); {
		case fence == "```sh check":
			inBlock = true
		case strings.HasPrefix(fence, "```"):
			inBlock = false
		case inBlock:
			script.WriteString(line + "\n")
		}
	}
	return script.String()
}

// The README's example is run against the binary as it is shipped, with the programs that a reader uses.
func TestTheReadmesOrderWorks(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "curl", "jq", "kcat")
	raw, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := page{"README.md", string(raw)}.checkedScript()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	data := startDev(ctx, t)
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "PLATFORMA_DATA="+data)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the README's commands: %v\n%s", err, out)
	}
	for _, want := range []string{
		"pending_payment", "payment_confirmed", "fulfilled", "order.service-delivered", "Your service is ready",
	} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the README's commands did not show %q:\n%s", want, out)
		}
	}
}

// needs skips a test if a program is missing, and fails it in CI.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed, and CI must have it", p)
			}
			t.Skipf("NOT RUN: %s is not installed", p)
		}
	}
}

// startDev starts an empty development installation and returns its data folder when it serves. The installation is
// stopped when the test ends.
func startDev(ctx context.Context, t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "platforma-readme-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL may run as another user and must reach its data
		t.Fatal(err)
	}
	binary, data := filepath.Join(dir, "platforma"), filepath.Join(dir, "data")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, "./cmd/platforma")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./cmd/platforma: %v\n%s", err, out)
	}
	dev := exec.CommandContext(ctx, binary, "dev", "--no-demo", "--listen", "127.0.0.1:0", "--data", data)
	dev.Cancel = func() error { return dev.Process.Signal(syscall.SIGTERM) }
	dev.WaitDelay = 40 * time.Second
	stdout, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	dev.Stderr = &stderr
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = dev.Process.Signal(syscall.SIGTERM)
		_ = dev.Wait()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "dev.json") { // the last line before it serves
			return data
		}
	}
	t.Fatalf("platforma dev ended before it served:\n%s", stderr.String())
	return ""
}
