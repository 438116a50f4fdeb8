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

// The steps of sending a mail, as SendError names them.
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

// errNoTLS is returned instead of going on in plaintext.
var errNoTLS = errors.New("the relay offers no TLS")

// SendError is returned for a mail that the relay did not accept or may not have accepted. Its text holds
// neither the recipient nor the relay's own words, because those may repeat the address.
type SendError struct {
	Step     string
	Code     int    // the relay's answer; 0: no answer came
	Enhanced string // such as "5.1.1" (RFC 3463); "": none
	Class    fault.Class
	reason   string // when no answer came
	timing   error  // context.Canceled or DeadlineExceeded, when that ended it
}

// Error returns the step, the relay's answer and the class.
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

// Unwrap returns the context's error when the context ended the attempt.
func (e *SendError) Unwrap() error { return e.timing }

// Classify returns what an error of SendDelivery or SendNotice means:
//
//   - None: there is no error; the relay accepted the mail.
//   - Retryable: the relay certainly did not accept the mail, but may do so later (composing, connection, TLS,
//     our login, a 4xx answer).
//   - Invalid: the relay will never accept the mail. It gave a 5xx answer to this mail (a hard bounce: stop and
//     flag it), or the input was refused before anything was sent.
//   - Ambiguous: the content was being sent and no clear answer came. The recipient may have the mail; a repeat
//     carries the same Message-ID. Errors that are not from this package are Ambiguous too.
func Classify(err error) fault.Class {
	if err == nil {
		return fault.None
	}
	var sendErr *SendError
	if errors.As(err, &sendErr) {
		return sendErr.Class
	}
	if f := fault.Of(err); f != nil && f.Kind == fault.KindInvalid {
		return fault.Invalid
	}
	return fault.Ambiguous
}

// classOf returns the class of an outcome. Code is 0 when no answer came.
func classOf(step string, code int) fault.Class {
	switch {
	case step == stepConnect || step == stepTLS || step == stepLogin:
		return fault.Retryable // a 5xx here is about us, not about this mail
	case code == 530 || code == 534 || code == 535 || code == 538:
		return fault.Retryable // RFC 4954, section 6: about our login too
	case code >= 500 && code <= 599:
		return fault.Invalid
	case code >= 400 && code <= 499:
		return fault.Retryable
	case step == stepContent || step == stepEnd:
		return fault.Ambiguous
	}
	return fault.Retryable // the connection broke before any content
}

// relay is the server that all mails go to. It uses net/smtp: what an outcome means depends on the step and on
// whether an answer came, and the errors of go-mail 0.8.1 do not report these without the recipient's address.
// go-mail also does not close the multipart/encrypted that it writes, or a connection whose STARTTLS failed
// (ADR 0016).
type relay struct {
	addr, host, helo   string
	implicitTLS        bool
	roots              *x509.CertPool
	timeout            time.Duration
	username, password string
}

// transmit sends one message to the relay and returns nil once the relay has accepted it. The connection is
// closed when the call or ctx ends.
func (r relay) transmit(ctx context.Context, from, to string, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	conn, err := r.dial(ctx)
	if err != nil {
		return stepError(ctx, stepConnect, err)
	}
	defer func() { _ = conn.Close() }() // after QUIT, or after an error that is returned already
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	client, err := smtp.NewClient(conn, r.host)
	if err != nil {
		return stepError(ctx, stepConnect, err)
	}
	if err := client.Hello(r.helo); err != nil {
		return stepError(ctx, stepConnect, err)
	}
	if err := r.secure(client); err != nil {
		return stepError(ctx, stepTLS, err)
	}
	if r.username != "" {
		if err := client.Auth(smtp.PlainAuth("", r.username, r.password, r.host)); err != nil {
			return stepError(ctx, stepLogin, err)
		}
	}
	if err := client.Mail(from); err != nil {
		return stepError(ctx, stepSender, err)
	}
	if err := client.Rcpt(to); err != nil {
		return stepError(ctx, stepRecipient, err)
	}
	data, err := client.Data()
	if err != nil {
		return stepError(ctx, stepData, err)
	}
	if _, err := data.Write(message); err != nil {
		return stepError(ctx, stepContent, err)
	}
	if err := data.Close(); err != nil {
		return stepError(ctx, stepEnd, err)
	}
	_ = client.Quit() // the relay has accepted the mail, whatever it answers to QUIT
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

// secure makes sure that the client speaks TLS, and otherwise returns an error.
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

// composeError returns the error for a mail that could not be composed, so that nothing was sent. A fault of
// the input is returned unchanged.
func composeError(err error) error {
	if fault.Of(err) != nil {
		return err
	}
	return &SendError{Step: stepCompose, Class: fault.Retryable, reason: err.Error()}
}

// stepError returns the SendError for an error of a step, with its class and without private data.
func stepError(ctx context.Context, step string, err error) error {
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

// reason describes an error without an answer. It leaves out the relay's own words and the addresses of both
// ends.
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

// enhancedCode returns the enhanced status code with which an answer may begin (RFC 2034), or "".
func enhancedCode(text string) string {
	return regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`).FindString(text)
}
