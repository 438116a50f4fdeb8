package embedded

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// MailAnswer is how the inbox answers one message.
type MailAnswer int

// The answers of a mail relay that tests can choose.
const (
	MailAccepted     MailAnswer = iota + 1 // kept, 250
	MailTryLater                           // 451 after the data, nothing kept
	MailGreylisted                         // 450 to the recipient, nothing kept
	MailRejected                           // 554 after the data, nothing kept
	MailNoSuchUser                         // 550 to the recipient: a hard bounce
	MailTLSRefused                         // the next connection is not offered STARTTLS
	MailAnswerLost                         // kept, then the connection is cut before the 250
	MailAnswerHeld                         // kept, then no answer until the client gives up
	MailDroppedFirst                       // the connection is cut after the data, nothing kept
)

// mailScript is the queue of the next answers.
type mailScript struct {
	mu        sync.Mutex
	answers   []MailAnswer // guarded by mu
	plaintext int          // guarded by mu
}

func (s *mailScript) add(answers []MailAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, answers...)
}

// takeTLSRefusal reports whether the next answer is a refusal of TLS, and removes it if it is.
func (s *mailScript) takeTLSRefusal() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) == 0 || s.answers[0] != MailTLSRefused {
		return false
	}
	s.answers = s.answers[1:]
	return true
}

// next removes and returns the answer for the next message. A refusal of TLS stays for the next connection.
func (s *mailScript) next() MailAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) == 0 || s.answers[0] == MailTLSRefused {
		return MailAccepted
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a
}

func (s *mailScript) sawPlaintext() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plaintext++
}

func (s *mailScript) plaintextAttempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plaintext
}

// smtpServer makes one of the two servers. conf is nil for the one that refuses TLS.
func (i *Inbox) smtpServer(conf *tls.Config, to io.Writer) *smtp.Server {
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &mailSession{inbox: i, conn: c}, nil
	}))
	if to == nil {
		to = io.Discard
	}
	s.ErrorLog = log.New(to, "embedded: inbox: ", 0)
	s.Domain = "localhost"
	s.TLSConfig = conf
	s.EnableSMTPUTF8 = true
	s.MaxMessageBytes = 32 << 20
	s.MaxRecipients = 100             // RFC 5321, 4.5.3.1.8
	s.ReadTimeout = 5 * time.Minute   // RFC 5321, 4.5.3.2.7
	s.WriteTimeout = 30 * time.Second // the client is on this machine
	return s
}

// mailSession is one SMTP connection, before or after STARTTLS.
type mailSession struct {
	inbox  *Inbox
	conn   *smtp.Conn
	answer MailAnswer
	from   string
	to     []string
}

var errTLSFirst = &smtp.SMTPError{
	Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Must issue a STARTTLS command first",
}

// Mail sets the sender, and takes the answer for this message from the script.
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if _, ok := s.conn.TLSConnectionState(); !ok {
		s.inbox.script.sawPlaintext()
		return errTLSFirst
	}
	s.from, s.to, s.answer = from, nil, s.inbox.script.next()
	return nil
}

// Rcpt adds a recipient.
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch s.answer {
	case MailNoSuchUser:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such mailbox here"}
	case MailGreylisted:
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "Greylisted, please try again"}
	}
	s.to = append(s.to, to)
	return nil
}

// Data stores the message and answers as scripted.
func (s *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch s.answer {
	case MailTryLater:
		return &smtp.SMTPError{
			Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Local trouble, please try again",
		}
	case MailRejected:
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Message refused"}
	case MailDroppedFirst:
		return s.conn.Conn().Close()
	}
	if err := s.inbox.store.add(s.from, s.to, raw); err != nil {
		return &smtp.SMTPError{
			Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: fmt.Sprintf("The inbox cannot keep it: %v", err),
		}
	}
	switch s.answer {
	case MailAnswerLost:
		return s.conn.Conn().Close()
	case MailAnswerHeld:
		s.hold()
	}
	return nil
}

// hold sends no answer until the client closes the connection or the inbox is closed.
func (s *mailSession) hold() {
	c := s.conn.Conn()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		// A client sends nothing until it has its answer, so the read returns when the connection ends.
		_, _ = c.Read(make([]byte, 1))
	}()
	select {
	case <-closed:
	case <-s.inbox.ctx.Done():
	}
	_ = c.Close()
	<-closed
}

// Reset discards the current message.
func (s *mailSession) Reset() { s.from, s.to, s.answer = "", nil, 0 }

// Logout does nothing: a session holds no resources.
func (s *mailSession) Logout() error { return nil }

// splitSide is one of the two listeners that splitListener makes of one.
type splitSide struct {
	l      net.Listener
	conns  chan net.Conn
	ended  chan struct{} // closed when l has ended
	closed chan struct{} // closed by Close
	once   *sync.Once
}

// splitListener passes a connection of l to the second listener if refuse returns true, and otherwise to the
// first. Closing both closes l.
func splitListener(l net.Listener, refuse func() bool) (first, second net.Listener) {
	ended := make(chan struct{})
	newSide := func() *splitSide {
		return &splitSide{
			l: l, conns: make(chan net.Conn), ended: ended, closed: make(chan struct{}), once: new(sync.Once),
		}
	}
	a, b := newSide(), newSide()
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to := a
			if refuse() {
				to = b
			}
			select {
			case to.conns <- c:
			case <-to.closed:
				_ = c.Close()
			}
		}
	}()
	return a, b
}

// Accept waits for a connection for this side.
func (s *splitSide) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
	case <-s.ended:
	}
	return nil, net.ErrClosed
}

// Addr returns the address of the listener that was split.
func (s *splitSide) Addr() net.Addr { return s.l.Addr() }

// Close closes this side. It also closes the listener that was split, because neither side is of use
// without the other.
func (s *splitSide) Close() error {
	s.once.Do(func() { close(s.closed) })
	err := s.l.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
