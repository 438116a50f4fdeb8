// Package simtest runs the simulated cloud inside a test: the same Server, on a loopback address, with a clock
// that the test advances. It is for tests only and is never in the binary.
package simtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// Options change the cloud. The zero value is a cloud with unique names and a clock of its own.
type Options struct {
	// Modify changes the server's configuration, such as Naming (Start sets NamingUnique409; sim's zero value is
	// NamingNone), Speed, Seed, Capacity or Quota. It may set Now to the caller's clock, or to nil for the real
	// one; then Advance must not be called.
	Modify func(*sim.ServerConfig)
}

// Sim is a running cloud. Its methods fail the test on any error; call them from the test's goroutine.
type Sim struct {
	URL string // the address of the cloud's API and the operator's API

	t      testing.TB
	cfg    sim.ServerConfig
	clock  *clock
	client *http.Client

	mu     sync.RWMutex // held for reading by each request, for writing by Restart
	server *sim.Server
}

// clock changes only when it is advanced.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Start runs a cloud until the test ends. Its ledger is in a directory of the test.
func Start(t testing.TB, o Options) *Sim {
	t.Helper()
	own := &clock{now: time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)}
	s := &Sim{t: t, clock: own, client: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}}
	s.cfg = sim.ServerConfig{
		Ledger: filepath.Join(t.TempDir(), "sim.ledger"), Seed: 1, Naming: provider.NamingUnique409, Now: own.Now,
		Sync: func(*os.File) error { return nil }, // a test need not survive its machine
	}
	if o.Modify != nil {
		o.Modify(&s.cfg)
	}
	s.open()
	hs := httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = hs.URL
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		hs.CloseClientConnections()
		hs.Close()
		if err := s.server.Close(); err != nil {
			t.Errorf("close sim: %v", err)
		}
	})
	return s
}

func (s *Sim) open() {
	s.t.Helper()
	server, err := sim.NewServer(s.cfg)
	if err != nil {
		s.t.Fatalf("open sim: %v", err)
	}
	s.server = server
}

func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.server.ServeHTTP(w, r)
}

// Restart closes the server and opens a new one from its ledger, at the same address.
func (s *Sim) Restart() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.server.Close(); err != nil {
		s.t.Fatalf("close sim: %v", err)
	}
	s.open()
}

// Provider returns an adapter for this cloud. It is closed when the test ends.
func (s *Sim) Provider() *sim.Provider {
	s.t.Helper()
	return s.ProviderAt(s.URL)
}

// ProviderAt returns an adapter that uses another address, such as a forwarder's.
func (s *Sim) ProviderAt(url string) *sim.Provider {
	s.t.Helper()
	p, err := sim.New(sim.ProviderConfig{URL: url, Naming: s.cfg.Naming})
	if err != nil {
		s.t.Fatalf("open adapter: %v", err)
	}
	s.t.Cleanup(p.Close)
	return p
}

// Now returns the time of the cloud's own clock. It has no meaning if Options set another clock.
func (s *Sim) Now() time.Time { return s.clock.Now() }

// Advance advances the cloud's own clock.
func (s *Sim) Advance(d time.Duration) { s.clock.advance(d) }

// Ledger returns all live resources and every call ever made.
func (s *Sim) Ledger() sim.Ledger {
	s.t.Helper()
	var l sim.Ledger
	s.do(http.MethodGet, "/ledger", nil, &l)
	return l
}

// Live returns the resources that exist now, including those that are being deleted.
func (s *Sim) Live() []sim.Resource {
	s.t.Helper()
	var l sim.Ledger
	s.do(http.MethodGet, "/ledger?only=live", nil, &l)
	return l.Live
}

// Calls returns the log's entries of one operation, and of one item unless item is empty.
func (s *Sim) Calls(operation, item string) []sim.Call {
	s.t.Helper()
	var calls []sim.Call
	for _, c := range s.Ledger().Log {
		if c.Operation == operation && (item == "" || c.Item == item) {
			calls = append(calls, c)
		}
	}
	return calls
}

// Script adds a fault and returns it with its id.
func (s *Sim) Script(f sim.Fault) sim.Fault {
	s.t.Helper()
	s.do(http.MethodPost, "/faults", f, &f)
	return f
}

// ClearFaults removes all faults.
func (s *Sim) ClearFaults() {
	s.t.Helper()
	s.do(http.MethodDelete, "/faults", nil, nil)
}

// Secrets returns the documents that were issued for an item, newest last.
func (s *Sim) Secrets(item string) []json.RawMessage {
	s.t.Helper()
	var issued sim.Issued
	s.do(http.MethodGet, "/secrets/"+item, nil, &issued)
	return issued.Secrets
}

// Plant creates a resource that belongs to no item.
func (s *Sim) Plant(f sim.Foreign) sim.Resource {
	s.t.Helper()
	var r sim.Resource
	s.do(http.MethodPost, "/foreign", f, &r)
	return r
}

func (s *Sim) do(method, path string, in, out any) {
	s.t.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			s.t.Fatalf("%s %s: %v", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read to the end
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode > 299 {
		s.t.Fatalf("%s %s: status %d, %v: %s", method, path, answer.StatusCode, err, text)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
}
