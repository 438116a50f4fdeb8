package mail_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ours "github.com/platforma-cloud/orders/internal/mail"
)

// gpg runs GnuPG with its own home directory. It shares no code with package mail.
type gpg struct{ home string }

func newGPG(t *testing.T) gpg {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("gpg is not installed: CI must have it")
		}
		t.Skip("gpg is not installed: no other program has opened the mails of this run")
	}
	home, err := os.MkdirTemp("", "gpg") // a short path, because the agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() // an agent may never have started
		_ = os.RemoveAll(home)
	})
	return gpg{home: home}
}

// run runs gpg and returns its output and its status lines.
func (g gpg) run(t *testing.T, input []byte, args ...string) (out []byte, status string, err error) {
	t.Helper()
	statusFile := filepath.Join(g.home, "status")
	args = append([]string{
		"--homedir", g.home, "--batch", "--no-tty", "--pinentry-mode", "loopback",
		"--trust-model", "always", "--status-file", statusFile,
	}, args...)
	cmd := exec.CommandContext(t.Context(), "gpg", args...)
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("gpg %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	lines, _ := os.ReadFile(statusFile)
	return stdout.Bytes(), string(lines), err
}

func (g gpg) mustRun(t *testing.T, input []byte, args ...string) (out []byte, status string) {
	t.Helper()
	out, status, err := g.run(t, input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out, status
}

// newKey makes a key pair in this home directory and returns its public part, armored.
func (g gpg) newKey(t *testing.T, algorithms ...string) []byte {
	t.Helper()
	g.mustRun(t, nil, "--passphrase", "", "--quick-generate-key", "Ana Novak <"+recipient+">",
		algorithms[0], "cert,sign", "1y")
	list, _ := g.mustRun(t, nil, "--with-colons", "--fingerprint")
	_, rest, _ := strings.Cut(string(list), "\nfpr:::::::::")
	fingerprint, _, _ := strings.Cut(rest, ":")
	g.mustRun(t, nil, "--passphrase", "", "--quick-add-key", fingerprint, algorithms[1], "encr", "1y")
	public, _ := g.mustRun(t, nil, "--armor", "--export", fingerprint)
	return public
}

// documentOf returns the credentials document at the end of a delivery's text.
func documentOf(t *testing.T, text string) string {
	t.Helper()
	_, doc, ok := strings.Cut(text, "\nThe same as a JSON document:\n\n")
	if !ok {
		t.Fatalf("no document in:\n%s", text)
	}
	return strings.TrimSuffix(doc, "\n")
}

func TestGnuPGOpensTheAttachmentWithItsPassphrase(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	r := (&relay{}).start(t)
	if err := r.sender(t).SendDelivery(t.Context(), delivery()); err != nil {
		t.Fatalf("SendDelivery: %v", err)
	}
	raw := r.onlyMail(t).raw
	file, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(attachment(t, raw))))
	if err != nil {
		t.Fatalf("attachment: %v", err)
	}
	text, status := g.mustRun(t, file, "--passphrase", passphrase, "--decrypt")
	if diff := cmp.Diff(secretJSON, documentOf(t, string(text))); diff != "" {
		t.Errorf("document (-sealed +opened):\n%s", diff)
	}
	if !strings.Contains(status, "GOODMDC") {
		t.Errorf("the attachment is not integrity-protected:\n%s", status)
	}
	if out, _, err := g.run(t, file, "--passphrase", passphrase[:len(passphrase)-1]+"t", "--decrypt"); err == nil ||
		bytes.Contains(out, []byte(canary)) {
		t.Errorf("a wrong passphrase: %v, %d bytes", err, len(out))
	}
	file[len(file)-30] ^= 1
	if out, _, err := g.run(t, file, "--passphrase", passphrase, "--decrypt"); err == nil {
		t.Errorf("a changed attachment opens without complaint: %d bytes", len(out))
	}
}

