// Package webhook posts messages to the endpoints of customers: signed by Standard Webhooks, over TLS, and to
// public addresses only. It knows no event, no table and no schedule: it makes one call and returns its
// result. It alone decides which addresses a customer can make this installation call.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/platforma-cloud/orders/internal/app"
)

// The limits of a call (ADR 0018).
const (
	callTimeout = 5 * time.Second
	maxRead     = 64 << 10 // bytes of the answer that are read
	maxExcerpt  = 1 << 10  // bytes of the answer that are kept
)

// Config configures a Sender. Production uses the zero value.
type Config struct {
	// Loopback allows addresses of this machine, also by http, for development and tests.
	Loopback bool
	RootCAs  *x509.CertPool // nil: the system's
	Resolver *net.Resolver  // nil: the system's
	Timeout  time.Duration  // for a whole call; 0: 5 s
}

// Sender posts messages to endpoints. It is safe for concurrent use.
type Sender struct {
	policy  addressPolicy
	client  *http.Client
	timeout time.Duration
}

var _ app.WebhookSender = (*Sender)(nil)

// New returns a sender. Each connection is checked with the address that is really dialled, so a host name
// that resolves to another address after a check gains nothing. Redirects are not followed, and no proxy is
// used.
func New(c Config) *Sender {
	if c.Timeout <= 0 {
		c.Timeout = callTimeout
	}
	policy := addressPolicy{loopback: c.Loopback}
	dialer := &net.Dialer{Timeout: c.Timeout, Resolver: c.Resolver, Control: policy.control}
	return &Sender{policy: policy, timeout: c.Timeout, client: &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
			TLSHandshakeTimeout: c.Timeout, ResponseHeaderTimeout: c.Timeout, MaxResponseHeaderBytes: maxRead,
			MaxIdleConnsPerHost: 2, MaxIdleConns: 100, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes idle connections.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// Post makes one call; see app.WebhookSender.
func (s *Sender) Post(ctx context.Context, m app.Post) app.PostAnswer {
	if s.CheckURL(m.URL) != nil {
		return app.PostAnswer{Result: app.CallForbiddenAddress} // another configuration may have allowed the address
	}
	signature, err := signatures(m)
	if err != nil {
		return app.PostAnswer{Result: app.CallUnreachable}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return app.PostAnswer{Result: app.CallUnreachable}
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"platforma-orders-webhooks"},
		headerID: {m.ID}, headerTimestamp: {strconv.FormatInt(m.At.Unix(), 10)}, headerSignature: {signature},
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return app.PostAnswer{Result: errorResult(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	// An answer whose body is cut off still counts: its status says whether the receiver took the message.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRead))
	return app.PostAnswer{
		Result: statusResult(resp.StatusCode), Status: resp.StatusCode, After: retryAfter(resp.Header, m.At),
		Excerpt: excerpt(body, m.Secrets),
	}
}

// statusResult returns what an HTTP status means for the delivery.
func statusResult(status int) app.CallResult {
	switch {
	case status >= 200 && status <= 299:
		return app.CallAccepted
	case status == http.StatusGone:
		return app.CallGone
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return app.CallBusy
	case status >= 300 && status <= 399:
		return app.CallRedirected
	default:
		return app.CallRefused
	}
}

// errorResult returns what an error means that came before any answer.
func errorResult(err error) app.CallResult {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, errNotPublic):
		return app.CallForbiddenAddress
	case errors.As(err, &dns) && !dns.IsTimeout:
		return app.CallNameNotFound
	case errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &certificate):
		return app.CallBadTLS
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return app.CallTimedOut
	default:
		return app.CallUnreachable
	}
}

// retryAfter returns how long the receiver asks to wait, given in seconds or as a date (RFC 9110, section
// 10.2.3). It returns 0 when the header is missing or cannot be read.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if s, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// excerpt returns the beginning of an answer for people to read: only printable characters, and without the
// signing secrets, which a receiver might echo.
func excerpt(answer []byte, secrets []string) string {
	text := string(answer[:min(len(answer), 2*maxExcerpt)])
	for _, s := range secrets {
		text = strings.ReplaceAll(text, strings.TrimPrefix(s, secretPrefix), "[redacted]")
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	for len(text) > maxExcerpt {
		text = strings.ToValidUTF8(text[:maxExcerpt], "")
	}
	return text
}
