package invariant

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
)

// noSecrets is I23: nothing that a provider handed out for an item (addresses and hosts are secrets
// too, D21) stands on the topic, in an event, the saga record, a dead letter, a remembered answer, a
// mail or another text given; not as it is, not escaped for JSON, not in base64 or hex. Mails are
// opened down to their parts. Every accepted delivery is a mail that the mail server has.
func noSecrets(l *look) {
	h := newHaystack()
	if l.Cloud == nil {
		l.without("no provider's ledger was read: no secret is known to look for")
	} else {
		for _, s := range l.Cloud.Secrets {
			for _, text := range secretsIn(s.Document) {
				h.look(text, "a secret of item "+s.Item)
			}
		}
		for _, c := range l.Cloud.Canaries {
			h.look(c, "the mark of the provider's secrets")
		}
	}
	search := func(order, where, text string) {
		l.seen++
		for _, what := range h.in(text) {
			l.broken(order, "%s holds %s", where, what) // what it is, never the secret
		}
	}
	for _, e := range l.Events {
		search(e.Order, fmt.Sprintf("event %d %s", e.Seq, e.Type), string(e.Data))
	}
	for _, g := range l.Log {
		search(g.Order, "a line of the saga record", g.Note+"\n"+g.Key+"\n"+g.Part)
	}
	for _, d := range l.DeadLetters {
		search(d.Order, "dead letter "+d.ID, d.Detail+"\n"+d.Reason+"\n"+d.Proof+"\n"+d.Code)
	}
	for _, a := range l.Answers {
		search("", fmt.Sprintf("the remembered answer of key %q", a.Key), string(a.Body))
	}
	for _, t := range l.Texts {
		search("", t.Where, t.Text)
	}
	if l.Topic != nil {
		for _, r := range slices.Concat(l.Topic.Records, l.Topic.DeadLetters) {
			search(r.header("ce_subject"), fmt.Sprintf("the record at %d/%d", r.Partition, r.Offset), r.text())
		}
	}
	l.mails(search)
}

func (r Record) text() string {
	var b strings.Builder
	b.WriteString(r.Key + "\n")
	for _, h := range r.Headers {
		b.WriteString(h.Key + ": " + h.Value + "\n")
	}
	b.Write(r.Value)
	return b.String()
}

func (l *look) mails(search func(order, where, text string)) {
	if l.Mailbox == nil {
		l.without("no mailbox was read")
		return
	}
	arrived := map[string]bool{}
	for _, m := range l.Mailbox.Mails {
		for _, text := range mailTexts(m.Raw) {
			search("", "mail "+m.MessageID, text)
		}
		id, _, _ := strings.Cut(strings.Trim(m.MessageID, "<>"), "@")
		arrived[id] = true
	}
	for _, d := range l.Deliveries {
		if d.State == "accepted" && !arrived[d.MessageID] {
			order := ""
			if it := l.items[d.Item]; it != nil {
				order = it.Order
			}
			l.broken(order, "the delivery of item %s counts as accepted, and its mail (%s) is not there", d.Item, d.MessageID)
		}
	}
}

// harmless are the members of a secret's document that give no access by themselves.
func harmless() []string { return []string{"kind", "region", "username", "database", "bucket"} }

// leastSecret is the shortest text that is looked for: a shorter one stands anywhere by chance.
const leastSecret = 7

// secretsIn are the texts of a secret's document, in a fixed order.
func secretsIn(document []byte) []string {
	var v any
	if json.Unmarshal(document, &v) != nil {
		return []string{string(document)}
	}
	var found []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if _, text := v[name].(string); !text || !slices.Contains(harmless(), name) {
					walk(v[name])
				}
			}
		case []any:
			for _, each := range v {
				walk(each)
			}
		case string:
			found = append(found, v)
			if strings.HasPrefix(v, "-----BEGIN") { // a key is still one with other line ends
				for _, line := range strings.Split(v, "\n") {
					if !strings.HasPrefix(line, "-----") && len(line) >= 16 {
						found = append(found, line)
					}
				}
			}
		}
	}
	walk(v)
	return found
}

// haystack finds many texts in one pass: it looks up every place's next bytes.
type haystack struct{ needles map[string][]needle }

type needle struct{ text, what string }

func newHaystack() *haystack { return &haystack{needles: map[string][]needle{}} }

// look adds a text, and how it may be written.
func (h *haystack) look(secret, what string) {
	forms := []string{secret}
	if len(secret) >= 12 { // a short one's encodings are too common
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)))
	}
	if escaped, err := json.Marshal(secret); err == nil && len(escaped) > len(secret)+2 {
		forms = append(forms, string(escaped[1:len(escaped)-1]))
	}
	for _, f := range forms {
		if len(f) >= leastSecret {
			h.needles[f[:leastSecret]] = append(h.needles[f[:leastSecret]], needle{f, what})
		}
	}
}

// in says what of it stands in a text, each once.
func (h *haystack) in(text string) []string {
	var found []string
	if len(h.needles) == 0 {
		return nil
	}
	for i := 0; i+leastSecret <= len(text); i++ {
		for _, n := range h.needles[text[i:i+leastSecret]] {
			if strings.HasPrefix(text[i:], n.text) && !slices.Contains(found, n.what) {
				found = append(found, n.what)
			}
		}
	}
	return found
}

// mailTexts is a mail as sent, its header decoded, and all its parts without their encoding.
func mailTexts(raw []byte) []string {
	texts := []string{string(raw)}
	m, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		return texts
	}
	words := new(mime.WordDecoder)
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		if text, err := words.DecodeHeader(strings.Join(m.Header[name], " ")); err == nil {
			texts = append(texts, name+": "+text)
		}
	}
	return append(texts, partTexts(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, 0)...)
}

// deepest nesting of parts that is opened.
const deepest = 8

func partTexts(contentType, encoding string, body io.Reader, depth int) []string {
	media, params, err := mime.ParseMediaType(contentType)
	if err == nil && strings.HasPrefix(media, "multipart/") && depth < deepest {
		var texts []string
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if err != nil {
				return texts
			}
			texts = append(texts, partTexts(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p,
				depth+1)...)
		}
	}
	switch strings.ToLower(encoding) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil && len(text) == 0 {
		return nil
	}
	return []string{string(text)}
}
