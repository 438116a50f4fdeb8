// Package mail sends what the module has to say to a person: the delivery of a service, its
// credentials encrypted with OpenPGP (D21), and notices such as a payment receipt, which it is given
// ready to read. TLS to the relay is mandatory: where it is refused nothing is sent. The package knows
// no order states, no database and no retry rule; Classify tells the caller what a failure means.
// Nothing it returns as an error holds a credential, a passphrase or a customer's address.
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

// defaultTimeout bounds one mail from dial to answer: a relay may think for a while about the end
// of data, and the worker's lease is longer than this.
const defaultTimeout = 30 * time.Second

// maxSecret bounds a credentials document: the largest known is a kubeconfig of about 10 KiB.
const maxSecret = 1 << 20

// minPassphrase is the length of a passphrase below which 128 bits cannot be in it (26 characters of
// base32). It catches an empty or hand-made one, not a weak one.
const minPassphrase = 26

// Config says which relay is used and as whom.
type Config struct {
	Addr    string         // host:port of the relay; port 465 speaks TLS at once (RFC 8314), any other must offer STARTTLS
	From    string         // the one sender, an address without a name; its domain stands in Message-ID and EHLO
	RootCAs *x509.CertPool // nil: the system's
	Timeout time.Duration  // for one mail in all; 0: 30 s

	Username string // "": no login
	Password string // sent inside TLS only

	// SigningKey is an OpenPGP private key without a passphrase, armored or binary. With it every
	// delivery is signed inside its encryption; nil: unsigned.
	SigningKey []byte
}

// Format prints the relay and the sender, never the password or the key.
func (c Config) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "{relay %s from %s}", c.Addr, c.From)
}

// LogValue prints as Format does.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Sender sends mails, each over a connection of its own. Safe for concurrent use.
type Sender struct {
	relay  relay
	from   string
	domain string      // of from
	signer *crypto.Key // nil: unsigned
}

// NewSender checks the configuration; it does not connect.
func NewSender(c Config) (*Sender, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("mail relay %q is not of the form host:port", c.Addr)
	}
	if err := CheckAddress(c.From); err != nil {
		return nil, fmt.Errorf("sender of mails: %w", err)
	}
	if c.Timeout < 0 || (c.Username == "") != (c.Password == "") {
		return nil, errors.New("mail relay: the timeout is negative, or of user name and password only one is given")
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

// DeliveryMail is one delivered item on its way to its customer. It prints as [redacted].
type DeliveryMail struct {
	To        string    // exactly one address, on file for this customer
	MessageID string    // the left side of the Message-ID: the same for every repeat of one delivery attempt group
	At        time.Time // the Date header, and the time at which keys must be valid

	PublicKey  []byte // the recipient's, armored or binary; nil: Passphrase is used
	Passphrase string // of NewPassphrase; never part of the mail
	Secret     []byte // JSON document of the credentials, carried as it is

	Language    notice.Language
	Brand       string // the provider's name as the customer knows it
	OrderNumber string // with a public key inside the encryption only
	Line        int    // of the item in its order, as OrderNumber
	Title       string // of the product, as OrderNumber
	Service     string // what was delivered, in the customer's words, which may name a host; inside the encryption only
	PortalURL   string // where the passphrase is shown; "": not told
	Simulated   bool   // the service lives in a simulated region, and the mail says so
}

// Format prints [redacted] for every use case.
func (DeliveryMail) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// LogValue prints [redacted].
func (DeliveryMail) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText prints [redacted], so that JSON does.
func (DeliveryMail) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Notice is a mail in the clear: it may hold nothing that gives access to anything.
type Notice struct {
	To        string
	MessageID string
	At        time.Time
	Brand     string
	notice.Mail
}

// SendDelivery encrypts and sends one delivery: to the public key as PGP/MIME (RFC 3156), the whole body and
// the subject that tells inside, or without a key as a plain explanation with one password-encrypted
// attachment, under a subject that tells product, order and item. nil means that the relay took
// responsibility for it; for the other outcomes see Classify. A repeat with the same MessageID can be
// recognised by the recipient's server; its ciphertext is new.
func (s *Sender) SendDelivery(ctx context.Context, m DeliveryMail) error {
	if err := m.check(); err != nil {
		return err
	}
	h := headers{
		from: s.from, brand: m.Brand, to: m.To, messageID: m.MessageID + "@" + s.domain, at: m.At, subject: outsideSubject(m),
	}
	var body entity
	var err error
	if len(m.PublicKey) > 0 {
		body, err = s.encryptedToKey(h, m)
	} else {
		body, err = s.encryptedToPassphrase(m)
	}
	if err != nil {
		return uncomposed(err)
	}
	return s.send(ctx, h, body)
}

// SendNotice sends a mail as plain text and as HTML, of which a program shows one. Errors as of
// SendDelivery.
func (s *Sender) SendNotice(ctx context.Context, n Notice) error {
	if err := n.check(); err != nil {
		return err
	}
	h := headers{
		from: s.from, brand: n.Brand, to: n.To, messageID: n.MessageID + "@" + s.domain, at: n.At, subject: n.Subject,
	}
	body, err := alternativeEntity(strings.TrimRight(n.Text, "\n")+"\n"+signature(n.Brand), n.HTML)
	if err != nil {
		return uncomposed(err)
	}
	return s.send(ctx, h, body)
}

func (s *Sender) send(ctx context.Context, h headers, body entity) error {
	return s.relay.transmit(ctx, s.from, h.to, append(h.render(), body.render()...))
}

// encryptedToKey is RFC 3156, section 4.
func (s *Sender) encryptedToKey(h headers, m DeliveryMail) (entity, error) {
	key, _, err := readPublicKey(m.PublicKey, m.At)
	if err != nil {
		return entity{}, err
	}
	inside := h
	inside.subject = insideSubject(m)
	sealed, err := s.encrypt(protected(inside, deliveryText(m)), m.At, recipientKey(key))
	if err != nil {
		return entity{}, err
	}
	return encryptedEntity(sealed)
}

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
	return violated(v)
}

func (n Notice) check() error {
	v := checkEnvelope(n.To, n.MessageID, n.At)
	v = append(v, checkLine("/brand", n.Brand, 80)...)
	v = append(v, checkLine("/subject", n.Subject, 500)...)
	v = append(v, checkText("/text", n.Text)...)
	v = append(v, checkText("/html", n.HTML)...)
	if n.Subject == "" || n.Text == "" || n.HTML == "" {
		v = append(v, violation("", "empty", "A notice has a subject, and its text twice."))
	}
	return violated(v)
}

func violated(v []fault.Violation) error {
	if len(v) == 0 {
		return nil
	}
	return fault.Violated(v)
}
