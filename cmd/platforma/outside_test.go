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

// gpg is GnuPG with a home of its own: a reader that shares no code with what made the mails.
type gpg struct{ home string }

func newGPG(t *testing.T) gpg {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // short: the agent's socket lies in it
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
	cmd := exec.CommandContext(t.Context(), "gpg",
		append([]string{"--homedir", g.home, "--batch", "--no-tty", "--pinentry-mode", "loopback", "--trust-model", "always"},
			args...)...)
	cmd.Stdin = bytes.NewReader(input)
	return cmd.Output()
}

func (g gpg) must(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	out, err := g.run(t, input, args...)
	if err != nil {
		t.Fatalf("gpg %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// key makes a key pair in this home and gives its public part, armored.
func (g gpg) key(t *testing.T, address string) string {
	t.Helper()
	g.must(t, nil, "--passphrase", "", "--quick-generate-key", "Ana Novak <"+address+">",
		"future-default", "default", "1y")
	return string(g.must(t, nil, "--armor", "--export", address))
}

// letter is a mail as it arrived.
type deadLetter struct {
	ID        int
	Subject   string
	MessageID string `json:"message_id"`
	raw       []byte
}

// inbox reads all mails.
func (d *dev) inbox() []deadLetter {
	d.t.Helper()
	var all []deadLetter
	if err := json.Unmarshal(get(d.t, d.Inbox+"/api/messages"), &all); err != nil {
		d.t.Fatalf("read the inbox: %v", err)
	}
	for i := range all {
		all[i].raw = get(d.t, d.Inbox+"/api/messages/"+itoa(all[i].ID)+"/raw")
	}
	return all
}

// deliveries are the mails that carry credentials, oldest first.
func (d *dev) deliveries() []deadLetter {
	d.t.Helper()
	var all []deadLetter
	seen := map[string]bool{}
	for _, l := range d.inbox() {
		if !strings.HasPrefix(l.MessageID, "<delivery.") {
			continue
		}
		if seen[l.MessageID] {
			d.t.Errorf("mail %s came twice", l.MessageID)
		}
		seen[l.MessageID], all = true, append(all, l)
	}
	return all
}

// parts gives a multipart mail's type and its parts, decoded.
func (l deadLetter) parts(t *testing.T) (kind string, bodies [][]byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(l.raw))
	if err != nil {
		t.Fatalf("mail %d: %v", l.ID, err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatalf("mail %d: %v", l.ID, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return kind, bodies
		}
		if err != nil {
			t.Fatalf("mail %d: %v", l.ID, err)
		}
		var from io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			from = base64.NewDecoder(base64.StdEncoding, p)
		}
		body, err := io.ReadAll(from)
		if err != nil {
			t.Fatalf("mail %d: %v", l.ID, err)
		}
		bodies = append(bodies, body)
	}
}

// document is what an opened mail ends with: the credentials as the cloud issued them.
func document(t *testing.T, text []byte) string {
	t.Helper()
	_, doc, ok := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), "\nThe same as a JSON document:\n\n")
	if !ok {
		t.Fatalf("an opened mail holds no document (%d bytes)", len(text))
	}
	return strings.TrimSuffix(doc, "\n")
}

// issued are the secrets that the cloud says it gave out for an order's items, by item.
func (d *dev) issued(o orderView) map[string]string {
	d.t.Helper()
	all := map[string]string{}
	for _, it := range o.Items {
		var i sim.Issued
		if err := json.Unmarshal(get(d.t, d.Sim+"/secrets/"+it.ID), &i); err != nil || len(i.Secrets) != 1 {
			d.t.Fatalf("secrets of %s: %d, %v; want one", it.Label, len(i.Secrets), err)
		}
		all[it.ID] = string(i.Secrets[0])
	}
	return all
}

// record is an event as kcat prints it.
type record struct {
	Key     string
	Headers map[string]string
	Value   json.RawMessage
}

// kcat reads the topic from its start to its end, as a stranger to the product.
func kcat(t *testing.T, broker, key string) []record {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "kcat", "-b", broker, "-C", "-t", "order-events", "-e", "-q", "-X",
		"isolation.level=read_committed", "-f", `%k\t%h\t%s\n`).Output()
	if err != nil {
		t.Fatalf("kcat: %v", err)
	}
	var all []record
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(fields) != 3 {
			t.Fatalf("kcat printed %q", line)
		}
		if fields[0] != key {
			continue
		}
		r := record{Key: fields[0], Headers: map[string]string{}, Value: json.RawMessage(fields[2])}
		for h := range strings.SplitSeq(fields[1], ",") {
			k, v, _ := strings.Cut(h, "=")
			r.Headers[k] = v
		}
		all = append(all, r)
	}
	return all
}
