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

// codeBlock returns the first fenced block in a language from docs/webhooks.md.
func codeBlock(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatalf("docs/webhooks.md has no block of %s", language)
	}
	return string(found[1])
}

// postedMessage posts one message and returns its headers and its body.
func postedMessage(t *testing.T) (id, timestamp, signature, body string) {
	t.Helper()
	r := newReceiver(t, nil)
	m := message(r.URL)
	m.Body = []byte(`{"type":"order.created","data":{"reason":"ž, \"quoted\""}}`)
	m.Secrets = []string{olderSecret, secret}
	r.sender(t).Post(t.Context(), m)
	h := r.requests[0].Header
	return h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), h.Get("Webhook-Signature"), r.bodies[0]
}

func TestThePythonOfTheDocumentationVerifiesAMessage(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: the example was not run")
	}
	id, timestamp, signature, body := postedMessage(t)
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	script := codeBlock(t, "python") + `
import os
env = os.environ
headers = {
    "webhook-id": env["ID"], "webhook-timestamp": env["TIMESTAMP"], "webhook-signature": env["SIGNATURE"],
}
secret, body, now = env["SECRET"], os.environb[b"BODY"], float(env["NOW"])
print(*[verify(s, headers, b, n) for s, b, n in [
    (secret, body, now),
    (secret, body + b" ", now),
    ("whsec_" + "A" * 44, body, now),
    (secret, body, now + 301),
]])
`
	cmd := exec.CommandContext(t.Context(), python, "-c", script)
	cmd.Env = append(os.Environ(), "ID="+id, "TIMESTAMP="+timestamp, "SIGNATURE="+signature, "BODY="+body,
		"SECRET="+secret, "NOW="+strconv.FormatInt(at+2, 10))
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "True False False False" {
		t.Errorf("valid, changed body, other secret, too old: %s, %v; want only the first to verify", out, err)
	}
}

func TestTheShellOfTheDocumentationPrintsTheSignature(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "openssl", "base64", "od"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: the example was not run", tool)
		}
	}
	id, timestamp, signature, body := postedMessage(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "body"), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", codeBlock(t, "bash"))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "ID="+id, "TIMESTAMP="+timestamp, "SECRET="+secret)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(" "+signature+" ", " v1,"+strings.TrimSpace(string(out))+" ") {
		t.Errorf("printed %s (%v), the header is %s", out, err, signature)
	}
}
