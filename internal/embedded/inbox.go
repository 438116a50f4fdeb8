package embedded

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// InboxConfig configures StartInbox.
type InboxConfig struct {
	// Dir belongs to this inbox: messages in mail/, the certificate in tls/, remembered ports.
	Dir string
	// SMTPPort and HTTPPort are on 127.0.0.1. 0 is the port of the last start in Dir, or otherwise any
	// free one.
	SMTPPort, HTTPPort int
	// Now returns the time at which a message arrives. nil is the clock of the machine.
	Now func() time.Time
	// Log gets single lines that a person should read. nil discards them.
	Log io.Writer
}

// Inbox is a mail server that accepts every mail and shows it on a page instead of delivering it. Like a
// real mail relay it requires TLS (STARTTLS), with a certificate of its own. It is safe for concurrent use.
type Inbox struct {
	lock   *dirLock
	store  *mailStore
	script mailScript
	cert   certificate

	listeners []net.Listener // the two listeners of the SMTP port: see splitListener
	servers   []*smtp.Server // one for each listener
	web       *http.Server
	smtpAddr  string
	url       string

	ctx    context.Context // ends with Close; answers that are held wait for it
	cancel context.CancelFunc
	wg     sync.WaitGroup // the serving goroutines
}

// StartInbox opens the inbox in cfg.Dir and serves SMTP and the page.
func StartInbox(cfg InboxConfig) (*Inbox, error) {
	if cfg.Dir == "" {
		return nil, errors.New("start the inbox: no directory given")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start the inbox: %w", err)
	}
	// A predecessor that is about to end needs a moment to release the lock.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	lock, err := lockDir(ctx, cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("start the inbox: %w", err)
	}
	i, err := openInbox(cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the inbox: %w", err), lock.release())
	}
	i.lock = lock
	logf(cfg.Log, "mail is received at %s and shown at %s", i.smtpAddr, i.url)
	return i, nil
}

func openInbox(cfg InboxConfig) (*Inbox, error) {
	cert, err := ownCertificate(filepath.Join(cfg.Dir, "tls"), cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	store, err := openMailStore(filepath.Join(cfg.Dir, "mail"), cfg.Now)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	mail, err := listenRemembered(cfg.Dir, "smtp", cfg.SMTPPort)
	if err != nil {
		return nil, err
	}
	page, err := listenRemembered(cfg.Dir, "inbox", cfg.HTTPPort)
	if err != nil {
		_ = mail.Close()
		return nil, err
	}
	i := &Inbox{
		store: store, cert: cert,
		smtpAddr: mail.Addr().String(), url: "http://" + page.Addr().String(),
	}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	i.serve(mail, page, cfg.Log)
	return i, nil
}

// serve starts the SMTP servers and the page.
func (i *Inbox) serve(mail, page net.Listener, log io.Writer) {
	secure, plain := splitListener(mail, func() bool { return i.script.takeTLSRefusal() })
	i.listeners = []net.Listener{secure, plain}
	for _, s := range []struct {
		l   net.Listener
		tls *tls.Config
	}{
		{secure, &tls.Config{Certificates: []tls.Certificate{i.cert.pair}, MinVersion: tls.VersionTLS12}},
		{plain, nil},
	} {
		server := i.smtpServer(s.tls, log)
		i.servers = append(i.servers, server)
		i.wg.Go(func() { _ = server.Serve(s.l) }) // ends with Close
	}
	i.web = &http.Server{
		Handler:           i.pages(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 60 * time.Second,
	}
	i.wg.Go(func() { _ = i.web.Serve(page) })
}

// SMTPAddr returns the address of the SMTP server, host:port.
func (i *Inbox) SMTPAddr() string { return i.smtpAddr }

// HTTPURL returns the address of the page, without a slash at the end.
func (i *Inbox) HTTPURL() string { return i.url }

// CAFile returns the path of a PEM file with the certificate that a mail client has to trust.
func (i *Inbox) CAFile() string { return i.cert.file }

// CertPool returns the certificate of CAFile for a client in this process.
func (i *Inbox) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.cert.pair.Leaf)
	return pool
}

// Messages returns all messages in the order of their arrival.
func (i *Inbox) Messages() []Message { return i.store.list() }

// Raw returns a message as it was sent. The error is os.ErrNotExist if there is no message with this id.
func (i *Inbox) Raw(id int) ([]byte, error) { return i.store.raw(id) }

// Wait returns the messages once there are at least n. If ctx ends first, it returns the error of ctx.
func (i *Inbox) Wait(ctx context.Context, n int) ([]Message, error) { return i.store.wait(ctx, n) }

// Script sets how the next messages are answered, with one answer for each. They follow the answers of earlier
// calls; afterwards every message is accepted again.
func (i *Inbox) Script(answers ...MailAnswer) { i.script.add(answers) }

// PlaintextAttempts returns how often a client named a sender without TLS, which it must not do. The inbox
// refused it each time.
func (i *Inbox) PlaintextAttempts() int { return i.script.plaintextAttempts() }

// Close ends all connections and waits for the servers. Messages stay on disk. A second Close does
// nothing.
func (i *Inbox) Close() error {
	if i.ctx.Err() != nil {
		return nil //nolint:nilerr // the context's end says that it is closed already
	}
	i.cancel()
	var errs []error
	for n, s := range i.servers {
		// A server that does not serve yet does not know its listener.
		errs = append(errs, s.Close(), i.listeners[n].Close())
	}
	errs = append(errs, i.web.Close())
	i.wg.Wait()
	return errors.Join(append(errs, i.lock.release())...)
}
