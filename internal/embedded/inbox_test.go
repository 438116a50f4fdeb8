package embedded

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wneessen/go-mail"
)

var noon = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

func startInbox(t *testing.T, cfg InboxConfig) *Inbox {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	cfg.Now = func() time.Time { return noon }
	i, err := StartInbox(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// sendMail sends one mail as the product does: only with STARTTLS.
func sendMail(t *testing.T, i *Inbox, timeout time.Duration, messageID string) error {
	t.Helper()
	host, port, _ := strings.Cut(i.SMTPAddr(), ":")
	var p int
	if _, err := fmt.Sscan(port, &p); err != nil {
		t.Fatal(err)
	}
	c, err := mail.NewClient(host, mail.WithPort(p), mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTimeout(timeout),
		mail.WithTLSConfig(&tls.Config{RootCAs: i.CertPool(), ServerName: host, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	m := mail.NewMsg()
	for _, err := range []error{m.From("shop@example.com"), m.To("jane@example.net")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m.Subject("Ihr Dienst ist bereit – Größe L")
	m.SetMessageIDWithValue(messageID)
	m.SetBodyString(mail.TypeTextPlain, "Guten Tag,\n.\n<b>kein</b> HTML\n")
	if err := m.AttachReader("secret.asc", strings.NewReader("-----BEGIN PGP MESSAGE-----\n")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return c.DialAndSendWithContext(ctx, m)
}

// get returns the answer of a page and its body.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

func TestInboxKeepsAndShowsWhatWasSent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	i := startInbox(t, InboxConfig{Dir: dir})
	if _, body := get(t, i.HTTPURL()+"/api/messages"); strings.TrimSpace(body) != "[]" {
		t.Errorf("an empty inbox lists %s", body)
	}
	for range 2 {
		if err := sendMail(t, i, time.Minute, "delivery-1@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	have, err := i.Wait(shortContext(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := i.Raw(1)
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		ID: 1, From: "shop@example.com", To: []string{"jane@example.net"}, Subject: "Ihr Dienst ist bereit – Größe L",
		MessageID: "<delivery-1@example.com>", ReceivedAt: noon, Size: len(raw),
	}
	if diff := cmp.Diff(want, have[0]); diff != "" {
		t.Error(diff)
	}

	_, body := get(t, i.HTTPURL()+"/api/messages")
	var listed []Message
	if err := json.Unmarshal([]byte(body), &listed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(have, listed); diff != "" {
		t.Error(diff)
	}
	r, source := get(t, i.HTTPURL()+"/api/messages/1/raw")
	if source != string(raw) || r.Header.Get("Content-Type") != "message/rfc822" {
		t.Errorf("source is %s of %d bytes, want message/rfc822 of %d",
			r.Header.Get("Content-Type"), len(source), len(raw))
	}

	// After a restart the inbox has the same addresses, messages and certificate.
	ca, err := os.ReadFile(i.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	again := startInbox(t, InboxConfig{Dir: dir})
	if again.SMTPAddr() != i.SMTPAddr() || again.HTTPURL() != i.HTTPURL() {
		t.Errorf("the addresses changed from %s %s to %s %s",
			i.SMTPAddr(), i.HTTPURL(), again.SMTPAddr(), again.HTTPURL())
	}
	if diff := cmp.Diff(have, again.Messages()); diff != "" {
		t.Error(diff)
	}
	if now, err := os.ReadFile(again.CAFile()); err != nil || !bytes.Equal(ca, now) {
		t.Errorf("the certificate changed (%v)", err)
	}
	info, err := os.Stat(filepath.Join(dir, "tls", "inbox.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v", info.Mode(), err)
	}
	if err := sendMail(t, again, time.Minute, "delivery-2@example.com"); err != nil {
		t.Fatal(err)
	}
	if now := again.Messages(); len(now) != 3 || now[2].ID != 3 {
		t.Errorf("after one more: %+v", now)
	}
	if _, err := again.Raw(4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("message 4: %v", err)
	}
}

func TestInboxPageShowsMailWithoutRunningIt(t *testing.T) {
	t.Parallel()
	i := startInbox(t, InboxConfig{})
	_, empty := get(t, i.HTTPURL())
	if !strings.Contains(empty, i.SMTPAddr()) {
		t.Error("the empty page does not say where to send mail")
	}
	for range 2 {
		if err := sendMail(t, i, time.Minute, "delivery-1@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	r, list := get(t, i.HTTPURL())
	for _, want := range []string{
		"Ihr Dienst ist bereit – Größe L", "jane@example.net", "same as #1", `href="/messages/2"`, "22 Nov 12:00:00",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %q", want)
		}
	}
	_, page := get(t, i.HTTPURL()+"/messages/2")
	for _, want := range []string{
		"Guten Tag,", "&lt;b&gt;kein&lt;/b&gt; HTML", "secret.asc", "-----BEGIN PGP MESSAGE-----", "delivery-1@example.com",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the message lacks %q", want)
		}
	}
	for name, p := range map[string]string{"list": list, "message": page} {
		for _, bad := range []string{"<script", "style=", "<style", "onclick", "http://", "https://"} {
			if strings.Contains(p, bad) {
				t.Errorf("the %s has %q", name, bad)
			}
		}
	}
	if csp := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") {
		t.Errorf("policy is %q", csp)
	}
	r, css := get(t, i.HTTPURL()+"/inbox.css")
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/css") || css == "" {
		t.Errorf("style sheet is %s", r.Header.Get("Content-Type"))
	}
	if r, body := get(t, i.HTTPURL()+"/messages/2/parts/2"); body != "-----BEGIN PGP MESSAGE-----\n" ||
		!strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("part 2 is %q, %s", body, r.Header.Get("Content-Disposition"))
	}
	for _, missing := range []string{
		"/messages/9", "/messages/x", "/messages/2/parts/3", "/api/messages/9/raw", "/nothing",
	} {
		if r, _ := get(t, i.HTTPURL()+missing); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s answers %d", missing, r.StatusCode)
		}
	}

	req, err := http.NewRequest(http.MethodGet, i.HTTPURL()+"/api/messages", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host name is answered with %d", res.StatusCode)
	}
}

func TestInboxAcceptsNothingWithoutTLS(t *testing.T) {
	t.Parallel()
	i := startInbox(t, InboxConfig{})
	c, err := smtp.Dial(i.SMTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var refused *textproto.Error
	if err := c.Mail("shop@example.com"); !errors.As(err, &refused) || refused.Code != 530 {
		t.Errorf("got %v, want 530", err)
	}
	if n := i.PlaintextAttempts(); n != 1 {
		t.Errorf("%d attempts without TLS were counted, want 1", n)
	}
	if err := c.StartTLS(&tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}); err == nil {
		t.Error("a client trusts the certificate without knowing it")
	}
}

func TestInboxAnswersAsScripted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer MailAnswer
		code   int // 0: the connection or TLS fails
		kept   int
	}{
		{"try later", MailTryLater, 451, 0},
		{"greylisted", MailGreylisted, 450, 0},
		{"rejected", MailRejected, 554, 0},
		{"no such user", MailNoSuchUser, 550, 0},
		{"no TLS", MailTLSRefused, 0, 0},
		{"answer lost", MailAnswerLost, 0, 1},
		{"answer held", MailAnswerHeld, 0, 1},
		{"dropped before it was kept", MailDroppedFirst, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := startInbox(t, InboxConfig{})
			i.Script(c.answer, MailAccepted, c.answer)
			sendScripted := func(id string) error {
				timeout := time.Minute
				if c.answer == MailAnswerHeld {
					timeout = 3 * time.Second // long enough for everything but the answer
				}
				return sendMail(t, i, timeout, id)
			}
			err := sendScripted("first@example.com")
			if err == nil {
				t.Fatal("the first was accepted")
			}
			if c.code != 0 && !strings.Contains(err.Error(), fmt.Sprint(c.code)) {
				t.Errorf("got %v, want %d", err, c.code)
			}
			if n := len(i.Messages()); n != c.kept {
				t.Errorf("%d messages were kept, want %d", n, c.kept)
			}
			if err := sendMail(t, i, time.Minute, "second@example.com"); err != nil {
				t.Errorf("the second: %v", err)
			}
			if err := sendScripted("third@example.com"); err == nil {
				t.Error("the third was accepted")
			}
			if err := sendMail(t, i, time.Minute, "fourth@example.com"); err != nil {
				t.Errorf("the fourth: %v", err)
			}
			if n := len(i.Messages()); n != 2+2*c.kept {
				t.Errorf("%d messages were kept in the end, want %d", n, 2+2*c.kept)
			}
			if n := i.PlaintextAttempts(); n != 0 {
				t.Errorf("%d attempts without TLS", n)
			}
		})
	}
}

func TestInboxOfAKilledProcessStillHasWhatItAccepted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, kill := startHelper(t, "inbox", dir)
	pem, err := os.ReadFile(filepath.Join(dir, "tls", "inbox.crt"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ownCertificate(filepath.Join(dir, "tls"), time.Now())
	if err != nil || len(pem) == 0 {
		t.Fatal(err)
	}
	remote := &Inbox{smtpAddr: addr, cert: cert}
	if err := sendMail(t, remote, time.Minute, "kept@example.com"); err != nil {
		t.Fatal(err)
	}
	kill()
	// The files that a crash leaves while the next message is stored.
	for _, name := range []string{"000002.json", "000002.eml.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, "mail", name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i := startInbox(t, InboxConfig{Dir: dir})
	if i.SMTPAddr() != addr {
		t.Errorf("address is %s, was %s", i.SMTPAddr(), addr)
	}
	if err := sendMail(t, i, time.Minute, "next@example.com"); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range i.Messages() {
		ids = append(ids, fmt.Sprint(m.ID, " ", m.MessageID))
	}
	if diff := cmp.Diff([]string{"1 <kept@example.com>", "2 <next@example.com>"}, ids); diff != "" {
		t.Error(diff)
	}
}
