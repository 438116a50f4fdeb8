// Package mail sends mails to people: the delivery of a service, with its credentials encrypted by OpenPGP
// (D21), and notices such as a payment receipt, whose texts the caller provides. TLS to the relay is
// mandatory: without it nothing is sent. The package knows no order states, no database and no retry rule;
// Classify returns what a failure means. Its errors never hold a credential, a passphrase or a customer's
// address.
package mail

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/ProtonMail/gopenpgp/v3/crypto"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/notice"
)

// defaultTimeout is the longest that one mail may take, from dial to answer. A relay may need some time at the
// end of the data. The worker's lease is longer than this.
const defaultTimeout = 30 * time.Second

// maxSecret is the largest credentials document in bytes. The largest known one is a kubeconfig of about
// 10 KiB.
const maxSecret = 1 << 20

// minPassphrase is the least length of a passphrase: shorter ones cannot hold 128 bits (26 characters of
// base32). The check finds an empty or hand-made passphrase, not a weak one.
const minPassphrase = 26

// Config configures a Sender: the relay that it uses and the sender's address.
type Config struct {
	Addr    string         // host:port of the relay; port 465 speaks TLS at once (RFC 8314), any other must offer STARTTLS
	From    string         // the sender's address, without a name; its domain is used in Message-ID and EHLO
	RootCAs *x509.CertPool // nil: the system's
	Timeout time.Duration  // for one whole mail; 0: 30 s

	Username string // "": no login
	Password string // sent only inside TLS

	// SigningKey is an OpenPGP private key without a passphrase, armored or binary. It signs every delivery
	// inside its encryption; nil: deliveries are not signed.
	SigningKey []byte
}

// Format prints the relay and the sender, never the password or the key.
func (c Config) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "{relay %s from %s}", c.Addr, c.From)
}

// LogValue prints as Format does.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Sender sends mails, each over its own connection. It is safe for concurrent use.
type Sender struct {
	relay  relay
	from   string
	domain string      // of from
	signer *crypto.Key // nil: deliveries are not signed
}

// NewSender checks the configuration and returns a sender. It does not connect to the relay.
func NewSender(c Config) (*Sender, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("mail relay %q is not of the form host:port", c.Addr)
	}
	if err := CheckAddress(c.From); err != nil {
		return nil, fmt.Errorf("sender of mails: %w", err)
	}
	if c.Timeout < 0 || (c.Username == "") != (c.Password == "") {
		return nil, errors.New("mail relay: the timeout is negative, or only one of user name and password is given")
	}
	s := &Sender{from: c.From, domain: c.From[strings.LastIndexByte(c.From, '@')+1:]}
	s.relay = relay{
		addr: c.Addr, host: host, implicitTLS: port == "465", helo: s.domain, roots: c.RootCAs, timeout: c.Timeout,
		username: c.Username, password: c.Password,
	}
	if s.relay.timeout == 0 {
		s.relay.timeout = defaultTimeout
	}
	if len(c.SigningKey) == 0 {
		return s, nil
	}
	if s.signer, err = readSigningKey(c.SigningKey); err != nil {
		return nil, err
	}
	return s, nil
}

// DeliveryMail is the mail that delivers the credentials of one item. It prints as [redacted].
type DeliveryMail struct {
	To        string    // exactly one address, which is stored for this customer
	MessageID string    // the left side of the Message-ID: the same each time that one delivery is sent
	At        time.Time // the Date header, and the time at which keys must be valid

	PublicKey  []byte // the recipient's, armored or binary; nil: Passphrase is used
	Passphrase string // from NewPassphrase; never part of the mail
	Secret     []byte // JSON document of the credentials, carried unchanged

	Language notice.Language
	Brand    string // the provider's name as the customer knows it
	// OrderNumber, Line (of the item in its order) and Title (of the product) are only inside the encryption
	// when there is a public key.
	OrderNumber string
	Line        int
	Title       string
	// Service is what was delivered, in the customer's words, which may name a host. It is only ever inside the
	// encryption.
	Service   string
	PortalURL string // where the passphrase is shown; "": the mail does not say
	Simulated bool   // the service is in a simulated region, and the mail says so
}

// Format prints [redacted] whatever the formatting directive.
func (DeliveryMail) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// LogValue prints [redacted].
func (DeliveryMail) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText prints [redacted], so that JSON does.
func (DeliveryMail) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Notice is a mail without encryption: it must not hold anything that gives access to a service.
type Notice struct {
	To        string
	MessageID string
	At        time.Time
	Brand     string
	notice.Mail
}

