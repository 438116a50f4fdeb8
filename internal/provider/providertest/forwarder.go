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

// Forwarder is a proxy between an adapter and its cloud. It counts requests and can lose answers after the cloud
// has acted. It sends bodies with a Content-Length, because some servers refuse chunked ones.
type Forwarder struct {
	URL string

	target *url.URL
	client *http.Client

	mu       sync.Mutex // guards the fields below
	requests []string   // method and path of every request
	cuts     []cut
}

// cut is a rule that cuts the answer to the next request that matches.
type cut struct {
	match func(*http.Request) bool
	half  int // how much of the body is sent: 0 nothing, 1 half of it
}

// NewForwarder returns a proxy that forwards to target until the test ends.
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

// Lose drops the whole answer to the next matching request, after the cloud has acted.
func (f *Forwarder) Lose(match func(*http.Request) bool) { f.add(cut{match: match}) }

// Halve sends only half of the body of the answer to the next matching request.
func (f *Forwarder) Halve(match func(*http.Request) bool) { f.add(cut{match: match, half: 1}) }

func (f *Forwarder) add(c cut) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cuts = append(f.cuts, c)
}

// Requests returns the number of requests so far, and how many of them may change something.
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

// take counts a request and removes the first rule that matches it.
func (f *Forwarder) take(r *http.Request) (cut, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	for i, c := range f.cuts {
		if c.match(r) {
			f.cuts = append(f.cuts[:i], f.cuts[i+1:]...)
			return c, true
		}
	}
	return cut{}, false
}

// ServeHTTP forwards one request.
func (f *Forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule, found := f.take(r)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	target := *r.URL
	target.Scheme, target.Host = f.target.Scheme, f.target.Host
	// Not the caller's context: the cloud acts even if the caller is gone.
	out, err := http.NewRequest(r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header = r.Header.Clone()
	answer, err := f.client.Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = answer.Body.Close() }() // it was read to the end
	text, err := io.ReadAll(answer.Body)
	if err != nil || (found && rule.half == 0 && Mutating(r)) {
		panic(http.ErrAbortHandler)
	}
	for k, v := range answer.Header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(answer.StatusCode)
	if found {
		// The answer to a read is sent with its header at least, or the client library would repeat the request.
		_, _ = w.Write(text[:rule.half*len(text)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(text)
}
