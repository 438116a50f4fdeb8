package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Many items are polled at once, and a cloud counts requests: reads by key that are asked for within
// gatherFor of each other travel as one. The engine knows nothing of it.

const (
	gatherFor  = time.Millisecond
	batchMost  = 50
	batchLimit = 5 * time.Second // a read that hangs is given up for itself and holds up no other
)

type batchRequest struct {
	Reads []string `json:"reads"` // queries of GET /v1/resources
}

type batchAnswer struct {
	Answers []readAnswer `json:"answers"` // in the order of the reads
}

// readAnswer is what the single read would have answered; status 0 means no answer at all.
type readAnswer struct {
	Status     int             `json:"status"`
	RetryAfter string          `json:"retry_after,omitempty"`
	Body       json.RawMessage `json:"body,omitempty"`
}

// postReads answers several reads in one request, each with its own faults and its own line in the log.
func (s *Server) postReads(w http.ResponseWriter, r *http.Request) {
	var in batchRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, biggest)).Decode(&in); err != nil || len(in.Reads) == 0 ||
		len(in.Reads) > batchMost {
		write(w, refuse(http.StatusBadRequest, codeInvalid, "1 to 50 reads"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), batchLimit)
	defer cancel()
	out := batchAnswer{Answers: make([]readAnswer, len(in.Reads))}
	var mu sync.Mutex // guards out until all have answered or their time is over
	var running sync.WaitGroup
	for i, query := range in.Reads {
		running.Go(func() {
			got := s.readAlone(r.Clone(ctx), query)
			mu.Lock()
			defer mu.Unlock()
			out.Answers[i] = got
		})
	}
	running.Wait() // each ends with ctx at the latest
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // a caller that is gone asks again
}

// readAlone runs one read of a batch as the request it would have been.
func (s *Server) readAlone(r *http.Request, query string) (got readAnswer) {
	r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
	r.URL = &url.URL{Path: "/v1/resources", RawQuery: query}
	rec := &recorder{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
				panic(p)
			}
			got = readAnswer{} // the connection of this one was cut
		}
	}()
	s.getResources(rec, r)
	if rec.status == http.StatusOK && !json.Valid(rec.body.Bytes()) || r.Context().Err() != nil {
		return readAnswer{}
	}
	return readAnswer{Status: rec.status, RetryAfter: rec.header.Get("Retry-After"), Body: rec.body.Bytes()}
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// gatherer is the adapter's side.
type gatherer struct {
	p *Provider

	mu      sync.Mutex
	waiting []*ask // guarded by mu
}

type ask struct {
	ctx    context.Context //nolint:containedctx // whose time it is decides whether the ask is still sent
	query  url.Values
	answer chan gathered
}

type gathered struct {
	page resourcePage
	err  error
}

// read is a read by key; it may travel with others.
func (g *gatherer) read(ctx context.Context, q url.Values) (resourcePage, error) {
	if err := ctx.Err(); err != nil {
		return resourcePage{}, fmt.Errorf("GET /v1/resources: not sent: %w", err)
	}
	a := &ask{ctx: ctx, query: q, answer: make(chan gathered, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, a)
	if len(g.waiting) == 1 {
		time.AfterFunc(gatherFor, g.send)
	}
	g.mu.Unlock()
	select {
	case got := <-a.answer:
		return got.page, got.err
	case <-ctx.Done():
		return resourcePage{}, provider.NewError(fault.Retryable, "timeout", "no answer in time")
	}
}

// send lets those who wait go: one alone by its own request, several together.
func (g *gatherer) send() {
	g.mu.Lock()
	batch := g.waiting[:min(len(g.waiting), batchMost)]
	if g.waiting = g.waiting[len(batch):]; len(g.waiting) > 0 {
		time.AfterFunc(0, g.send)
	}
	g.mu.Unlock()
	alive := batch[:0:0]
	for _, a := range batch {
		if a.ctx.Err() == nil {
			alive = append(alive, a)
		}
	}
	switch len(alive) {
	case 0:
	case 1:
		var got gathered
		_, got.err = g.p.call(alive[0].ctx, request{method: http.MethodGet, path: "/v1/resources", query: alive[0].query},
			&got.page)
		alive[0].answer <- got
	default:
		g.together(alive)
	}
}

func (g *gatherer) together(asks []*ask) {
	ctx, cancel := context.WithTimeout(context.Background(), g.p.timeout)
	defer cancel()
	in := batchRequest{}
	for _, a := range asks {
		in.Reads = append(in.Reads, a.query.Encode())
	}
	var out batchAnswer
	_, err := g.p.call(ctx, request{method: http.MethodPost, path: "/v1/reads", body: in}, &out)
	for i, a := range asks {
		switch {
		case err != nil:
			a.answer <- gathered{err: asRead(err)}
		case i >= len(out.Answers):
			a.answer <- gathered{err: provider.NewError(fault.Retryable, "malformed", "the answer leaves a read out")}
		default:
			a.answer <- out.Answers[i].gathered()
		}
	}
}

// asRead gives the class of a failed read to what travelled as a POST: it changes nothing.
func asRead(err error) error {
	e := provider.AsError(err)
	if e == nil || e.Class != fault.Ambiguous {
		return err
	}
	return provider.NewError(fault.Retryable, e.Code, e.Detail)
}

func (a readAnswer) gathered() gathered {
	if a.Status == 0 {
		return gathered{err: provider.NewError(fault.Retryable, "connection-lost", "this read had no answer")}
	}
	if a.Status < 200 || a.Status > 299 {
		_, err := refusalError(&http.Response{StatusCode: a.Status, Header: http.Header{"Retry-After": {a.RetryAfter}}},
			a.Body, reads)
		return gathered{err: err}
	}
	var got gathered
	if err := json.Unmarshal(a.Body, &got.page); err != nil {
		got.err = provider.NewError(fault.Retryable, "malformed", "the answer cannot be read")
	}
	return got
}
