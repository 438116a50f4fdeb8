package providertest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
)

// Forwarder stands between an adapter and its cloud, counts what passes and can lose answers after the
// cloud has acted. Bodies travel with a Content-Length: some servers refuse chunked ones.
type Forwarder struct {
	URL string

	target *url.URL
	client *http.Client

	mu       sync.Mutex // owns what follows
	requests []string   // method and path of everything that came
	spoils   []spoil
}

// spoil is a rule for one answer to come.
type spoil struct {
	match func(*http.Request) bool
	half  int // how much of the body passes: 0 nothing, 1 half of it
}

// NewForwarder forwards to target until the test ends.
func NewForwarder(t testing.TB, target string) *Forwarder {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("forward to %s: %v", target, err)
	}
	f := &Forwarder{target: u, client: &http.Client{Transport: &http.Transport{}}}
	hs := httptest.NewServer(f)
	f.URL = hs.URL
	t.Cleanup(func() {
		hs.CloseClientConnections()
		hs.Close()
		f.client.CloseIdleConnections()
	})
	return f
}

// Mutating reports whether a request may change something.
func Mutating(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// Lose drops the whole answer to the next request that matches; the cloud has acted by then.
func (f *Forwarder) Lose(match func(*http.Request) bool) { f.add(spoil{match: match}) }

// Halve lets only half of the next matching answer's body through.
func (f *Forwarder) Halve(match func(*http.Request) bool) { f.add(spoil{match: match, half: 1}) }

func (f *Forwarder) add(s spoil) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoils = append(f.spoils, s)
}

// Requests is how many requests came so far, and how many of them may change something.
func (f *Forwarder) Requests() (all, mutating int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if r[:3] != "GET" && r[:3] != "HEA" && r[:3] != "OPT" {
			mutating++
		}
	}
	return len(f.requests), mutating
}

func (f *Forwarder) take(r *http.Request) (spoil, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	for i, s := range f.spoils {
		if s.match(r) {
			f.spoils = append(f.spoils[:i], f.spoils[i+1:]...)
			return s, true
		}
	}
	return spoil{}, false
}

// ServeHTTP forwards one request.
func (f *Forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	spoilt, found := f.take(r)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	target := *r.URL
	target.Scheme, target.Host = f.target.Scheme, f.target.Host
	// The cloud acts even when the caller has gone meanwhile: hence not the caller's context.
	out, err := http.NewRequest(r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header = r.Header.Clone()
	answer, err := f.client.Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = answer.Body.Close() }() // all that counts was read
	text, err := io.ReadAll(answer.Body)
	if err != nil || (found && spoilt.half == 0 && Mutating(r)) {
		panic(http.ErrAbortHandler)
	}
	for k, v := range answer.Header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(answer.StatusCode)
	if found {
		// Of a read at least the head passes, lest the client library repeat it unseen.
		_, _ = w.Write(text[:spoilt.half*len(text)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(text)
}
