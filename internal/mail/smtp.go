package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"regexp"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Steps of a mail's way, as SendError names them.
const (
	stepCompose   = "compose"
	stepConnect   = "connect"
	stepTLS       = "start TLS"
	stepLogin     = "log in"
	stepSender    = "name the sender"
	stepRecipient = "name the recipient"
	stepData      = "announce data"
	stepContent   = "send data"
	stepEnd       = "end data"
)

// errNoTLS is the refusal to go on in plaintext.
var errNoTLS = errors.New("the relay offers no TLS")

// SendError is a mail that the relay did not take, or of which we do not know. Its text holds
// neither the recipient nor the relay's own words, since those may repeat the address.
type SendError struct {
	Step     string
	Code     int    // the relay's answer; 0: none came
	Enhanced string // such as "5.1.1" (RFC 3463); "": none
	Class    fault.Class
	reason   string // when no answer came
	timing   error  // context.Canceled or DeadlineExceeded, when that ended it
}

// Error tells step, answer and class.
func (e *SendError) Error() string {
	if e.Code == 0 {
		return fmt.Sprintf("send mail: %s: %s (%s)", e.Step, e.reason, e.Class)
	}
	answer := fmt.Sprint(e.Code)
	if e.Enhanced != "" {
		answer += " " + e.Enhanced
	}
	return fmt.Sprintf("send mail: %s: answered %s (%s)", e.Step, answer, e.Class)
}

// Unwrap gives the context's error when the context ended the attempt.
func (e *SendError) Unwrap() error { return e.timing }

// Classify tells what an error of SendDelivery or SendNotice means:
//
//   - None: no error, the relay took the mail.
//   - Retryable: it did certainly not, and may later (composing, connection, TLS, our login, a 4xx
//     answer).
//   - Invalid: it never will: a 5xx answer to this mail (hard bounce: stop and flag), or input that
//     was refused before anything was sent.
//   - Ambiguous: the content was on its way and no clear answer came. The recipient may have it; a
//     repeat carries the same Message-ID. Errors that are not of this package are Ambiguous too.
func Classify(err error) fault.Class {
	if err == nil {
		return fault.None
	}
	var sent *SendError
	if errors.As(err, &sent) {
		return sent.Class
	}
	if f := fault.Of(err); f != nil && f.Kind == fault.KindInvalid {
		return fault.Invalid
	}
	return fault.Ambiguous
}

// classOf places an outcome: code is 0 when no answer came.
func classOf(step string, code int) fault.Class {
	switch {
	case step == stepConnect || step == stepTLS || step == stepLogin:
		return fault.Retryable // a 5xx here is about us, not about this mail
	case code == 530 || code == 534 || code == 535 || code == 538:
		return fault.Retryable // RFC 4954, section 6: our login again
	case code >= 500 && code <= 599:
		return fault.Invalid
	case code >= 400 && code <= 499:
		return fault.Retryable
	case step == stepContent || step == stepEnd:
		return fault.Ambiguous
	}
	return fault.Retryable // the connection broke before any content
}

// relay is the one server all mails go to. It stands on net/smtp: what an outcome means depends on
// the step and on whether an answer came, and go-mail 0.8.1 tells neither without the recipient's
// address (nor does it close the multipart/encrypted it writes, or a connection whose STARTTLS failed).
type relay struct {
	addr, host, helo   string
	implicitTLS        bool
	roots              *x509.CertPool
	timeout            time.Duration
	username, password string
}

// transmit hands one message to the relay; nil once the relay has taken it. The connection does not
// outlive the call, nor ctx.
func (r relay) transmit(ctx context.Context, from, to string, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	conn, err := r.dial(ctx)
	if err != nil {
		return failed(ctx, stepConnect, err)
	}
	defer func() { _ = conn.Close() }() // after QUIT, or on a failure told already
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	client, err := smtp.NewClient(conn, r.host)
	if err != nil {
		return failed(ctx, stepConnect, err)
	}
	if err := client.Hello(r.helo); err != nil {
		return failed(ctx, stepConnect, err)
	}
	if err := r.secure(client); err != nil {
		return failed(ctx, stepTLS, err)
	}
	if r.username != "" {
		if err := client.Auth(smtp.PlainAuth("", r.username, r.password, r.host)); err != nil {
			return failed(ctx, stepLogin, err)
		}
	}
	if err := client.Mail(from); err != nil {
		return failed(ctx, stepSender, err)
	}
	if err := client.Rcpt(to); err != nil {
		return failed(ctx, stepRecipient, err)
	}
	data, err := client.Data()
	if err != nil {
		return failed(ctx, stepData, err)
	}
	if _, err := data.Write(message); err != nil {
		return failed(ctx, stepContent, err)
	}
	if err := data.Close(); err != nil {
		return failed(ctx, stepEnd, err)
	}
	_ = client.Quit() // the mail is taken: what QUIT answers changes nothing
	return nil
}

func (r relay) dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	if r.implicitTLS {
		return (&tls.Dialer{NetDialer: &dialer, Config: r.tlsConfig()}).DialContext(ctx, "tcp", r.addr)
	}
	return dialer.DialContext(ctx, "tcp", r.addr)
}

func (r relay) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: r.host, RootCAs: r.roots, MinVersion: tls.VersionTLS12}
}

// secure leaves a client that speaks TLS, or an error.
func (r relay) secure(client *smtp.Client) error {
	if !r.implicitTLS {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return errNoTLS
		}
		if err := client.StartTLS(r.tlsConfig()); err != nil {
			return err
		}
	}
	if state, ok := client.TLSConnectionState(); !ok || !state.HandshakeComplete {
		return errNoTLS
	}
	return nil
}

// uncomposed is a mail that could not be made, through no fault of its input (which is a fault.Error
// and stays one): nothing was sent.
func uncomposed(err error) error {
	if fault.Of(err) != nil {
		return err
	}
	return &SendError{Step: stepCompose, Class: fault.Retryable, reason: err.Error()}
}

// failed turns an error of a step into what may be shown and acted upon.
func failed(ctx context.Context, step string, err error) error {
	e := &SendError{Step: step, timing: ctx.Err()}
	var answer *textproto.Error
	if errors.As(err, &answer) {
		e.Code, e.Enhanced = answer.Code, enhancedCode(answer.Msg)
	} else {
		e.reason = reason(ctx, err)
	}
	e.Class = classOf(step, e.Code)
	return e
}

// reason words an error in which no answer came, without what the relay said and without endpoints.
func reason(ctx context.Context, err error) string {
	var protocol textproto.ProtocolError
	var network *net.OpError
	var timeout net.Error
	switch {
	case ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time, or given up"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	case errors.As(err, &protocol):
		return "an answer that is not SMTP"
	case errors.As(err, &network):
		return network.Err.Error()
	}
	return err.Error()
}

// enhancedCode reads the status code an answer may start with (RFC 2034).
func enhancedCode(text string) string {
	return regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`).FindString(text)
}
