package mail_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	ours "github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/notice"
)

func TestADeliveryRevealsNothingOutsideItsEncryption(t *testing.T) {
	t.Parallel()
	for kind, key := range map[string][]byte{"passphrase": nil, "public key": newTestKey(t).public} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := (&relay{}).start(t)
			m := delivery()
			m.PublicKey = key
			if err := r.sender(t).SendDelivery(t.Context(), m); err != nil {
				t.Fatalf("SendDelivery: %v", err)
			}
			got := r.onlyMail(t)
			if !got.tls || got.from != sender || !cmp.Equal(got.to, []string{recipient}) {
				t.Errorf("envelope: TLS %t, from %s, to %v", got.tls, got.from, got.to)
			}
			for _, secret := range []string{canary, "203.0.113.9", passphrase, "babad", "web-1"} {
				if strings.Contains(got.raw, secret) {
					t.Errorf("the raw mail holds %q", secret)
				}
			}
			if key != nil && (strings.Contains(got.raw, "ORD-") || strings.Contains(got.raw, "Virtual server")) {
				t.Error("order number or product can be read outside the encrypted part")
			}
		})
	}
}

func TestHeadersOfADelivery(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	m := delivery()
	m.At = time.Date(2026, 11, 20, 9, 30, 0, 0, time.FixedZone("CET", 3600))
	if err := r.sender(t).SendDelivery(t.Context(), m); err != nil {
		t.Fatalf("SendDelivery: %v", err)
	}
	got := map[string][]string(parse(t, r.onlyMail(t).raw).Header)
	media, _, err := mime.ParseMediaType(got["Content-Type"][0])
	if err != nil || media != "multipart/mixed" {
		t.Errorf("content type %q: %v", media, err)
	}
	delete(got, "Content-Type")
	want := map[string][]string{
		"From":           {`"Platforma" <no-reply@platforma.test>`},
		"To":             {"<ana.novak@customer.test>"},
		"Subject":        {"Your service is ready: Virtual server (ORD-7K3M9QWT, item 2)"},
		"Date":           {"Fri, 20 Nov 2026 08:30:00 +0000"},
		"Message-Id":     {"<delivery.0198-1@platforma.test>"},
		"Mime-Version":   {"1.0"},
		"Auto-Submitted": {"auto-generated"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestRepeatOfADeliveryKeepsItsMessageIDAndHasNewCiphertext(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	s := r.sender(t)
	for range 2 {
		if err := s.SendDelivery(t.Context(), delivery()); err != nil {
			t.Fatalf("SendDelivery: %v", err)
		}
	}
	all := r.received()
	if len(all) != 2 {
		t.Fatalf("%d mails arrived, want 2", len(all))
	}
	a, b := parse(t, all[0].raw).Header.Get("Message-Id"), parse(t, all[1].raw).Header.Get("Message-Id")
	if a != b || a == "" {
		t.Errorf("Message-IDs %q and %q, want the same", a, b)
	}
	if a, b := attachment(t, all[0].raw), attachment(t, all[1].raw); a == b || a == "" {
		t.Error("the repeat carries the same ciphertext")
	}
}

// attachment returns the encrypted file of a multipart/mixed mail, in base64.
func attachment(t *testing.T, raw string) string {
	t.Helper()
	parts := partsOf(t, raw)
	if len(parts) != 2 {
		t.Fatalf("%d parts, want 2", len(parts))
	}
	return parts[1].body
}

type mimePart struct {
	header map[string][]string
	body   string
}

func partsOf(t *testing.T, raw string) []mimePart {
	t.Helper()
	m := parse(t, raw)
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatalf("content type: %v", err)
	}
	reader := multipart.NewReader(m.Body, params["boundary"])
	var parts []mimePart
	for {
		p, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parts
		}
		if err != nil {
			t.Fatalf("part %d: %v", len(parts), err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatalf("part %d: %v", len(parts), err)
		}
		parts = append(parts, mimePart{header: p.Header, body: string(body)})
	}
}

func TestMailToAKeyIsRFC3156(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	m := delivery()
	m.PublicKey = newTestKey(t).public
	if err := r.sender(t).SendDelivery(t.Context(), m); err != nil {
		t.Fatalf("SendDelivery: %v", err)
	}
	raw := r.onlyMail(t).raw
	media, params, err := mime.ParseMediaType(parse(t, raw).Header.Get("Content-Type"))
	if err != nil || media != "multipart/encrypted" || params["protocol"] != "application/pgp-encrypted" {
		t.Errorf("content type %s, protocol %q, %v", media, params["protocol"], err)
	}
	parts := partsOf(t, raw)
	if len(parts) != 2 {
		t.Fatalf("%d parts, want 2", len(parts))
	}
	want := mimePart{
		header: map[string][]string{
			"Content-Type":        {"application/pgp-encrypted"},
			"Content-Description": {"PGP/MIME version identification"},
		}, body: "Version: 1\r\n",
	}
	if diff := cmp.Diff(want, parts[0], cmp.AllowUnexported(mimePart{})); diff != "" {
		t.Errorf("first part (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(parts[1].body, "-----BEGIN PGP MESSAGE-----\r\n\r\n") ||
		parts[1].header["Content-Type"][0] != `application/octet-stream; name="encrypted.asc"` {
		t.Errorf("second part: %v\n%.80s", parts[1].header, parts[1].body)
	}
	for line := range strings.SplitSeq(raw, "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("line of %d bytes, or with a bare CR or LF: %.60q", len(line), line)
		}
	}
	for i := range len(raw) {
		if raw[i] > 126 {
			t.Fatalf("byte %d of the mail is not ASCII", i)
		}
	}
}

func TestTheExplanationOfTheAttachmentSaysWhatToDo(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	m := delivery()
	m.Simulated = true
	if err := r.sender(t).SendDelivery(t.Context(), m); err != nil {
		t.Fatalf("SendDelivery: %v", err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(partsOf(t, r.onlyMail(t).raw)[0].body)))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(body), "\r\n", "\n")
	want := `Your service is ready.

Order: ORD-7K3M9QWT / 2
Service: Virtual server
Simulated region: this service exists in a simulation only. It runs on no real machine.

How to reach it is in the attached file credentials.txt.gpg. The file is
encrypted. Its passphrase is not in any mail: the portal shows it to you,
once.

1. Sign in to the portal, open the order and choose "Show passphrase".
   Keep it: it is shown one time only.
2. Save the attached file.
3. Open it with any OpenPGP program, such as Kleopatra or GPG Suite, or with

       gpg --decrypt credentials.txt.gpg

If the passphrase is lost, ask for a new delivery in the portal. To get later
deliveries without a passphrase, upload your OpenPGP public key there.

Portal: https://portal.platforma.test/orders/ORD-7K3M9QWT

-- 
Platforma
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
}

func TestNoticeArrivesAsWritten(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	text := "Plačilo je prejeto: 1.234,50 €.\n.\nA line that starts with a dot, and one of " +
		strings.Repeat("many ", 400) + "words.\n"
	html := "<!DOCTYPE html>\n<p>Plačilo je prejeto: 1.234,50 €.</p>\n<p>" +
		strings.Repeat("a long line ", 200) + "</p>\n"
	n := ours.Notice{To: recipient, MessageID: "receipt.1", At: sentAt, Brand: "Oblak Žabnica", Mail: notice.Mail{
		Subject: "Potrdilo o plačilu naročila ORD-7K3M9QWT z zelo dolgim naslovom, ki ga je treba prelomiti",
		Text:    text, HTML: html,
	}}
	if err := r.sender(t).SendNotice(t.Context(), n); err != nil {
		t.Fatalf("SendNotice: %v", err)
	}
	m := parse(t, r.onlyMail(t).raw)
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != n.Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	if from, err := m.Header.AddressList("From"); err != nil || from[0].Name != n.Brand || from[0].Address != sender {
		t.Errorf("from %v, %v", from, err)
	}
	media, _, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || media != "multipart/alternative" {
		t.Errorf("content type %s, %v", media, err)
	}
	want := map[string]string{
		"text/plain; charset=utf-8": text + "\n-- \nOblak Žabnica\n", "text/html; charset=utf-8": html,
	}
	got := map[string]string{}
	for _, p := range partsOf(t, r.onlyMail(t).raw) {
		body, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(p.body)))
		if err != nil {
			t.Fatal(err)
		}
		got[p.header["Content-Type"][0]] = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the texts arrived changed (-sent +arrived):\n%s", diff)
	}
}

func TestNothingInAMailCanStartAHeaderOrASecondRecipient(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	s := r.sender(t)
	hostile := []string{
		"x\r\nBcc: eve@evil.test", "x\nBcc: eve@evil.test", "x\rBcc: eve@evil.test", "x\x00y", "x\u202egpj.exe", "x\u2066y",
		"x\u2028y", "x\x85y", "=?utf-8?q?=0D=0ABcc:_eve?=", "x\xff",
	}
	for _, bad := range hostile {
		for name, change := range map[string]func(*ours.DeliveryMail){
			"/to":           func(m *ours.DeliveryMail) { m.To = bad + "@customer.test" },
			"/message_id":   func(m *ours.DeliveryMail) { m.MessageID = bad },
			"/brand":        func(m *ours.DeliveryMail) { m.Brand = bad },
			"/order_number": func(m *ours.DeliveryMail) { m.OrderNumber = bad },
			"/title":        func(m *ours.DeliveryMail) { m.Title = bad },
			"/service":      func(m *ours.DeliveryMail) { m.Service = bad },
			"/portal_url":   func(m *ours.DeliveryMail) { m.PortalURL = bad },
		} {
			m := delivery()
			change(&m)
			mustRefuse(t, s.SendDelivery(t.Context(), m), name)
		}
		for name, change := range map[string]func(*ours.Notice){
			"/to":         func(n *ours.Notice) { n.To = "a@b.test, " + bad },
			"/message_id": func(n *ours.Notice) { n.MessageID = bad },
			"/brand":      func(n *ours.Notice) { n.Brand = bad },
			"/subject":    func(n *ours.Notice) { n.Subject = bad },
		} {
			n := ours.Notice{
				To: recipient, MessageID: "notice.1", At: sentAt, Brand: "Platforma",
				Mail: notice.Mail{Subject: "Subject", Text: "Text", HTML: "<p>Text"},
			}
			change(&n)
			mustRefuse(t, s.SendNotice(t.Context(), n), name)
		}
	}
	n := ours.Notice{
		To: recipient, MessageID: "notice.1", At: sentAt, Brand: "Platforma",
		Mail: notice.Mail{Subject: "Subject", Text: "a\r\n.\r\nMAIL FROM:<eve@evil.test>", HTML: "<p>Text"},
	}
	mustRefuse(t, s.SendNotice(t.Context(), n), "/text")
	n.Text, n.HTML = "Text", "<p>a\u202eb"
	mustRefuse(t, s.SendNotice(t.Context(), n), "/html")
	if got := r.received(); len(got) != 0 {
		t.Errorf("%d hostile mails arrived", len(got))
	}
}

func mustRefuse(t *testing.T, err error, pointer string) {
	t.Helper()
	f := fault.Of(err)
	if f == nil || len(f.Violations) != 1 || f.Violations[0].Pointer != pointer || ours.Classify(err) != fault.Invalid {
		t.Errorf("hostile %s: %v, want one violation there and class invalid", pointer, err)
	}
}

func TestEveryFaultOfAnIncompleteDeliveryIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	err := r.sender(t).SendDelivery(t.Context(), ours.DeliveryMail{})
	f := fault.Of(err)
	if f == nil {
		t.Fatalf("SendDelivery of nothing: %v", err)
	}
	var got []string
	for _, v := range f.Violations {
		got = append(got, v.Pointer+" "+v.Code)
	}
	want := []string{
		"/to address-invalid", "/message_id message-id-invalid", "/at time-missing", "/secret secret-size",
		"/passphrase passphrase-short",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestAddressIsExactlyOneAddrSpec(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"a@b", "ana.novak@customer.test", "o'brien+tag@sub.example.org", "-x@example.org",
		strings.Repeat("a", 64) + "@example.org",
	} {
		if err := ours.CheckAddress(good); err != nil {
			t.Errorf("CheckAddress(%q): %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "@", "a@", "@b", "a", "a@b@c", "a b@c.test", "Ana <a@b.test>", "<a@b.test>", "a@b.test, c@d.test",
		"a@b.test;c@d.test", "a..b@c.test", ".a@c.test", "a.@c.test",
		"a@c..test", "a@c.test.", `"a b"@c.test`, "a@[127.0.0.1]", "a@b.test(comment)", "a@b.test\r\nRCPT TO:<e@f.test>",
		"a@b.test\x00", "a@b\u202e.test", "ž@b.test", "a@ž.test", "a@b_c.test",
		strings.Repeat("a", 65) + "@example.org", "a@" + strings.Repeat("b.", 130) + "test",
	} {
		err := ours.CheckAddress(bad)
		if f := fault.Of(err); f == nil || f.Code != "address-invalid" {
			t.Errorf("CheckAddress(%q): %v, want address-invalid", bad, err)
		}
	}
}

func TestManyMailsAtOnceEachReachTheirOwnRecipient(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	s := r.sender(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			m := delivery()
			m.To, m.MessageID = fmt.Sprintf("c%d@customer.test", i), fmt.Sprintf("delivery.%d", i)
			if err := s.SendDelivery(t.Context(), m); err != nil {
				t.Errorf("delivery %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	got := map[string]string{}
	for _, m := range r.received() {
		if len(m.to) != 1 {
			t.Fatalf("recipients of one mail: %v", m.to)
		}
		got[m.to[0]] = parse(t, m.raw).Header.Get("Message-Id")
	}
	for i := range 20 {
		if want := fmt.Sprintf("<delivery.%d@platforma.test>", i); got[fmt.Sprintf("c%d@customer.test", i)] != want {
			t.Errorf("c%d got %q, want %q", i, got[fmt.Sprintf("c%d@customer.test", i)], want)
		}
	}
}

func TestDeliveryPrintsRedacted(t *testing.T) {
	t.Parallel()
	m := delivery()
	asJSON, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{fmt.Sprint(m), fmt.Sprintf("%+v", m), fmt.Sprintf("%#v", &m), m.LogValue().String(), string(asJSON)}
	want := []string{"[redacted]", "[redacted]", "[redacted]", "[redacted]", `"[redacted]"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delivery printed (-want +got):\n%s", diff)
	}
}

func TestWrongConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]ours.Config{
		"no port":            {Addr: "relay.test", From: sender},
		"no host":            {Addr: ":25", From: sender},
		"named sender":       {Addr: "relay.test:25", From: "Platforma <no-reply@platforma.test>"},
		"user, no password":  {Addr: "relay.test:25", From: sender, Username: "u"},
		"negative timeout":   {Addr: "relay.test:25", From: sender, Timeout: -1},
		"nonsense for a key": {Addr: "relay.test:25", From: sender, SigningKey: []byte(canary)},
		"public key to sign": {Addr: "relay.test:25", From: sender, SigningKey: newTestKey(t).public},
	} {
		if _, err := ours.NewSender(c); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
