package mail_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/platforma-cloud/orders/internal/fault"
	ours "github.com/platforma-cloud/orders/internal/mail"
)

func TestRelayFaultsAreClassified(t *testing.T) {
	t.Parallel()
	answer := func(code int, enhanced smtp.EnhancedCode) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: "<" + recipient + "> says " + canary}
	}
	cases := map[string]struct {
		relay    *relay
		want     fault.Class
		text     string
		accepted int
	}{
		"recipient unknown": {
			&relay{rcptErr: answer(550, smtp.EnhancedCode{5, 1, 1})}, fault.Invalid,
			"send mail: name the recipient: answered 550 5.1.1 (invalid)", 0,
		},
		"recipient greylisted": {
			&relay{rcptErr: answer(451, smtp.EnhancedCode{4, 7, 1})}, fault.Retryable,
			"send mail: name the recipient: answered 451 4.7.1 (retryable)", 0,
		},
		"sender refused": {
			&relay{mailErr: answer(553, smtp.EnhancedCode{5, 1, 8})}, fault.Invalid,
			"send mail: name the sender: answered 553 5.1.8 (invalid)", 0,
		},
		"login wanted": {
			&relay{mailErr: answer(530, smtp.EnhancedCode{5, 7, 0})}, fault.Retryable,
			"send mail: name the sender: answered 530 5.7.0 (retryable)", 0,
		},
		"relay busy": {
			&relay{mailErr: answer(421, smtp.EnhancedCode{4, 3, 2})}, fault.Retryable,
			"send mail: name the sender: answered 421 4.3.2 (retryable)", 0,
		},
		"content refused": {
			&relay{dataErr: answer(554, smtp.EnhancedCode{5, 7, 1})}, fault.Invalid,
			"send mail: end data: answered 554 5.7.1 (invalid)", 0,
		},
		"mailbox full just now": {
			&relay{dataErr: answer(452, smtp.EnhancedCode{4, 2, 2})}, fault.Retryable,
			"send mail: end data: answered 452 4.2.2 (retryable)", 0,
		},
		"answer lost": {
			&relay{loseAnswer: true}, fault.Ambiguous,
			"send mail: end data: the connection was closed (ambiguous)", 1,
		},
		"TLS not offered": {
			&relay{noTLS: true}, fault.Retryable,
			"send mail: start TLS: the relay offers no TLS (retryable)", 0,
		},
		"connection closed in the middle": {&relay{cutInData: true}, fault.Ambiguous, "", 0},
		"no answer in time": {
			&relay{hang: true}, fault.Ambiguous,
			"send mail: end data: no answer in time, or given up (ambiguous)", 1,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, timeout := c.relay.start(t), time.Minute
			if r.hang {
				timeout = 5 * time.Second // long enough for everything before the answer
			}
			s, err := ours.NewSender(ours.Config{Addr: r.addr, From: sender, RootCAs: r.roots, Timeout: timeout})
			if err != nil {
				t.Fatal(err)
			}
			err = s.SendDelivery(t.Context(), delivery())
			if err == nil || ours.Classify(err) != c.want || c.text != "" && err.Error() != c.text {
				t.Errorf("SendDelivery: %v, want %q, class %s", err, c.text, c.want)
			}
			mustRevealNothing(t, err)
			if got := len(r.received()); got != c.accepted {
				t.Errorf("%d mails arrived, want %d", got, c.accepted)
			}
		})
	}
}

// mustRevealNothing requires that no error in the chain holds a secret, a passphrase, the customer's address or
// the relay's own words.
func mustRevealNothing(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, word := range []string{canary, recipient, "customer.test", "203.0.113.9", "babad", "says"} {
			if strings.Contains(fmt.Sprintf("%v %+v %#v", e, e, e), word) {
				t.Errorf("the error reveals %q: %v", word, e)
			}
		}
	}
}

func TestSigningKeyThatExpiredStopsTheMailBeforeItIsSent(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	old := newTestKeyWith(t, "Platforma deliveries", 60, sentAt.Add(-time.Hour))
	s, err := ours.NewSender(ours.Config{Addr: r.addr, From: sender, RootCAs: r.roots, SigningKey: old.private})
	if err != nil {
		t.Fatal(err)
	}
	err = s.SendDelivery(t.Context(), delivery())
	if ours.Classify(err) != fault.Retryable || !strings.Contains(fmt.Sprint(err), "compose") {
		t.Errorf("SendDelivery: %v, want a retryable failure to compose", err)
	}
	mustRevealNothing(t, err)
	if n := len(r.received()); n != 0 {
		t.Errorf("%d unsigned mails arrived", n)
	}
}

