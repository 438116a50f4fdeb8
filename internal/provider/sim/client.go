package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

// effect says whether a request may change something, which decides the class of an unclear answer.
type effect uint8

const (
	reads effect = iota
	mutates
)

func effectOf(method string) effect {
	if method == http.MethodGet {
		return reads
	}
	return mutates
}

// unclear returns the class of an answer from which the outcome is not known: Ambiguous if something may have
// changed.
func unclear(e effect) fault.Class {
	if e == mutates {
		return fault.Ambiguous
	}
	return fault.Retryable
}

// classOf returns the class of one of the API's codes. An unknown code is unclear.
func classOf(code string, e effect) fault.Class {
	switch code {
	case codeInvalid, codeReference, codeNameTaken:
		return fault.Invalid
	case codeUnauthorized:
		return fault.Suspended
	case codeForbidden:
		return fault.Forbidden
	case codeQuota:
		return fault.Quota
	case codeNotFound:
		return fault.NotFound
	case codeNoCapacity, codeNoValidHost:
		return fault.Capacity
	case codeProtected:
		return fault.Protected
	case codePendingSecret:
		return fault.Pending
	case codeMaintenance, codeLocked, codeInUse, codeNotReady, codeDeleting, codeBuildFailed, codeDeleteFailed:
		return fault.Retryable
	case codeRateLimited: // with Retry-After: RateLimited, see refusalError
		return fault.Retryable
	}
	return unclear(e)
}

type request struct {
	method, path string
	query        url.Values
	body         any
}

// call sends one request and reads its answer into out, unless out is nil. It returns a refusal both decoded and
// as an error. Every error has a *provider.Error in its chain, except when the context ended before anything was
// sent.
func (p *Provider) call(ctx context.Context, q request, out any) (*wireError, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s %s: not sent: %w", q.method, q.path, err)
	}
	e := effectOf(q.method)
	r, err := p.newRequest(ctx, q)
	if err != nil {
		return nil, err
	}
	answer, err := p.http.Do(r)
	if err != nil {
		return nil, unanswered(err, e)
	}
	defer func() { _ = answer.Body.Close() }() // it was read to the end
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return nil, unanswered(err, e)
	}
	if len(text) > maxBody {
		return nil, provider.NewError(unclear(e), "malformed", "the answer is larger than 1 MiB")
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		refused, err := refusalError(answer, text, e)
		return refused, err
	}
	if out == nil {
		return nil, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, provider.NewError(unclear(e), "malformed", "the answer cannot be read")
	}
	return nil, nil
}

func (p *Provider) newRequest(ctx context.Context, q request) (*http.Request, error) {
	var body io.Reader
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return nil, provider.NewError(fault.Invalid, codeInvalid, "the request cannot be written")
		}
		body = bytes.NewReader(text)
	}
	target := p.base + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, target, body)
	if err != nil {
		return nil, provider.NewError(fault.Invalid, codeInvalid, "the request cannot be made")
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// unanswered classifies a failed connection. Only if the connection could not be opened, it is certain that
// nothing happened.
func unanswered(err error, e effect) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return provider.NewError(fault.Retryable, "unreachable", "the connection could not be opened")
	}
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return provider.NewError(unclear(e), "timeout", "no answer in time")
	}
	return provider.NewError(unclear(e), "connection-lost", "the connection ended before the answer did")
}

// refusalError reads a refusal. Its class follows from the code, never from the text.
func refusalError(answer *http.Response, text []byte, e effect) (*wireError, error) {
	var body errorBody
	if err := json.Unmarshal(text, &body); err != nil || body.Error.Code == "" {
		return nil, provider.NewError(unclear(e), "http-"+strconv.Itoa(answer.StatusCode),
			"an answer without a readable code")
	}
	out := provider.NewError(classOf(body.Error.Code, e), body.Error.Code, body.Error.Detail)
	if body.Error.Code == codeRateLimited {
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds >= 0 {
			out.Class, out.After = fault.RateLimited, time.Duration(seconds)*time.Second
		}
	}
	return &body.Error, out
}
