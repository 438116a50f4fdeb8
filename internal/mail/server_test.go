package mail_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	ours "github.com/platforma-cloud/orders/internal/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sentAt is the time of every mail in the tests. Keys that the tests make are valid then.
var sentAt = time.Now().UTC().Truncate(time.Second)

// receivedMail is one mail as the relay received it.
type receivedMail struct {
	from string
	to   []string
	raw  string
	tls  bool
}

// relay is a real SMTP server. Its faults are set before it starts.
type relay struct {
	mailErr, rcptErr, dataErr error
	loseAnswer                bool // reads the whole mail, then closes the connection
	cutInData                 bool // closes the connection in the middle of the mail
	hang                      bool // accepts the mail and never answers
	noTLS                     bool
	user, password            string

	addr  string
	roots *x509.CertPool

	mu    sync.Mutex
	mails []receivedMail // guarded by mu
	end   chan struct{}  // closed at the end of the test; releases sessions that hang
}

func (r *relay) start(t *testing.T) *relay {
	t.Helper()
	certificate, roots := selfSigned(t)
	r.roots, r.end = roots, make(chan struct{})
	server := smtp.NewServer(r)
	server.Domain = "relay.test"
	server.MaxLineLength = 2000
	server.EnableSMTPUTF8 = true
	if !r.noTLS {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	server.ErrorLog = discardLog{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = listener.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() {
		close(r.end)
		_ = server.Close()
		_ = listener.Close() // a server that is closed at once does not know its listener yet
		<-done
	})
	return r
}

type discardLog struct{}

func (discardLog) Printf(string, ...any) {}
func (discardLog) Println(...any)        {}

func (r *relay) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{relay: r, conn: c}, nil
}

func (r *relay) received() []receivedMail {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]receivedMail(nil), r.mails...)
}

// onlyMail returns the one mail that arrived.
func (r *relay) onlyMail(t *testing.T) receivedMail {
	t.Helper()
	all := r.received()
	if len(all) != 1 {
		t.Fatalf("%d mails arrived, want 1", len(all))
	}
	return all[0]
}

type session struct {
	relay *relay
	conn  *smtp.Conn
	mail  receivedMail
}

func (s *session) AuthMechanisms() []string {
	if s.relay.user == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.relay.user || password != s.relay.password {
			return &smtp.SMTPError{Code: 535, Message: "no such login " + user}
		}
		return nil
	}), nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	_, s.mail.tls = s.conn.TLSConnectionState()
	s.mail.from = from
	return s.relay.mailErr
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = append(s.mail.to, to)
	return s.relay.rcptErr
}

func (s *session) Data(r io.Reader) error {
	if s.relay.cutInData {
		_, _ = io.ReadFull(r, make([]byte, 100))
		_ = s.conn.Conn().Close()
		return errors.New("cut")
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.relay.dataErr != nil {
		return s.relay.dataErr
	}
	s.mail.raw = string(raw)
	s.relay.mu.Lock()
	s.relay.mails = append(s.relay.mails, s.mail)
	s.relay.mu.Unlock()
	if s.relay.loseAnswer {
		_ = s.conn.Conn().Close()
	}
	if s.relay.hang {
		<-s.relay.end
	}
	return nil
}

// selfSigned returns a certificate for 127.0.0.1 and a pool that trusts only this certificate.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

const (
	sender     = "no-reply@platforma.test"
	recipient  = "ana.novak@customer.test"
	canary     = "canary-Zq7mail"
	secretJSON = `{"host":"203.0.113.9","login":{"user":"root","password":"` + canary + `"},"ports":[22,443]}`
	passphrase = "babad-lusab-gutih-tobog-mudof-sakat-nivin-zuzuz"
)

func (r *relay) sender(t *testing.T) *ours.Sender {
	t.Helper()
	s, err := ours.NewSender(ours.Config{
		Addr: r.addr, From: sender, RootCAs: r.roots, Timeout: 10 * time.Second, Username: r.user, Password: r.password,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func delivery() ours.DeliveryMail {
	return ours.DeliveryMail{
		To: recipient, MessageID: "delivery.0198-1", At: sentAt, Passphrase: passphrase, Secret: []byte(secretJSON),
		Brand: "Platforma", OrderNumber: "ORD-7K3M9QWT", Line: 2, Title: "Virtual server",
		Service: "web-1.example.net (Virtual server)", PortalURL: "https://portal.platforma.test/orders/ORD-7K3M9QWT",
	}
}

// parse reads a raw mail with the standard library.
func parse(t *testing.T, raw string) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("mail is unreadable: %v\n%s", err, raw)
	}
	return m
}
