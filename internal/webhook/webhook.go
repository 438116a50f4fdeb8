// Package webhook posts messages to endpoints of customers: signed as Standard Webhooks asks, over TLS,
// to public addresses only. It knows no event, no table and no schedule: it makes one call and says what
// became of it. What a customer's address may make this installation reach is decided here alone.
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

// The bounds of a call (ADR 0018): all of it, the answer that is read, and what is shown of it.
const (
	callTime    = 5 * time.Second
	mostRead    = 64 << 10
	mostExcerpt = 1 << 10
)

// Config of a poster. The zero value is what production has.
type Config struct {
	// Loopback lets addresses of this machine pass, and http to them: for development and tests.
	Loopback bool
	RootCAs  *x509.CertPool // nil: the system's
	Resolver *net.Resolver  // nil: the system's
	Within   time.Duration  // of a whole call; 0: 5 s
}

// WebhookSender posts messages. It may be used by many goroutines.
type WebhookSender struct {
	guard  guard
	client *http.Client
	within time.Duration
}

var _ app.WebhookSender = (*WebhookSender)(nil)

// New makes a poster. Every connection it opens passes the guard with the address that is really
// dialled, so that a name that resolves anew between two looks gains nothing.
func New(c Config) *WebhookSender {
	if c.Within <= 0 {
		c.Within = callTime
	}
	g := guard{loopback: c.Loopback}
	dialer := &net.Dialer{Timeout: c.Within, Resolver: c.Resolver, Control: g.control}
	return &WebhookSender{guard: g, within: c.Within, client: &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
			TLSHandshakeTimeout: c.Within, ResponseHeaderTimeout: c.Within, MaxResponseHeaderBytes: mostRead,
			MaxIdleConnsPerHost: 2, MaxIdleConns: 100, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends idle connections.
func (p *WebhookSender) Close() { p.client.CloseIdleConnections() }

// Post makes one call; see app.WebhookSender.
func (p *WebhookSender) Post(ctx context.Context, m app.Post) app.PostAnswer {
	if p.CheckURL(m.URL) != nil {
		return app.PostAnswer{Result: app.PostNotOpen} // allowed once, by another configuration
	}
	signature, err := signatures(m)
	if err != nil {
		return app.PostAnswer{Result: app.PostNoRoute}
	}
	ctx, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return app.PostAnswer{Result: app.PostNoRoute}
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"platforma-orders-webhooks"},
		headerID: {m.ID}, headerTimestamp: {strconv.FormatInt(m.At.Unix(), 10)}, headerSignature: {signature},
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return app.PostAnswer{Result: resultOf(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	// An answer that breaks off after its status is an answer: the receiver has said whether it took it.
	beginning, _ := io.ReadAll(io.LimitReader(resp.Body, mostRead))
	return app.PostAnswer{
		Result: resultOfStatus(resp.StatusCode), Status: resp.StatusCode, After: retryAfter(resp.Header, m.At),
		Excerpt: excerpt(beginning, m.Secrets),
	}
}

func resultOfStatus(status int) app.PostResult {
	switch {
	case status >= 200 && status <= 299:
		return app.PostTaken
	case status == http.StatusGone:
		return app.PostGone
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return app.PostBusy
	case status >= 300 && status <= 399:
		return app.PostRedirect
	default:
		return app.PostRefused
	}
}

func resultOf(err error) app.PostResult {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, errNotPublic):
		return app.PostNotOpen
	case errors.As(err, &dns) && !dns.IsTimeout:
		return app.PostNoName
	case errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &certificate):
		return app.PostBadTLS
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return app.PostTimeout
	default:
		return app.PostNoRoute
	}
}

// retryAfter is what the receiver asked to wait: seconds or a date (RFC 9110, section 10.2.3); 0 when it
// said nothing that can be read.
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

// excerpt is the beginning of an answer as a person may see it: printable, and without our own secret,
// should the receiver echo it.
func excerpt(answer []byte, secrets []string) string {
	text := string(answer[:min(len(answer), 2*mostExcerpt)])
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
	for len(text) > mostExcerpt {
		text = strings.ToValidUTF8(text[:mostExcerpt], "")
	}
	return text
}
