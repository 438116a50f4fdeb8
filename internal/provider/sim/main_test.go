package sim_test

import (
	"bufio"
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// running is a sim that Main runs in the background until stop.
type running struct {
	url  string
	stop func() error
}

func start(t *testing.T, cfg sim.Config) running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	cfg.Log = w
	done := make(chan error, 1)
	go func() {
		err := sim.Main(ctx, cfg)
		w.CloseWithError(err)
		done <- err
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("no ready line: %v", err)
	}
	url, found := strings.CutPrefix(strings.TrimSpace(line), "sim: ready on ")
	if !found {
		t.Errorf("ready line %q", line)
	}
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() }) // a test that needs the error has called stop before
	return running{url, stop}
}

func TestMainServesOnTheRealClockUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	cfg := sim.Config{
		Listen: "127.0.0.1:0", Ledger: filepath.Join(t.TempDir(), "ledger"), Speed: 1000, Seed: 5,
		Naming: provider.NamingUnique409,
	}
	first := start(t, cfg)
	open := func(url string) *sim.Provider {
		p, err := sim.New(sim.ProviderConfig{URL: url, Naming: provider.NamingUnique409})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	p := open(first.url)
	steps, err := p.Plan(vps(), provider.Key{Installation: "inst", Item: "item", Generation: 1})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := p.Create(t.Context(), steps[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Errorf("Main = %v", err)
	}

	p = open(start(t, cfg).url)
	deadline := time.Now().Add(time.Minute)
	for {
		o, err := p.Observe(t.Context(), steps[1], ref)
		if err != nil {
			t.Fatal(err)
		}
		if o.Phase == provider.Ready {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("phase %s after a minute at ×1000", o.Phase)
		}
	}
}

func TestMainListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", ":0", "192.0.2.1:8091", "sim:8091", ""} {
		err := sim.Main(t.Context(), sim.Config{Listen: listen, Ledger: filepath.Join(t.TempDir(), "ledger")})
		if err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("Main on %q = %v", listen, err)
		}
	}
}