func TestACertificateThatIsNotTrustedStopsTheMail(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	s, err := ours.NewSender(ours.Config{Addr: r.addr, From: sender, RootCAs: x509.NewCertPool(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	err = s.SendDelivery(t.Context(), delivery())
	if ours.Classify(err) != fault.Retryable || !strings.Contains(fmt.Sprint(err), "start TLS") ||
		!strings.Contains(fmt.Sprint(err), "certificate") {
		t.Errorf("SendDelivery: %v, want a retryable refusal of the certificate", err)
	}
	if n := len(r.received()); n != 0 {
		t.Errorf("%d mails arrived", n)
	}
}

func TestNothingIsSentInPlaintextToARelayWithoutTLS(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan string, 1)
	go func() { // a relay whose offer of STARTTLS somebody in between has removed
		conn, err := listener.Accept()
		if err != nil {
			received <- ""
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "220 relay.test\r\n")
		buffer := make([]byte, 512)
		n, _ := conn.Read(buffer)
		_, _ = io.WriteString(conn, "250-relay.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n")
		rest, _ := io.ReadAll(conn)
		received <- string(buffer[:n]) + string(rest)
	}()
	t.Cleanup(func() { _ = listener.Close() })
	s, err := ours.NewSender(ours.Config{
		Addr: listener.Addr().String(), From: sender, Timeout: time.Minute, Username: "relay-user", Password: canary,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendDelivery(t.Context(), delivery()); ours.Classify(err) != fault.Retryable {
		t.Errorf("SendDelivery: %v, want retryable", err)
	}
	if got := <-received; got != "EHLO platforma.test\r\n" {
		t.Errorf("sent in plaintext: %q", got)
	}
}

func TestARelayThatIsAwayOrDoesNotSpeakSMTPIsRetryable(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedAddr := closed.Addr().String()
	_ = closed.Close()
	for name, greeting := range map[string]string{
		"away": "", "nonsense": "hello " + recipient + "\r\n", "refusing": "554 5.7.1 go away " + recipient + "\r\n",
		"closes at once": "-",
	} {
		addr := closedAddr
		if greeting != "" {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
			addr = listener.Addr().String()
			go func() {
				if conn, err := listener.Accept(); err == nil {
					if greeting != "-" {
						_, _ = io.WriteString(conn, greeting)
					}
					_ = conn.Close()
				}
			}()
		}
		s, err := ours.NewSender(ours.Config{Addr: addr, From: sender, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		err = s.SendDelivery(t.Context(), delivery())
		if ours.Classify(err) != fault.Retryable {
			t.Errorf("%s: %v, want retryable", name, err)
		}
		mustRevealNothing(t, err)
	}
}

func TestCancelledCallEndsAtOnceAndSaysSo(t *testing.T) {
	t.Parallel()
	r := (&relay{hang: true}).start(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.sender(t).SendDelivery(ctx, delivery()) }()
	waitUntil(t, func() bool { return len(r.received()) == 1 })
	cancel()
	err := <-done
	if !errors.Is(err, context.Canceled) || ours.Classify(err) != fault.Ambiguous {
		t.Errorf("cancelled after the data: %v, want context.Canceled and ambiguous", err)
	}
	err = r.sender(t).SendDelivery(ctx, delivery())
	if !errors.Is(err, context.Canceled) || ours.Classify(err) != fault.Retryable {
		t.Errorf("cancelled before the dial: %v, want context.Canceled and retryable", err)
	}
}

// waitUntil polls until done returns true, for at most a minute.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not happen within a minute")
		}
	}
}

func TestLoginToTheRelay(t *testing.T) {
	t.Parallel()
	r := (&relay{user: "orders", password: "relay-" + canary}).start(t)
	if err := r.sender(t).SendDelivery(t.Context(), delivery()); err != nil {
		t.Fatalf("SendDelivery with the right password: %v", err)
	}
	config := ours.Config{Addr: r.addr, From: sender, RootCAs: r.roots, Username: "orders", Password: "wrong-" + canary}
	s, err := ours.NewSender(config)
	if err != nil {
		t.Fatal(err)
	}
	err = s.SendDelivery(t.Context(), delivery())
	if ours.Classify(err) != fault.Retryable || !strings.Contains(fmt.Sprint(err), "log in: answered 535") {
		t.Errorf("SendDelivery with a wrong password: %v", err)
	}
	mustRevealNothing(t, err)
	if text := fmt.Sprintf("%v %+v %#v", config, config, config); strings.Contains(text, canary) {
		t.Errorf("the configuration prints its password: %s", text)
	}
}

func TestAnErrorOfAnotherPackageIsAmbiguous(t *testing.T) {
	t.Parallel()
	if got := ours.Classify(errors.New("database away")); got != fault.Ambiguous {
		t.Errorf("Classify: %s, want ambiguous", got)
	}
	if got := ours.Classify(nil); got != fault.None {
		t.Errorf("Classify(nil): %s, want none", got)
	}
}
