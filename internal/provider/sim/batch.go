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

// Many items are polled at the same time, and a cloud counts requests. Reads by key that start within batchWindow
// of each other are therefore sent as one request. The engine does not know about it.

const (
	batchWindow  = time.Millisecond
	maxBatch     = 50
	batchTimeout = 5 * time.Second // the server gives up a read that hangs, so that it does not delay the others
)

type batchRequest struct {
	Reads []string `json:"reads"` // queries of GET /v1/resources
}

type batchAnswer struct {
	Answers []readAnswer `json:"answers"` // in the order of the reads
}

// readAnswer is the answer that a read would have had by itself. Status 0 means no answer at all.
type readAnswer struct {
	Status     int             `json:"status"`
	RetryAfter string          `json:"retry_after,omitempty"`
	Body       json.RawMessage `json:"body,omitempty"`
}

// postReads answers several reads in one request. Each has its own faults and its own line in the log.
func (s *Server) postReads(w http.ResponseWriter, r *http.Request) {
	var in batchRequest
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in)
	if err != nil || len(in.Reads) == 0 || len(in.Reads) > maxBatch {
		write(w, refuse(http.StatusBadRequest, codeInvalid, "1 to 50 reads"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), batchTimeout)
	defer cancel()
	out := batchAnswer{Answers: make([]readAnswer, len(in.Reads))}
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	for i, query := range in.Reads {
		wg.Go(func() {
			got := s.readOne(r.Clone(ctx), query)
			mu.Lock()
			defer mu.Unlock()
			out.Answers[i] = got
		})
	}
	wg.Wait() // each ends with ctx at the latest
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // a caller that is gone reads again
}

// readOne runs one read of a batch like a request of its own.
func (s *Server) readOne(r *http.Request, query string) (got readAnswer) {
	r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
	r.URL = &url.URL{Path: "/v1/resources", RawQuery: query}
	rec := &recorder{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
				panic(p)
			}
			got = readAnswer{} // this read's connection would have been cut
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

// batcher collects the adapter's reads by key and sends them in batches.
type batcher struct {
	p *Provider

	mu      sync.Mutex
	waiting []*pendingRead // guarded by mu
}

type pendingRead struct {
	ctx    context.Context //nolint:containedctx // decides whether the read is still sent
	query  url.Values
	answer chan readResult
}

type readResult struct {
	page resourcePage
	err  error
}

// read reads by key, possibly in one request with other reads.
func (g *batcher) read(ctx context.Context, q url.Values) (resourcePage, error) {
	if err := ctx.Err(); err != nil {
		return resourcePage{}, fmt.Errorf("GET /v1/resources: not sent: %w", err)
	}
	a := &pendingRead{ctx: ctx, query: q, answer: make(chan readResult, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, a)
	if len(g.waiting) == 1 {
		time.AfterFunc(batchWindow, g.send)
	}
	g.mu.Unlock()
	select {
	case got := <-a.answer:
		return got.page, got.err
	case <-ctx.Done():
		return resourcePage{}, provider.NewError(fault.Retryable, "timeout", "no answer in time")
	}
}

// send sends the waiting reads: a single one by a request of its own, several as a batch.
func (g *batcher) send() {
	g.mu.Lock()
	batch := g.waiting[:min(len(g.waiting), maxBatch)]
	if g.waiting = g.waiting[len(batch):]; len(g.waiting) > 0 {
		time.AfterFunc(0, g.send)
	}
	g.mu.Unlock()
	pending := batch[:0:0]
	for _, a := range batch {
		if a.ctx.Err() == nil {
			pending = append(pending, a)
		}
	}
	switch len(pending) {
	case 0:
	case 1:
		var got readResult
		q := request{method: http.MethodGet, path: "/v1/resources", query: pending[0].query}
		_, got.err = g.p.call(pending[0].ctx, q, &got.page)
		pending[0].answer <- got
	default:
		g.sendBatch(pending)
	}
}

func (g *batcher) sendBatch(pending []*pendingRead) {
	ctx, cancel := context.WithTimeout(context.Background(), g.p.timeout)
	defer cancel()
	in := batchRequest{}
	for _, a := range pending {
		in.Reads = append(in.Reads, a.query.Encode())
	}
	var out batchAnswer
	_, err := g.p.call(ctx, request{method: http.MethodPost, path: "/v1/reads", body: in}, &out)
	for i, a := range pending {
		switch {
		case err != nil:
			a.answer <- readResult{err: readError(err)}
		case i >= len(out.Answers):
			a.answer <- readResult{err: provider.NewError(fault.Retryable, "malformed", "the answer has no entry for this read")}
		default:
			a.answer <- out.Answers[i].result()
		}
	}
}

// readError returns the error of a batch with the class of a failed read: it is a POST, but it changes nothing.
func readError(err error) error {
	e := provider.AsError(err)
	if e == nil || e.Class != fault.Ambiguous {
		return err
	}
	return provider.NewError(fault.Retryable, e.Code, e.Detail)
}

func (a readAnswer) result() readResult {
	if a.Status == 0 {
		return readResult{err: provider.NewError(fault.Retryable, "connection-lost", "this read had no answer")}
	}
	if a.Status < 200 || a.Status > 299 {
		refused := &http.Response{StatusCode: a.Status, Header: http.Header{"Retry-After": {a.RetryAfter}}}
		_, err := refusalError(refused, a.Body, reads)
		return readResult{err: err}
	}
	var got readResult
	if err := json.Unmarshal(a.Body, &got.page); err != nil {
		got.err = provider.NewError(fault.Retryable, "malformed", "the answer cannot be read")
	}
	return got
}
