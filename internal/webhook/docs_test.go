package webhook_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// block is the first fenced block of a language in the integrators' page.
func block(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatalf("the page has no block of %s", language)
	}
	return string(found[1])
}

// posted is one real message: its headers and its body.
func posted(t *testing.T) (id, timestamp, signature, body string) {
	t.Helper()
	r := receive(t, nil)
	m := message(r.URL)
	m.Body = []byte(`{"type":"order.created","data":{"reason":"ž, \"quoted\""}}`)
	m.Secrets = []string{olderSecret, secret}
	r.webhookSender(t).Post(t.Context(), m)
	h := r.got[0].Header
	return h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), h.Get("Webhook-Signature"), r.body[0]
}

func TestThePythonOfTheDocumentationVerifiesAMessage(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: the example was not run")
	}
	id, timestamp, signature, body := posted(t)
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	script := block(t, "python") + `
import os, sys
headers = {"webhook-id": os.environ["ID"], "webhook-timestamp": os.environ["TIMESTAMP"], "webhook-signature": os.environ["SIGNATURE"]}
body = os.environb[b"BODY"]
print(*[verify(s, headers, b, n) for s, b, n in [
    (os.environ["SECRET"], body, float(os.environ["NOW"])), (os.environ["SECRET"], body + b" ", float(os.environ["NOW"])),
    ("whsec_" + "A" * 44, body, float(os.environ["NOW"])), (os.environ["SECRET"], body, float(os.environ["NOW"]) + 301)]])
`
	cmd := exec.CommandContext(t.Context(), python, "-c", script)
	cmd.Env = append(os.Environ(), "ID="+id, "TIMESTAMP="+timestamp, "SIGNATURE="+signature, "BODY="+body,
		"SECRET="+secret, "NOW="+strconv.FormatInt(at+2, 10))
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "True False False False" {
		t.Errorf("right, changed, another's secret, too old: %s, %v", out, err)
	}
}

func TestTheShellOfTheDocumentationPrintsTheSignature(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "openssl", "base64", "od"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: the example was not run", tool)
		}
	}
	id, timestamp, signature, body := posted(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "body"), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block(t, "bash"))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "ID="+id, "TIMESTAMP="+timestamp, "SECRET="+secret)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(" "+signature+" ", " v1,"+strings.TrimSpace(string(out))+" ") {
		t.Errorf("printed %s (%v), the header is %s", out, err, signature)
	}
}
