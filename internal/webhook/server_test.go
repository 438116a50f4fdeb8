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

// secret and olderSecret are whsec_ and 32 bytes.
const (
	secret      = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	olderSecret = "whsec_MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
)

// receiver is a server that keeps what it is sent.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []*http.Request
	body []string
}

// receive starts one over TLS; answer may be nil for a 204.
func receive(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.got, r.body = append(r.got, q), append(r.body, string(raw))
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

func (r *receiver) heard() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func (r *receiver) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(r.Certificate())
	return pool
}

// poster may reach this machine and trusts the receiver.
func (r *receiver) webhookSender(t *testing.T, change ...func(*webhook.Config)) *webhook.WebhookSender {
	t.Helper()
	cfg := webhook.Config{Loopback: true, RootCAs: r.pool()}
	for _, c := range change {
		c(&cfg)
	}
	p := webhook.New(cfg)
	t.Cleanup(p.Close)
	return p
}

func message(url string) app.Post {
	return app.Post{
		URL: url, ID: "01900000-0000-7000-8000-000000000001", At: time.Now(),
		Body: []byte(`{"type":"order.created","data":{}}`), Secrets: []string{secret},
	}
}

// resolver asks a name server of the test's own, which gives one address after the other, the last one
// for ever after; it tells how often it was asked.
func resolver(t *testing.T, addresses ...string) (*net.Resolver, *atomic.Int32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var asked atomic.Int32
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(answerTo(query[:n], func() string {
				return addresses[min(int(asked.Add(1)), len(addresses))-1]
			}), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}, &asked
}

// answerTo is the answer to a query for an IPv4 address, or an empty one (RFC 1035, section 4.1).
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
