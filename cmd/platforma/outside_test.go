package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// gpg runs GnuPG with its own home directory. It shares no code with the product.
type gpg struct{ home string }

func newGPG(t *testing.T) gpg {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // a short path, because the agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() // an agent may never have started
		_ = os.RemoveAll(home)
	})
	return gpg{home}
}

func (g gpg) run(t *testing.T, input []byte, args ...string) ([]byte, error) {
	t.Helper()
	args = append([]string{
		"--homedir", g.home, "--batch", "--no-tty", "--pinentry-mode", "loopback", "--trust-model", "always",
	}, args...)
	cmd := exec.CommandContext(t.Context(), "gpg", args...)
	cmd.Stdin = bytes.NewReader(input)
	return cmd.Output()
}

func (g gpg) mustRun(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	out, err := g.run(t, input, args...)
	if err != nil {
		t.Fatalf("gpg %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// newKey makes a key pair in this home directory and returns its public part, armored.
func (g gpg) newKey(t *testing.T, address string) string {
	t.Helper()
	g.mustRun(t, nil, "--passphrase", "", "--quick-generate-key", "Ana Novak <"+address+">",
		"future-default", "default", "1y")
	return string(g.mustRun(t, nil, "--armor", "--export", address))
}

// receivedMail is a mail in the inbox.
type receivedMail struct {
	ID        int
	Subject   string
	MessageID string `json:"message_id"`
	raw       []byte
}

// inbox returns all mails.
func (d *dev) inbox() []receivedMail {
	d.t.Helper()
	var mails []receivedMail
	if err := json.Unmarshal(httpGet(d.t, d.Inbox+"/api/messages"), &mails); err != nil {
		d.t.Fatalf("read the inbox: %v", err)
	}
	for i := range mails {
		mails[i].raw = httpGet(d.t, d.Inbox+"/api/messages/"+itoa(mails[i].ID)+"/raw")
	}
	return mails
}

// deliveries returns the mails with credentials, oldest first. A mail that came twice fails the test.
func (d *dev) deliveries() []receivedMail {
	d.t.Helper()
	var mails []receivedMail
	seen := map[string]bool{}
	for _, m := range d.inbox() {
		if !strings.HasPrefix(m.MessageID, "<delivery.") {
			continue
		}
		if seen[m.MessageID] {
			d.t.Errorf("mail %s came twice", m.MessageID)
		}
		seen[m.MessageID], mails = true, append(mails, m)
	}
	return mails
}

// parts returns the type of a multipart mail and its decoded parts.
func (m receivedMail) parts(t *testing.T) (kind string, bodies [][]byte) {
	t.Helper()
	message, err := mail.ReadMessage(bytes.NewReader(m.raw))
	if err != nil {
		t.Fatalf("mail %d: %v", m.ID, err)
	}
	kind, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		t.Fatalf("mail %d: %v", m.ID, err)
	}
	r := multipart.NewReader(message.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return kind, bodies
		}
		if err != nil {
			t.Fatalf("mail %d: %v", m.ID, err)
		}
		var content io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			content = base64.NewDecoder(base64.StdEncoding, p)
		}
		body, err := io.ReadAll(content)
		if err != nil {
			t.Fatalf("mail %d: %v", m.ID, err)
		}
		bodies = append(bodies, body)
	}
}

// documentOf returns the end of a decrypted mail: the credentials as the cloud issued them.
func documentOf(t *testing.T, text []byte) string {
	t.Helper()
	_, doc, ok := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), "\nThe same as a JSON document:\n\n")
	if !ok {
		t.Fatalf("a decrypted mail has no document (%d bytes)", len(text))
	}
	return strings.TrimSuffix(doc, "\n")
}

// issuedSecrets returns the secrets that the cloud issued for an order's items, by item.
func (d *dev) issuedSecrets(o orderView) map[string]string {
	d.t.Helper()
	secrets := map[string]string{}
	for _, it := range o.Items {
		var i sim.Issued
		if err := json.Unmarshal(httpGet(d.t, d.Sim+"/secrets/"+it.ID), &i); err != nil || len(i.Secrets) != 1 {
			d.t.Fatalf("secrets of %s: %d, %v; want one", it.Label, len(i.Secrets), err)
		}
		secrets[it.ID] = string(i.Secrets[0])
	}
	return secrets
}

// kafkaRecord is a record of the topic as kcat prints it.
type kafkaRecord struct {
	Key     string
	Headers map[string]string
	Value   json.RawMessage
}

// readTopic reads the records with a key from the whole topic, with kcat.
func readTopic(t *testing.T, broker, key string) []kafkaRecord {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "kcat", "-b", broker, "-C", "-t", "order-events", "-e", "-q", "-X",
		"isolation.level=read_committed", "-f", `%k\t%h\t%s\n`).Output()
	if err != nil {
		t.Fatalf("kcat: %v", err)
	}
	var records []kafkaRecord
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(fields) != 3 {
			t.Fatalf("kcat printed %q", line)
		}
		if fields[0] != key {
			continue
		}
		r := kafkaRecord{Key: fields[0], Headers: map[string]string{}, Value: json.RawMessage(fields[2])}
		for h := range strings.SplitSeq(fields[1], ",") {
			k, v, _ := strings.Cut(h, "=")
			r.Headers[k] = v
		}
		records = append(records, r)
	}
	return records
}
