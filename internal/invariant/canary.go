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

// noSecrets is I23. Nothing that a provider issued for an item (addresses and hosts are secrets too, D21) is on the
// topic, in an event, the saga log, a dead letter, a stored answer, a mail or another given text: not as it is, not
// escaped for JSON, and not in base64 or hex. Mails are searched in each of their parts. Every accepted delivery is
// a mail that the mail server has.
func noSecrets(l *inspection) {
	h := newHaystack()
	if l.Cloud == nil {
		l.without("no provider's ledger was read: no secrets are known")
	} else {
		for _, s := range l.Cloud.Secrets {
			for _, text := range secretsIn(s.Document) {
				h.add(text, "a secret of item "+s.Item)
			}
		}
		for _, c := range l.Cloud.Canaries {
			h.add(c, "the prefix of the provider's secrets")
		}
	}
	search := func(order, where, text string) {
		l.seen++
		for _, what := range h.find(text) {
			l.broken(order, "%s holds %s", where, what) // never the secret itself
		}
	}
	for _, e := range l.Events {
		search(e.Order, fmt.Sprintf("event %d %s", e.Seq, e.Type), string(e.Data))
	}
	for _, g := range l.Log {
		search(g.Order, "a line of the saga log", g.Note+"\n"+g.Key+"\n"+g.Step)
	}
	for _, d := range l.DeadLetters {
		search(d.Order, "dead letter "+d.ID, d.Detail+"\n"+d.Reason+"\n"+d.Proof+"\n"+d.Code)
	}
	for _, a := range l.Answers {
		search("", fmt.Sprintf("the stored answer of key %q", a.Key), string(a.Body))
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

func (l *inspection) mails(search func(order, where, text string)) {
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
			l.broken(order, "the delivery of item %s is accepted, but its mail (%s) did not arrive", d.Item, d.MessageID)
		}
	}
}

// harmless returns the members of a secret's document that give no access by themselves.
func harmless() []string { return []string{"kind", "region", "username", "database", "bucket"} }

// minSecret is the length of the shortest text that is searched for. A shorter one occurs by chance.
const minSecret = 7

// secretsIn returns the texts of a secret's document in a fixed order.
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
			if strings.HasPrefix(v, "-----BEGIN") { // a key may have other line ends in a text
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

// haystack searches a text for many secrets in one pass, by the first bytes at each position.
type haystack struct{ needles map[string][]needle }

type needle struct{ text, what string }

func newHaystack() *haystack { return &haystack{needles: map[string][]needle{}} }

// add adds a secret in each form in which it may be written.
func (h *haystack) add(secret, what string) {
	forms := []string{secret}
	if len(secret) >= 12 { // the encodings of a shorter one are too common
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)))
	}
	if escaped, err := json.Marshal(secret); err == nil && len(escaped) > len(secret)+2 {
		forms = append(forms, string(escaped[1:len(escaped)-1]))
	}
	for _, f := range forms {
		if len(f) >= minSecret {
			h.needles[f[:minSecret]] = append(h.needles[f[:minSecret]], needle{f, what})
		}
	}
}

// find returns the description of each secret that occurs in a text, once.
func (h *haystack) find(text string) []string {
	var found []string
	if len(h.needles) == 0 {
		return nil
	}
	for i := 0; i+minSecret <= len(text); i++ {
		for _, n := range h.needles[text[i:i+minSecret]] {
			if strings.HasPrefix(text[i:], n.text) && !slices.Contains(found, n.what) {
				found = append(found, n.what)
			}
		}
	}
	return found
}

// mailTexts returns a mail as it was sent, its decoded header, and all its parts decoded.
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

// maxDepth is how deep nested parts are opened.
const maxDepth = 8

func partTexts(contentType, encoding string, body io.Reader, depth int) []string {
	media, params, err := mime.ParseMediaType(contentType)
	if err == nil && strings.HasPrefix(media, "multipart/") && depth < maxDepth {
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
