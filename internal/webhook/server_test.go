package webhook_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/webhook"
)

// secret and olderSecret are signing secrets of 32 bytes.
const (
	secret      = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	olderSecret = "whsec_MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
)

// receiver is an endpoint over TLS that records the requests that it gets.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

// newReceiver starts a receiver. A nil answer answers 204.
func newReceiver(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.requests, r.bodies = append(r.requests, q), append(r.bodies, string(raw))
		r.mu.Unlock()
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

func (r *receiver) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(r.Certificate())
	return pool
}

// sender returns a sender that may reach this machine and trusts the receiver's certificate.
func (r *receiver) sender(t *testing.T, change ...func(*webhook.Config)) *webhook.Sender {
	t.Helper()
	cfg := webhook.Config{Loopback: true, RootCAs: r.pool()}
	for _, c := range change {
		c(&cfg)
	}
	s := webhook.New(cfg)
	t.Cleanup(s.Close)
	return s
}

func message(url string) app.Post {
	return app.Post{
		URL: url, ID: "01900000-0000-7000-8000-000000000001", At: time.Now(),
		Body: []byte(`{"type":"order.created","data":{}}`), Secrets: []string{secret},
	}
}

// newResolver returns a resolver that asks the test's own name server, and the number of its look-ups. The
// server answers with one address after the other, and then always with the last one.
func newResolver(t *testing.T, addresses ...string) (*net.Resolver, *atomic.Int32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var lookups atomic.Int32
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(answerTo(query[:n], func() string {
				return addresses[min(int(lookups.Add(1)), len(addresses))-1]
			}), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}, &lookups
}

// answerTo returns the DNS answer to a query for an IPv4 address, and an empty one to any other query
// (RFC 1035, section 4.1).
func answerTo(query []byte, address func() string) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	answer := append([]byte{}, query[:2]...)
	answer = append(answer, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	answer = append(answer, question...)
	if binary.BigEndian.Uint16(question[len(question)-4:]) != 1 {
		return answer
	}
	answer[7] = 1
	ip := netip.MustParseAddr(address()).As4()
	return append(append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), ip[:]...)
}
