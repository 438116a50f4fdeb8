package mail_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ours "github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/notice"
)

var update = flag.Bool("update", false, "rewrite the golden deliveries")

func TestCredentialsAreShownForAPersonAndForAProgram(t *testing.T) {
	t.Parallel()
	m := delivery()
	m.Simulated = true
	m.Secret = []byte(`{"host":"203.0.113.9","login":{"user":"root","password":"p@ss: w"},"ports":[22,443.50],` +
		`"key":"-----BEGIN K-----\nabc\n-----END K-----\n","tls":true,"none":null,"turned":"a\u202eb"}`)
	want := `Your service is ready.

Service: web-1.example.net (Virtual server)
Order:   ORD-7K3M9QWT / 2
From:    Platforma

Simulated region: this service exists in a simulation only. It runs on no real machine.

Your access:

host:           203.0.113.9
login.user:     root
login.password: p@ss: w
ports[0]:       22
ports[1]:       443.50
tls:            true
none:           
turned:         "a\u202eb"

----- begin key -----
-----BEGIN K-----
abc
-----END K-----
----- end key -----

Anyone who has these values has your service: keep this mail encrypted.

The same as a JSON document:

` + string(m.Secret) + "\n"
	if diff := cmp.Diff(want, ours.DeliveryText(m)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestDeliveriesReadAsWritten(t *testing.T) {
	t.Parallel()
	for _, l := range notice.Languages() {
		m := delivery()
		m.Language, m.Simulated = l, true
		outside, inside := ours.Subjects(m)
		got := "Subject: " + outside + "\n\n" + ours.Instructions(m) + "\n--- inside the encryption ---\n\nSubject: " +
			inside + "\n\n" + ours.DeliveryText(m)
		path := filepath.Join("testdata", "delivery."+string(l)+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("delivery in %s (-golden +composed):\n%s", l, diff)
		}
		m.PublicKey = []byte("a key")
		if outside, _ := ours.Subjects(m); outside != l.Say("delivery.subject") {
			t.Errorf("the outer subject with a public key is %q in %s", outside, l)
		}
	}
}

func TestADocumentThatCannotBeListedIsStillCarried(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]string{
		"no JSON": "user=root", "list": `["a"]`, "text": `"a"`, "cut": `{"a":"b`, "two": `{"a":1}{"b":2}`, "empty": `{}`,
		"deep": strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
	} {
		m := delivery()
		m.Secret = []byte(document)
		text := ours.DeliveryText(m)
		if !strings.HasSuffix(text, "The same as a JSON document:\n\n"+document+"\n") ||
			strings.Contains(text, "Your access") {
			t.Errorf("%s: the text is\n%s", name, text)
		}
	}
}

func FuzzEveryDocumentIsCarriedWhole(f *testing.F) {
	for _, seed := range []string{secretJSON, `{"a":[{"b":[]}],"":{}}`, `{"a":"\u0000"}`, "\xff", `{"a\n":"b\r\n\tc"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		m := delivery()
		m.Secret = document
		if text := ours.DeliveryText(m); !strings.HasSuffix(strings.TrimSuffix(text, "\n"),
			strings.TrimSuffix(string(document), "\n")) {
			t.Errorf("the document %q is not carried whole", document)
		}
	})
}