func TestGnuPGOpensTheMailToAKey(t *testing.T) {
	t.Parallel()
	for name, algorithms := range map[string][]string{
		"Curve25519": {"ed25519", "cv25519"}, "RSA": {"rsa3072", "rsa2048"}, "NIST P-256": {"nistp256", "nistp256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGPG(t)
			public := g.newKey(t, algorithms...)
			info, err := ours.CheckPublicKey(public, sentAt.AddDate(0, 0, 1))
			if err != nil {
				t.Fatalf("CheckPublicKey: %v", err)
			}
			r := (&relay{}).start(t)
			m := delivery()
			m.At = sentAt.AddDate(0, 0, 1) // the key is made after sentAt
			m.PublicKey, m.Simulated = info.Public, true
			m.Secret = []byte(`{"url":"https://k8s.test:6443","kubeconfig":"apiVersion: v1\nkind: Config\ncertificate: ` +
				strings.Repeat("Q", 1500) + `\n","note":"šifrirano ` + canary + `"}`)
			if err := r.sender(t).SendDelivery(t.Context(), m); err != nil {
				t.Fatalf("SendDelivery: %v", err)
			}
			raw := r.onlyMail(t).raw
			if strings.Contains(raw, canary) {
				t.Error("the raw mail holds the canary")
			}
			entity, status := g.mustRun(t, []byte(partsOf(t, raw)[1].body), "--decrypt")
			if !strings.Contains(status, "GOODMDC") {
				t.Errorf("the mail is not integrity-protected:\n%s", status)
			}
			inside, err := mail.ReadMessage(bytes.NewReader(entity))
			if err != nil {
				t.Fatalf("entity inside: %v", err)
			}
			body, err := io.ReadAll(inside.Body)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(body), "\r\n", "\n")
			if diff := cmp.Diff(string(m.Secret), documentOf(t, text)); diff != "" {
				t.Errorf("document (-sealed +opened):\n%s", diff)
			}
			want := map[string][]string{
				"Content-Type":              {`text/plain; charset=utf-8; protected-headers="v1"`},
				"Content-Transfer-Encoding": {"binary"},
				"Subject":                   {"Your service is ready: web-1.example.net (Virtual server), ORD-7K3M9QWT, item 2"},
				"From":                      {`"Platforma" <no-reply@platforma.test>`},
				"To":                        {"<" + recipient + ">"},
				"Date":                      {m.At.Format("Mon, 02 Jan 2006 15:04:05 -0700")},
				"Message-Id":                {"<delivery.0198-1@platforma.test>"},
			}
			if diff := cmp.Diff(want, map[string][]string(inside.Header)); diff != "" {
				t.Errorf("headers inside (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGnuPGFindsTheSignatureInsideTheEncryption(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	signer := newTestKeyWith(t, "Platforma deliveries", 0, sentAt.AddDate(0, 0, -1))
	g.mustRun(t, signer.armored, "--import")
	r := (&relay{}).start(t)
	s, err := ours.NewSender(ours.Config{Addr: r.addr, From: sender, RootCAs: r.roots, SigningKey: signer.private})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendDelivery(t.Context(), delivery()); err != nil {
		t.Fatalf("SendDelivery: %v", err)
	}
	file, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(attachment(t, r.onlyMail(t).raw))))
	if err != nil {
		t.Fatal(err)
	}
	text, status := g.mustRun(t, file, "--passphrase", passphrase, "--decrypt")
	if !strings.Contains(status, "GOODSIG") || !strings.Contains(status, "Platforma deliveries") {
		t.Errorf("no good signature:\n%s", status)
	}
	if documentOf(t, string(text)) != secretJSON {
		t.Errorf("the signed text differs:\n%s", text)
	}
}

func TestManyDeliveriesAllOpenWithTheirOwnPassphrase(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	r := (&relay{}).start(t)
	s := r.sender(t)
	phrases := map[string]string{} // by Message-ID
	for i := range 5 {
		m := delivery()
		m.MessageID = fmt.Sprintf("delivery.%d", i)
		phrase, err := ours.NewPassphrase(bytes.NewReader(bytes.Repeat([]byte{byte(i*37 + 1)}, 16)))
		if err != nil {
			t.Fatal(err)
		}
		m.Passphrase, m.Secret = phrase, fmt.Appendf(nil, `{"n":%d}`, i)
		phrases["<"+m.MessageID+"@platforma.test>"] = phrase
		if err := s.SendDelivery(t.Context(), m); err != nil {
			t.Fatalf("delivery %d: %v", i, err)
		}
	}
	for i, got := range r.received() {
		file, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(attachment(t, got.raw))))
		if err != nil {
			t.Fatal(err)
		}
		phrase := phrases[parse(t, got.raw).Header.Get("Message-Id")]
		text, _ := g.mustRun(t, file, "--passphrase", phrase, "--decrypt")
		if want := fmt.Sprintf(`{"n":%d}`, i); documentOf(t, string(text)) != want {
			t.Errorf("delivery %d opened as %s, want %s", i, documentOf(t, string(text)), want)
		}
	}
}