// SendDelivery encrypts and sends one delivery. With a public key it is PGP/MIME (RFC 3156), with the whole
// body and the detailed subject inside the encryption. Without a key it is a plain explanation with one
// password-encrypted attachment, and its subject names product, order and item. Nil means that the relay has
// accepted the mail; Classify explains errors. The recipient's server can recognise a repeat by its MessageID;
// its ciphertext is new.
func (s *Sender) SendDelivery(ctx context.Context, m DeliveryMail) error {
	if err := m.check(); err != nil {
		return err
	}
	h := headers{
		from: s.from, brand: m.Brand, to: m.To, messageID: m.MessageID + "@" + s.domain, at: m.At,
		subject: outsideSubject(m),
	}
	var body entity
	var err error
	if len(m.PublicKey) > 0 {
		body, err = s.encryptedToKey(h, m)
	} else {
		body, err = s.encryptedToPassphrase(m)
	}
	if err != nil {
		return composeError(err)
	}
	return s.send(ctx, h, body)
}

// SendNotice sends a mail as plain text and as HTML; the recipient's program shows one of them. Its errors are
// those of SendDelivery.
func (s *Sender) SendNotice(ctx context.Context, n Notice) error {
	if err := n.check(); err != nil {
		return err
	}
	h := headers{
		from: s.from, brand: n.Brand, to: n.To, messageID: n.MessageID + "@" + s.domain, at: n.At, subject: n.Subject,
	}
	body, err := alternativeEntity(strings.TrimRight(n.Text, "\n")+"\n"+signature(n.Brand), n.HTML)
	if err != nil {
		return composeError(err)
	}
	return s.send(ctx, h, body)
}

func (s *Sender) send(ctx context.Context, h headers, body entity) error {
	return s.relay.transmit(ctx, s.from, h.to, append(h.render(), body.render()...))
}

// encryptedToKey returns the body of a delivery to a public key (RFC 3156, section 4).
func (s *Sender) encryptedToKey(h headers, m DeliveryMail) (entity, error) {
	key, _, err := readPublicKey(m.PublicKey, m.At)
	if err != nil {
		return entity{}, err
	}
	inside := h
	inside.subject = insideSubject(m)
	sealed, err := s.encrypt(protectedEntity(inside, deliveryText(m)), m.At, recipientKey(key))
	if err != nil {
		return entity{}, err
	}
	return encryptedEntity(sealed)
}

// encryptedToPassphrase returns the body of a delivery with a password-encrypted attachment.
func (s *Sender) encryptedToPassphrase(m DeliveryMail) (entity, error) {
	sealed, err := s.encrypt([]byte(deliveryText(m)), m.At, recipientPassphrase(m.Passphrase))
	if err != nil {
		return entity{}, err
	}
	return attachmentEntity(instructions(m), sealed)
}

func (m DeliveryMail) check() error {
	v := checkEnvelope(m.To, m.MessageID, m.At)
	v = append(v, checkLine("/brand", m.Brand, 80)...)
	v = append(v, checkLine("/order_number", m.OrderNumber, 80)...)
	v = append(v, checkLine("/title", m.Title, 200)...)
	v = append(v, checkLine("/service", m.Service, 500)...)
	v = append(v, checkLine("/portal_url", m.PortalURL, 500)...)
	if len(m.Secret) == 0 || len(m.Secret) > maxSecret {
		v = append(v, violation("/secret", "secret-size", "A delivery carries between 1 byte and 1 MiB of credentials."))
	}
	if len(m.PublicKey) == 0 && len(m.Passphrase) < minPassphrase {
		v = append(v, violation("/passphrase", "passphrase-short",
			"A delivery needs the recipient's public key or a passphrase of 128 bits."))
	}
	return violationsError(v)
}

func (n Notice) check() error {
	v := checkEnvelope(n.To, n.MessageID, n.At)
	v = append(v, checkLine("/brand", n.Brand, 80)...)
	v = append(v, checkLine("/subject", n.Subject, 500)...)
	v = append(v, checkText("/text", n.Text)...)
	v = append(v, checkText("/html", n.HTML)...)
	if n.Subject == "" || n.Text == "" || n.HTML == "" {
		v = append(v, violation("", "empty", "A notice needs a subject, a plain text and an HTML text."))
	}
	return violationsError(v)
}

// violationsError returns a fault with the violations, or nil when there are none.
func violationsError(v []fault.Violation) error {
	if len(v) == 0 {
		return nil
	}
	return fault.Violated(v)
}
